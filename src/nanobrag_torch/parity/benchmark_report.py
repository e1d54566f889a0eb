"""The table of a benchmark, as Markdown and JSON."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from nanobrag_torch.parity.benchmark import Figure


def machine(threads: int) -> dict[str, Any]:
    """What was measured on: processor model, instruction set, threads, versions; no host name."""
    import numpy
    import torch

    from nanobrag_torch import __version__

    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    return {
        "processor": model,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "nanobrag_torch": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def write_report(results: dict[str, Any], folder: Path) -> str:
    """Write benchmarks.json and benchmarks.md into a folder, and give the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(results)
    (folder / "benchmarks.json").write_text(json.dumps(results, indent=1, default=str) + "\n")
    (folder / "benchmarks.md").write_text(text)
    return text


def markdown(results: dict[str, Any]) -> str:
    """The tables: median (smallest to largest) of the pairs."""
    facts = results["machine"]
    lines = [
        "# Speed beside the C program",
        "",
        f"{facts['processor']}, {facts['instructions']}, {facts['threads']} threads, torch {facts['torch']}. "
        "Both sides in alternation; median (smallest to largest). Made by `scripts/benchmark.py`.",
        "",
        "Render ratio: C render time over ours; a C program slower than 150 ns of core time per lattice evaluation "
        "counts as one that needs 150 ns.",
        "",
        "| load | evaluations | C, s | float64, s | float32, s | ratio float64 | wanted | ratio float32 | gain |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in results["render"].items():
        cells = [name, f"{row['evaluations']:,}"]
        cells += [_show(row[key], 3) for key in ("c_s", "float64_s", "float32_s")]
        cells += [_show(row["float64_ratio"], 1), f">= {row['wanted']:g}"]
        cells += [_show(row["float32_ratio"], 1), _show(row["float32_gain"], 2)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| gradient of every orientation, cell and detector parameter | s | over our forward | C over it |"]
    lines += ["|---|---|---|---|"]
    for name, row in results["gradient"].items():
        cells = [_show(row["forward_and_backward_s"], 3), _show(row["over_forward"], 2), _show(row["over_c"], 1)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "| whole process | C, s | ours, s | ours / C | beyond import torch, s | peak memory, MB |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, row in results["process"].items():
        cells = [_show(row["c_s"], 2), _show(row["ours_s"], 2), _show(row["ours_over_c"], 2)]
        cells += [_show(row["beyond_import_torch_s"], 2), f"{row['peak_memory_MB']:.0f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += _growth_lines(results.get("growth", {}))
    lines += ["", "| peak memory of a process | MB |", "|---|---|"]
    lines += [f"| {name} | {value:.0f} |" for name, value in results.get("memory", {}).items()]
    return "\n".join(lines) + "\n"


def _growth_lines(growth: dict[str, Any]) -> list[str]:
    lines = [
        "",
        "| growth with | counts | render, s | slope of log time (1 = linear), or speed-up |",
        "|---|---|---|---|",
    ]
    for name, row in growth.items():
        counts, seconds = " ".join(map(str, row["counts"])), " ".join(f"{t:.3f}" for t in row["seconds"])
        last = f"{row['slope']:.3f}" if "slope" in row else f"{row['speed-up']:.2f} times as fast"
        lines.append(f"| {name} | {counts} | {seconds} | {last} |")
    return lines


def _show(figure: Figure, digits: int) -> str:
    return f"{figure.median:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"
