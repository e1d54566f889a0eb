"""Measure speed beside a C program.

python scripts/benchmark.py                                         the standard loads: reports/benchmarks.{md,json}
python scripts/benchmark.py --sizes 256,512,1024,2048 --device cpu  by size: reports/sizes-cpu.{md,json}
python scripts/benchmark.py --sizes 1024 --device cuda --profile    also a trace that a browser opens, in out/
"""

import argparse
import os
from pathlib import Path

from nanobrag_torch.errors import NanobragError
from nanobrag_torch.parity.benchmark import Bench, loads
from nanobrag_torch.parity.benchmark_growth import growth, memory
from nanobrag_torch.parity.benchmark_report import machine, write_report
from nanobrag_torch.parity.benchmark_sizes import by_size, profile, write_sizes

ROOT = Path(__file__).resolve().parents[1]


def sizes_of(text: str) -> list[int]:
    """Edges in pixels, as the flag has them."""
    found = [int(word) for word in text.split(",") if word]
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError("give edges of images in pixels, as 256,512,1024")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reference = ROOT / "golden_suite_generator/build/nanobragg_reference"
    parser.add_argument("--c-bin", type=Path, default=os.environ.get("NB_C_BIN", reference))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default="", help="measure the loads whose name contains this")
    parser.add_argument("--out", type=Path, default=ROOT / "reports")
    parser.add_argument("--sizes", type=sizes_of, metavar="N,N,...", help="square images of these edges instead")
    parser.add_argument("--device", default="cpu", help="where ours renders with --sizes [cpu]")
    parser.add_argument("--profile", action="store_true", help="with --sizes: a Chrome trace of each size")
    parser.add_argument("--profiles", type=Path, default=ROOT / "out", help="folder of the traces [out]")
    given = parser.parse_args()
    if given.sizes:
        try:
            measure_sizes(given)
        except NanobragError as error:
            parser.exit(9, f"benchmark.py: {error}\n")
    elif given.profile or given.device != "cpu":
        parser.error("--device and --profile go with --sizes")
    else:
        measure_loads(given)


def measure_sizes(given: argparse.Namespace) -> None:
    """Images of several sizes."""
    if given.profile:
        for size in given.sizes:
            path = given.profiles / f"profile-{size}-{given.device.replace(':', '')}.json"
            parts = profile(size, given.device, path)
            print(f"writing {path}: " + ", ".join(f"{name} {seconds:.4f} s" for name, seconds in parts.items()))
    c = Path(given.c_bin) if Path(given.c_bin).is_file() else None
    rows = by_size(given.sizes, given.device, c_binary=c, threads=given.threads, pairs=given.pairs)
    facts = {"device": given.device, "threads": given.threads, "pairs": given.pairs}
    print(write_sizes(rows, {**facts, "machine": machine(given.threads)["processor"]}, given.out))


def measure_loads(given: argparse.Namespace) -> None:
    """The standard loads."""
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
