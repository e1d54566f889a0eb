"""Measure speed beside a C program and write reports/benchmarks.{md,json}: `python scripts/benchmark.py`."""

import argparse
import os
from pathlib import Path

from nanobrag_torch.parity.benchmark import Bench, loads
from nanobrag_torch.parity.benchmark_growth import growth, memory
from nanobrag_torch.parity.benchmark_report import machine, write_report

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    reference = ROOT / "golden_suite_generator/build/nanobragg_reference"
    parser.add_argument("--c-bin", type=Path, default=os.environ.get("NB_C_BIN", reference))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default="", help="measure the loads whose name contains this")
    parser.add_argument("--out", type=Path, default=ROOT / "reports")
    given = parser.parse_args()
    golden = os.environ.get("NANOBRAG_GOLDEN")
    bench = Bench(Path(given.c_bin), given.threads, given.pairs)
    chosen = [x for x in loads(ROOT / "examples", Path(golden) if golden else None) if given.only in x.name]
    results = {"machine": machine(given.threads), "render": {}, "gradient": {}, "process": {}}
    for load in chosen:
        print(load.name, flush=True)
        results["render"][load.name] = bench.render(load)
    for load in chosen[:1]:
        results["gradient"][load.name] = bench.gradient(load)
    for load in chosen:
        if load.name.startswith("main job"):
            results["gradient"][load.name] = bench.gradient(load)
            results["process"][load.name] = bench.process(load)
            results["memory"] = memory(load, given.threads)
    if not given.only:
        results["growth"] = growth(given.threads)
    print(write_report(results, given.out))


if __name__ == "__main__":
    main()
