"""How time and memory grow: with orientations, sub-pixels, sources and threads."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from nanobrag_torch.parity.benchmark import Figure, Load, peak_memory_MB, settled

SCENE = "-cell 100 100 100 90 90 90 -misset 10 20 30 -N 5 -lambda 1 -distance 100 -pixel 0.1 -default_F 100"
SERIES: dict[str, list[tuple[int, str]]] = {
    "orientations": [(n, f"-detpixels 1024 -oversample 1 -mosaic 1 -mosaic_domains {n}") for n in (25, 50, 100, 200)],
    "sub-pixels": [(n * n, f"-detpixels 1024 -oversample {n} -mosaic 1 -mosaic_domains 4") for n in (2, 3, 4, 6)],
    "sources": [
        (n, f"-detpixels 1024 -oversample 1 -mosaic 1 -mosaic_domains 4 -hdivrange 1 -hdivsteps {n}")
        for n in (5, 10, 20, 40)
    ],
}
RENDER = (
    "import sys, torch, warnings\n"
    "warnings.simplefilter('ignore')\n"
    "from nanobrag_torch.parity.benchmark import Load, gradient_runner, settled\n"
    "from nanobrag_torch.pipeline.simulator import Simulator\n"
    "load = Load('', tuple(sys.argv[2:]), 0.0)\n"
    "if sys.argv[1] == 'gradient':\n"
    "    gradient_runner(load)()\n"
    "else:\n"
    "    Simulator(settled(load)).run(out_dtype=torch.float32)\n"
)


def growth(threads: int, runs: int = 5) -> dict[str, Any]:
    """Render times of each series, and the slope of log time against log count between its last and first member."""
    import math

    found: dict[str, Any] = {}
    for name, members in SERIES.items():
        times = [_fastest(words, threads, runs) for _, words in members]
        slope = math.log(times[-1] / times[0]) / math.log(members[-1][0] / members[0][0])
        found[name] = {"counts": [n for n, _ in members], "seconds": times, "slope": slope}
    words = SERIES["orientations"][-1][1]
    counts = [n for n in (1, 2, 4, 8, 16) if n <= threads]
    times = [_fastest(words, n, runs) for n in counts]
    found["threads"] = {"counts": counts, "seconds": times, "speed-up": times[0] / times[-1]}
    return found


def _fastest(words: str, threads: int, runs: int) -> float:
    """Median wall time of warm renders, s."""
    import torch

    from nanobrag_torch.pipeline.simulator import Simulator

    torch.set_num_threads(threads)
    simulator = Simulator(settled(Load("", tuple(f"{SCENE} {words}".split()), 0.0)))
    simulator.run(out_dtype=torch.float32)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        simulator.run(out_dtype=torch.float32)
        times.append(time.perf_counter() - start)
    return Figure.of(times).median


def memory(main_job: Load, threads: int) -> dict[str, float]:
    """Peak resident memory in MB of processes that import torch, render, and take gradients."""
    big = f"{SCENE} -detpixels 4096 -oversample 1 -mosaic 1 -mosaic_domains".split()
    jobs: dict[str, Sequence[str]] = {
        "main job": ("render", *main_job.words),
        "main job, its full gradient": ("gradient", *main_job.words),
        "4096x4096, 1 orientation": ("render", *big, "1"),
        "4096x4096, 1000 orientations": ("render", *big, "1000"),
    }
    found = {"import torch": peak_memory_MB([sys.executable, "-c", "import torch"], threads)}
    for name, words in jobs.items():
        try:
            found[name] = peak_memory_MB([sys.executable, "-c", RENDER, *words], threads)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{name}: {error.stderr}") from error
    return found
