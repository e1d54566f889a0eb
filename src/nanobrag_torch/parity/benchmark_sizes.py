"""Speed by the size of the image, on a processor or a card, and a profile of a render that a browser opens."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nanobrag_torch.parity.benchmark import ANCHOR_NS, ONE_PIXEL, QUIET, Figure, Load, settled, wall
from nanobrag_torch.pipeline.simulator import Simulator

DTYPES = ("float64", "float32")
EDGE_MM = 102.4
"""Edge of the detector, whatever its number of pixels."""


def load_of(size: int) -> Load:
    """The classic cube on a detector of `size` x `size` pixels."""
    line = (
        f"-cell 100 100 100 90 90 90 -lambda 6.2 -N 5 -default_F 100 -distance 100 -detpixels {size} "
        f"-pixel {EDGE_MM / size:g} -oversample 1"
    )
    return Load(f"{size} x {size}", tuple(line.split()), 0.0)


def by_size(
    sizes: Sequence[int], device: str, *, c_binary: Path | None, threads: int, pairs: int
) -> dict[str, dict[str, Any]]:
    """Render times of every size, both programs in alternation; those of C count at most 150 ns per lattice evaluation.

    Args:
        sizes: edges of the square images in pixels.
        device: `cpu`, `cuda` or `cuda:<n>`: where ours renders; C always has the processor.
        c_binary: the C program, or `None` to leave it out.
        threads: threads of both on the processor.
        pairs: how many alternations.

    Returns:
        By size: `pixels`, the figures `c_measured_s`, `c_s`, `float64_s`, `float32_s` (seconds), and pixels per second.

    Raises:
        BackendUnavailable: the device cannot serve.
    """
    torch.set_num_threads(threads)
    return {str(size): _row(size, device, c_binary, threads, pairs) for size in sizes}


def _row(size: int, device: str, c_binary: Path | None, threads: int, pairs: int) -> dict[str, Any]:
    load = load_of(size)
    experiment = settled(load)
    ours = {name: Simulator(experiment, device=device, dtype=name) for name in DTYPES}
    for simulator in ours.values():
        _seconds(simulator)
    times: dict[str, list[float]] = {"c_measured": [], "c": [], **{name: [] for name in DTYPES}}
    for _ in range(pairs):
        if c_binary is not None:
            times["c_measured"].append(_c_seconds(load, c_binary, threads))
            times["c"].append(min(times["c_measured"][-1], ANCHOR_NS * 1e-9 * size * size / threads))
        for name, simulator in ours.items():
            times[name].append(_seconds(simulator))
    row: dict[str, Any] = {"pixels": size * size}
    for name, values in times.items():
        if values:
            row[f"{name}_s"] = Figure.of(values)
            row[f"{name}_pixels_per_s"] = size * size / max(Figure.of(values).median, 1e-9)
    for name in DTYPES if c_binary is not None else ():
        row[f"{name}_ratio"] = Figure.of([c / t for c, t in zip(times["c"], times[name], strict=True)])
    return row


def _c_seconds(load: Load, c_binary: Path, threads: int) -> float:
    command = [str(c_binary), *load.words, *QUIET]
    with tempfile.TemporaryDirectory() as folder:
        whole = wall(command, threads, Path(folder))
        return max(whole - wall([*command, *ONE_PIXEL], threads, Path(folder)), 0.0)


def _seconds(simulator: Simulator) -> float:
    """Of a warm render to a float32 array in memory, from a card too."""
    import time

    start = time.perf_counter()
    simulator.run(out_dtype=torch.float32).array.cpu().numpy()
    return time.perf_counter() - start


def profile(size: int, device: str, path: Path) -> dict[str, float]:
    """Profile settling and rendering of one size into a Chrome trace (open it in chrome://tracing or Perfetto).

    Returns:
        Seconds of the parts `settle`, `first render` and `render`.

    Raises:
        BackendUnavailable: the device cannot serve.
        OSError: the trace cannot be written.
    """
    from torch.profiler import ProfilerActivity, record_function
    from torch.profiler import profile as profiled

    kinds = [ProfilerActivity.CPU]
    if device.startswith("cuda"):
        kinds.append(ProfilerActivity.CUDA)
    with profiled(activities=kinds) as seen:
        with record_function("settle"):
            simulator = Simulator(settled(load_of(size)), device=device)
        with record_function("first render"):
            _seconds(simulator)
        with record_function("render"):
            _seconds(simulator)
    path.parent.mkdir(parents=True, exist_ok=True)
    seen.export_chrome_trace(str(path))
    events = json.loads(path.read_text())["traceEvents"]
    parts = ("settle", "first render", "render")
    return {name: next(e["dur"] for e in events if e.get("name") == name and "dur" in e) / 1e6 for name in parts}


def write_sizes(rows: dict[str, dict[str, Any]], facts: dict[str, Any], folder: Path) -> str:
    """Write `sizes-<device>.json` and `.md` and give the page."""
    name = f"sizes-{facts['device'].replace(':', '')}"
    head = [
        f"# Speed by size ({facts['device']})",
        "",
        "Made by `python scripts/benchmark.py --sizes ... --device ...`: the classic cube, one orientation, a warm",
        "render to memory. C: the command less the same of one pixel, counted as at most",
        f"{ANCHOR_NS:g} ns of core time per evaluation; the ratios are with that. Medians; {facts['threads']} threads,",
        f"{facts['pairs']} alternations, {facts['machine']}.",
        "",
        "| pixels | C measured, ms | C, ms | double, ms | single, ms | double, Mpixel/s | C / double | C / single |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    table = [f"| {size} x {size} | " + " | ".join(_cells(row)) + " |" for size, row in rows.items()]
    page = "\n".join([*head, *table]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({**facts, "sizes": rows}, indent=1) + "\n")
    (folder / f"{name}.md").write_text(page)
    return page


def _cells(row: dict[str, Any]) -> list[str]:
    keys = ("c_measured_s", "c_s", "float64_s", "float32_s")
    times = [f"{row[key].median * 1e3:.3g}" if key in row else "" for key in keys]
    ratios = [f"{row[key].median:.2f}" if key in row else "" for key in ("float64_ratio", "float32_ratio")]
    return [*times, f"{row['float64_pixels_per_s'] / 1e6:.3g}", *ratios]
