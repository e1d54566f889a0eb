"""What the kernels' questions cost on this processor: `python scripts/benchmark_kernels.py`.

The five standard loads beside a C program at every level of instructions; the gradient, the Jacobian and many variants
over forward images; and what a tolerance saves and loses. Both sides of every ratio run in alternation. Writes
reports/kernels-<processor>.md.
"""

import argparse
import os
import re
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from nanobrag_torch import Simulator, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.kernels import cpu
from nanobrag_torch.parity.benchmark import Bench, Load, gradient_runner, loads, settled
from nanobrag_torch.parity.benchmark_report import machine
from nanobrag_torch.refine import QUANTITIES

ROOT = Path(__file__).resolve().parents[1]
LEVELS = {4: "AVX-512", 3: "AVX2", 1: "baseline"}
FIFTEEN = ("misset", "cell_lengths", "cell_angles", "N", "mosaic_spread", "fluence", "distance", "beam_centre")
SMALL = (
    "-cell 100 100 100 90 90 90 -misset 10 20 30 -N 5 -lambda 1 -distance 100 -detpixels 256 -pixel 0.4 "
    f"-oversample 1 -hkl {ROOT / 'examples/P1.hkl'} -nointerpolate -nonoise"
)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def alternated(runs: Sequence[Callable[[], object]], pairs: int) -> list[list[float]]:
    """Times of each run, one after another, `pairs` times; the first round is not counted."""
    rounds = [[seconds(run) for run in runs] for _ in range(pairs + 1)][1:]
    return [list(column) for column in zip(*rounds, strict=True)]


def spread(values: Sequence[float], form: str = ".2f") -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def beside_c(bench: Bench, chosen: list[Load]) -> list[str]:
    rows = ["| load | " + " | ".join(f"{name}, f64 / f32" for name in LEVELS.values()) + " |", "|---|---|---|---|"]
    for load in chosen:
        print(load.name, flush=True)
        cells = []
        for level in LEVELS:
            cpu.level(level)
            if cpu.level() != level:
                cells.append("not here")
                continue
            found = bench.render(load)
            cells.append(f"{found['float64_ratio'].median:.1f} / {found['float32_ratio'].median:.1f}")
        cpu.level(4)
        rows.append(f"| {load.name} | " + " | ".join(cells) + " |")
    return rows


def derivatives(chosen: list[Load], pairs: int) -> list[str]:
    rows = ["| load | gradient of every parameter | Jacobian | columns |", "|---|---|---|---|"]
    for load in chosen:
        print("derivatives:", load.name, flush=True)
        simulator = Simulator(settled(load))
        names = [n for n in FIFTEEN if QUANTITIES[n].objection(simulator.experiment) is None]
        columns = sum(QUANTITIES[n].take(simulator.experiment).numel() for n in names)
        runs = [simulator.run, gradient_runner(load), lambda s=simulator, n=names: s.jacobian(n)]
        image, gradient, jacobian = alternated(runs, pairs)
        ratios = [[x / i for x, i in zip(times, image, strict=True)] for times in (gradient, jacobian)]
        rows.append(f"| {load.name} | {spread(ratios[0])} | {spread(ratios[1])} | {columns} |")
    return rows


def prepared(pairs: int) -> list[str]:
    """A simulator that is used again beside a new one, which must settle and pack the scene."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        experiment = settle(parse(SMALL.split()), physics="nanobragg")
    known = Simulator(experiment)
    turns = {"misset": torch.zeros(16, 3, dtype=torch.float64)}
    names = ["misset", "cell_lengths", "cell_angles", "N", "fluence"]
    calls: dict[str, Callable[[Simulator], object]] = {
        "run()": lambda simulator: simulator.run(),
        "jacobian(), 13 columns": lambda simulator: simulator.jacobian(names),
        "run_many(), 16 variants": lambda simulator: simulator.run_many(turns),
    }
    rows = ["| call | a new simulator, ms | one used again, ms | times as fast |", "|---|---|---|---|"]

    def fresh() -> Simulator:
        simulator = Simulator(experiment)
        simulator._table_checked = True  # a check of the first run, which is not what is measured
        return simulator

    for name, call in calls.items():
        runs = [lambda c=call: c(fresh()), lambda c=call: c(known)]
        new, again = alternated(runs, 10 * pairs)
        ratio = [n / a for n, a in zip(new, again, strict=True)]
        rows.append(f"| {name} | {spread([1e3 * t for t in new])} | {spread([1e3 * t for t in again])} ")
        rows[-1] += f"| {spread(ratio)} |"
    return rows


def many(pairs: int, batch: int = 512) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        experiment = settle(parse(SMALL.split()), physics="nanobragg")
    turns = {"misset": 0.1 * torch.rand(batch, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)}
    rows = ["| precision | images/s together | images/s one by one | wanted |", "|---|---|---|---|"]
    for dtype, wanted in ((torch.float32, 3000), (torch.float64, 1500)):
        simulator = Simulator(experiment, dtype=dtype)

        def alone(simulator: Simulator = simulator, dtype: torch.dtype = dtype) -> None:
            for misset in turns["misset"][:16]:
                turned = QUANTITIES["misset"].put(simulator.experiment, misset)
                Simulator(turned, dtype=simulator.options.dtype).run(out_dtype=dtype)

        def together(simulator: Simulator = simulator, dtype: torch.dtype = dtype) -> None:
            simulator.run_many(turns, out_dtype=dtype)

        whole, single = alternated([together, alone], pairs)
        rates = [batch / t for t in whole], [16 / t for t in single]
        name = str(dtype).removeprefix("torch.")
        rows.append(f"| {name} | {spread(rates[0], '.0f')} | {spread(rates[1], '.0f')} | >= {wanted} |")
    return rows


def tolerances(load: Load, pairs: int) -> list[str]:
    rows = [
        "| shape | tolerance, photons | times as fast | most lost | least lost | wanted |",
        "|---|---|---|---|---|---|",
    ]
    wanted = {("square", 0.01): ">= 4", ("gauss", 0.01): ">= 12"}
    for shape in ("square", "gauss", "round", "tophat"):
        experiment = settled(load)
        experiment = experiment.replace(crystal=replace(experiment.crystal, shape=shape))
        full = Simulator(experiment)
        for tolerance in (0.01, 0.1):
            short = Simulator(experiment, tolerance=tolerance)
            lost = full.run().values[0] - short.run().values[0]
            runs = [lambda s=s: s.run(out_dtype=torch.float32) for s in (full, short)]
            whole, part = alternated(runs, pairs)
            ratio = [w / p for w, p in zip(whole, part, strict=True)]
            rows.append(
                f"| {shape} | {tolerance} | {spread(ratio)} | {lost.max().item():.3g} | {lost.min().item():.3g} "
                f"| {wanted.get((shape, tolerance), '')} |"
            )
    return rows


def processor() -> str:
    """The processor's model, as a word for a file name."""
    with open("/proc/cpuinfo") as file:
        lines = [line.split(":", 1)[1] for line in file if line.startswith(("model name", "cpu family", "model\t"))]
    words = " ".join(dict.fromkeys(line.strip() for line in lines[:3]))
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    reference = ROOT / "golden_suite_generator/build/nanobragg_reference"
    parser.add_argument("--c-bin", type=Path, default=os.environ.get("NB_C_BIN", reference))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--without-c", action="store_true", help="leave the table beside C out")
    parser.add_argument("--out", type=Path, default=ROOT / "reports")
    given = parser.parse_args()
    golden = os.environ.get("NANOBRAG_GOLDEN")
    torch.set_num_threads(given.threads)
    chosen = loads(ROOT / "examples", Path(golden) if golden else None)
    parts = [
        ("Gradient and Jacobian, over a forward image (wanted: <= 3.0, <= 5)", derivatives(chosen[:3], given.pairs)),
        ("256 x 256 stills of one orientation with a table", many(given.pairs)),
        ("A scene that is prepared already, 256 x 256, one orientation", prepared(given.pairs)),
        ("A tolerance, on the main job", tolerances(chosen[2], given.pairs)),
    ]
    if not given.without_c:
        bench = Bench(Path(given.c_bin), given.threads, given.pairs)
        parts.insert(0, ("Render ratio beside the C program, by instructions", beside_c(bench, chosen)))
    told = ", ".join(str(value) for value in machine(given.threads).values())
    lines = ["# What the kernels' questions cost", "", f"{told}. Median (smallest to largest) of {given.pairs} rounds"]
    lines[-1] += " in alternation. Made by `scripts/benchmark_kernels.py`."
    for title, rows in parts:
        lines += ["", f"## {title}", "", *rows]
    text = "\n".join(lines) + "\n"
    with tempfile.NamedTemporaryFile("w", dir=given.out, suffix=".part", delete=False) as file:
        file.write(text)
    Path(file.name).replace(given.out / f"kernels-{processor()}.md")
    print(text)


if __name__ == "__main__":
    main()
