"""Every golden case rendered once, with its worst figures: the rows of a table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanobrag_torch.parity.agreement import (
    DOUBLE,
    SINGLE,
    correlation,
    count_problems,
    image_agreement,
    lost_peaks,
    sum_agreement,
)
from nanobrag_torch.parity.golden import Case, Run, expected_numbers, experiment_of, header_problems, run_case
from nanobrag_torch.parity.printed import printed_differences, printed_numbers
from nanobrag_torch.parity.traces import BOUND, trace_deviations


@dataclass(frozen=True)
class Row:
    """One case: `worst` is its largest figure as a fraction of that figure's bound, so 1 is the limit."""

    case: str
    worst: float
    cells: tuple[str, ...]


def double_row(case: Case) -> Row:
    """Float64: image, sums, integer image, grey image, header and printed numbers."""
    with tempfile.TemporaryDirectory() as folder:
        run = run_case(case, Path(folder))
        found = texts(case, run) + counts(case, run)
        trace = worst_trace(case)
        fractions = [float(2 * len(found)), trace / BOUND]
        if case.verdict in ("image", "image_corrected"):
            a = image_agreement(case.crop(run.image()), case.expected(), case.bounds)
            fractions += [a.relative_l2 / DOUBLE.relative_l2, a.worst_pixel, a.worst_of_max / DOUBLE.of_max]
            fractions += [abs(a.sum) / DOUBLE.sum]
            cells = (
                f"{a.relative_l2:.1e}",
                f"{a.worst_pixel * DOUBLE.pixel:.1e}",
                f"{a.sum:+.1e}",
                str(a.excused or ""),
            )
        else:
            total = total_agreement(case, run)
            fractions += [abs(total or 0.0) / DOUBLE.sum]
            cells = ("", "", "" if total is None else f"{total:+.1e}", "")
    remarks = f"{trace:.1e}" if case.facts.get("traces") else ""
    return Row(case.id, max(fractions), (*cells, remarks, "; ".join(found) or "equal"))


def single_row(case: Case) -> Row:
    """Float32: correlation, sum, and the strongest peaks that are not shared."""
    with tempfile.TemporaryDirectory() as folder:
        image = case.crop(run_case(case, Path(folder), "float32").image())
    expected = case.expected()
    loss = 1.0 - correlation(image, expected)
    total = sum_agreement(float(image.sum(dtype=float)), float(expected.sum(dtype=float)))
    lost = len(lost_peaks(image, expected, SINGLE.peaks, SINGLE.peak_shift))
    fractions = (loss / (1.0 - SINGLE.correlation), abs(total) / SINGLE.sum, 2.0 * lost)
    return Row(case.id, max(fractions), (f"{loss:.1e}", f"{total:+.1e}", str(lost)))


def texts(case: Case, run: Run) -> list[str]:
    """Where the header and the printed numbers differ."""
    found = header_problems(case, run.header())
    if case.verdict != "none":
        found += printed_differences(printed_numbers(run.output), expected_numbers(case))
    return found


def counts(case: Case, run: Run) -> list[str]:
    """Where the integer image and the grey image differ."""
    stored = case.arrays() if case.verdict == "image" else {}
    found = []
    if "intimage" in stored:
        found += [f"integer image: {text}" for text in count_problems(run.counts(), stored["intimage"])]
    if "pgm" in stored:
        header, grey = run.grey()
        found += [f"grey image: {text}" for text in count_problems(grey, stored["pgm"])]
        if header != case.facts.get("pgm_header", header):
            found.append(f"grey image header {header!r}, expected {case.facts['pgm_header']!r}")
    return found


def total_agreement(case: Case, run: Run) -> float | None:
    """Sum of the whole image over the corrected sum, less 1, where that is the verdict."""
    if case.verdict != "corrected_sum":
        return None
    return sum_agreement(float(run.image().sum(dtype=float)), case.facts["corrected"]["sum"])


def worst_trace(case: Case) -> float:
    """Largest deviation of any traced quantity of the case, 0 where it has no trace."""
    from nanobrag_torch.pipeline.trace import trace_pixel

    traces = case.traces()
    if not traces:
        return 0.0
    experiment = experiment_of(case)
    layers, oversample = experiment.detector.panels[0].layers, experiment.sampling.oversample
    return max(
        max(trace_deviations(t, trace_pixel(experiment, t["slow"], t["fast"]), layers, oversample)).error
        for t in traces
    )


def markdown(titles: Sequence[str], rows: Iterable[Row]) -> str:
    """A table of the rows, worst first."""
    ordered = sorted(rows, key=lambda row: (-row.worst, row.case))
    lines = ["| case | " + " | ".join(titles) + " | worst / bound |", "|---" * (len(titles) + 2) + "|"]
    lines += [f"| {row.case} | " + " | ".join(row.cells) + f" | {row.worst:.3g} |" for row in ordered]
    return "\n".join(lines) + "\n"
