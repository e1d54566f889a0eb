"""Speed beside a C program: the same loads, in alternation, on the same threads; ratios with their spread.

C render time is the wall time of the command less that of the same command with a region of one pixel, so that
start-up, reading and writing cancel; ours is a warm `Simulator.run()` to a float32 array in memory. A C program that
needs more than `ANCHOR_NS` of core time per lattice evaluation counts as if it needed just that.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

ANCHOR_NS = 150.0
ONE_PIXEL = ("-roi", "0", "0", "0", "0")
QUIET = ("-nonoise", "-nopgm", "-noprogress")


@dataclass(frozen=True)
class Load:
    """One command line to measure, with what the targets of the project ask of it.

    Args:
        name: short name.
        words: the command line.
        wanted: least render ratio in double precision, or 0.
    """

    name: str
    words: tuple[str, ...]
    wanted: float


class Figure(NamedTuple):
    """Median, smallest and largest of several runs."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Figure:
        """The figure of some values."""
        return Figure(statistics.median(values), min(values), max(values))


def loads(examples: Path, golden: Path | None) -> list[Load]:
    """The standard loads; the main job uses the golden set's real input where there is one."""
    cell = "-cell 100 100 100 90 90 90 -misset 10 20 30 -N 5 -lambda 1 -distance 100 -detpixels 1024 -pixel 0.1"
    turns = "-oversample 1 -mosaic 1 -mosaic_domains 10 -phi 1 -osc 1 -phisteps 10"
    table = f"-hkl {examples / 'P1.hkl'} -nointerpolate"
    big = "-cell 100 100 100 90 90 90 -misset 10 20 30 -N 5 -lambda 0.5 -distance 500 -detpixels 4096 -pixel 0.05"
    fine = "-oversample 3 -hdivrange 1 -hdivsteps 7 -dispersion 1 -dispsteps 3 -mosaic 0.5 -mosaic_domains 5"
    rows = [
        ("1024x1024, 10 domains x 10 phi, default F", f"{cell} {turns} -default_F 100", 30.0),
        ("1024x1024, 10 domains x 10 phi, table", f"{cell} {turns} {table}", 30.0),
        ("main job: 2463x2527, 10 phi, table", _main_job(examples, golden), 25.0),
        ("4096x4096, one orientation", f"{big} -oversample 1 -default_F 100", 15.0),
        ("1024x1024, 3x3 sub-pixels, 21 sources, 5 domains", f"{cell} {fine} -default_F 100", 30.0),
    ]
    return [Load(name, tuple(words.split()), wanted) for name, words, wanted in rows]


def _main_job(examples: Path, golden: Path | None) -> str:
    if golden is not None:
        inputs = f"-mat {golden / 'inputs/A.mat'} -hkl {golden / 'inputs/scaled.hkl'}"
    else:
        inputs = f"-mat {examples / 'A.mat'} -hkl {examples / 'P1.hkl'}"
    geometry = (
        "-Xbeam 217.742295 -Ybeam 213.907080 -distance 231.274660 -lambda 0.976800 -pixel 0.172 -detpixels_x 2463 "
        "-detpixels_y 2527 -odet_vector -0.000088 0.004914 -0.999988 -sdet_vector -0.005998 -0.999970 -0.004913 "
        "-fdet_vector 0.999982 -0.005998 -0.000118 -beam_vector 0.00051387949 0.0 -0.99999986 -spindle_axis -1 0 0"
    )
    sampling = "-nointerpolate -oversample 1 -Na 36 -Nb 47 -Nc 29 -phi 1e-9 -osc 0.1 -phisteps 10"
    return f"{inputs} {geometry} {sampling} -exposure 1 -flux 1e18 -beamsize 1.0"


def wall(command: Sequence[str], threads: int, folder: Path) -> float:
    """Wall time in seconds of a command in a folder.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def peak_memory_MB(command: Sequence[str], threads: int) -> float:
    """Peak resident memory of a command's process, MB."""
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", script, *command],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
    return int(done.stdout.split()[-1]) / 1000


class Bench:
    """Measures loads against one C program.

    Args:
        c_binary: the C program.
        threads: for both sides.
        pairs: how many alternations.
    """

    def __init__(self, c_binary: Path, threads: int, pairs: int) -> None:
        import torch

        self.c_binary, self.threads, self.pairs = c_binary, threads, pairs
        torch.set_num_threads(threads)

    def render(self, load: Load) -> dict[str, Any]:
        """Render times of the C program and of ours, in double and single precision, and their ratios."""
        experiment = settled(load)
        evaluations = _evaluations(experiment)
        anchor = ANCHOR_NS * 1e-9 * evaluations / self.threads
        ours = {name: _runner(experiment, name) for name in ("float64", "float32")}
        for run in ours.values():
            run()
        rows: dict[str, list[float]] = {"c": [], "float64": [], "float32": []}
        for _ in range(self.pairs):
            rows["c"].append(min(self._c_render(load), anchor))
            for name, run in ours.items():
                rows[name].append(_seconds(run))
        found: dict[str, Any] = {"evaluations": evaluations, "wanted": load.wanted}
        found["c_s"] = Figure.of(rows["c"])
        for name in ours:
            found[f"{name}_s"] = Figure.of(rows[name])
            found[f"{name}_ratio"] = Figure.of([c / t for c, t in zip(rows["c"], rows[name], strict=True)])
        found["float32_gain"] = Figure.of([d / s for d, s in zip(rows["float64"], rows["float32"], strict=True)])
        return found

    def gradient(self, load: Load) -> dict[str, Any]:
        """Forward with all orientation, cell and detector gradients, beside our forward and the C program's."""
        experiment = settled(load)
        plain, full = _runner(experiment, "float64"), gradient_runner(load)
        plain()
        full()
        rows: list[tuple[float, float, float]] = []
        for _ in range(self.pairs):
            rows.append((self._c_render(load), _seconds(plain), _seconds(full)))
        return {
            "forward_and_backward_s": Figure.of([g for _, _, g in rows]),
            "over_forward": Figure.of([g / f for _, f, g in rows]),
            "over_c": Figure.of([c / g for c, _, g in rows]),
        }

    def process(self, load: Load) -> dict[str, Any]:
        """Whole processes, the same float and SMV files written; and what ours needs beyond `import torch`."""
        words = [*load.words, *QUIET]
        ours = [sys.executable, "-P", "-m", "nanobrag_torch", *words]
        bare = [sys.executable, "-c", "import torch"]
        rows: list[tuple[float, float, float]] = []
        with tempfile.TemporaryDirectory() as c, tempfile.TemporaryDirectory() as p:
            for _ in range(self.pairs):
                rows.append(
                    (
                        wall([str(self.c_binary), *words], self.threads, Path(c)),
                        wall(ours, self.threads, Path(p)),
                        wall(bare, self.threads, Path(p)),
                    )
                )
        return {
            "c_s": Figure.of([c for c, _, _ in rows]),
            "ours_s": Figure.of([o for _, o, _ in rows]),
            "ours_over_c": Figure.of([o / c for c, o, _ in rows]),
            "beyond_import_torch_s": Figure.of([o - b for _, o, b in rows]),
            "peak_memory_MB": peak_memory_MB(ours, self.threads),
        }

    def _c_render(self, load: Load) -> float:
        command = [str(self.c_binary), *load.words, *QUIET]
        with tempfile.TemporaryDirectory() as folder:
            whole = wall(command, self.threads, Path(folder))
            start_up = wall([*command, *ONE_PIXEL], self.threads, Path(folder))
        return whole - start_up


def settled(load: Load) -> Any:
    """The faithful experiment of a load."""
    import warnings

    from nanobrag_torch.cli.parse import parse
    from nanobrag_torch.settling import settle

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return settle(parse([*load.words, *QUIET]), physics="nanobragg")


def refined_parameters(experiment: Any) -> dict[str, Any]:
    """Orientation, cell and detector parameters of an experiment as leaves that ask for gradients."""
    panel, crystal, scan = experiment.detector.panel, experiment.crystal, experiment.scan
    found = {"misset": crystal.misset, "N": crystal.N, "spread": crystal.mosaic.spread, "start": scan.start}
    found |= {"axis": scan.axis, "distance": panel.distance, "beam_centre": panel.beam_centre}
    found |= {"rotations": panel.rotations, "twotheta": panel.twotheta}
    key = "cell" if crystal.cell is not None else "reciprocal"
    found[key] = getattr(crystal, key)
    return {name: value.detach().clone().requires_grad_() for name, value in found.items()}


def gradient_runner(load: Load, device: str | None = None) -> Callable[[], object]:
    """A render followed by the backward pass to every orientation, cell and detector parameter."""
    from dataclasses import replace

    from nanobrag_torch.pipeline.simulator import Simulator

    experiment = settled(load)

    def run() -> object:
        leaves = refined_parameters(experiment)
        spread = leaves.pop("spread")
        mosaic = replace(experiment.crystal.mosaic, spread=spread)
        image = Simulator(experiment.replace(mosaic=mosaic, **leaves), device=device).run()
        image.backward()
        return leaves

    return run


def _runner(experiment: Any, dtype: str) -> Callable[[], object]:
    import torch

    from nanobrag_torch.pipeline.simulator import Simulator

    simulator = Simulator(experiment, dtype=dtype)
    return lambda: simulator.run(out_dtype=torch.float32).numpy()


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _evaluations(experiment: Any) -> int:
    pixels = sum(panel.pixels_f * panel.pixels_s * panel.layers for panel in experiment.detector.panels)
    return int(pixels * experiment.steps)
