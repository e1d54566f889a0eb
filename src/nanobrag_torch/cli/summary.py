"""What a run says on a terminal when it is done: a few lines in place of the C program's report."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nanobrag_torch.text import format_g as g

if TYPE_CHECKING:
    from nanobrag_torch.cli.outputs import Results
    from nanobrag_torch.config import OutputConfig


def is_short(said: OutputConfig) -> bool:
    """Whether a run ends with a summary: on a terminal, unless it is quiet or prints pixels."""
    return sys.stdout.isatty() and not said.quiet and not said.printout


def summary_lines(results: Results, seconds: float) -> list[str]:
    """The files, the photons and the time (s) of a run."""
    from nanobrag_torch.cli.outputs import output_names

    panels = results.image.numpy()
    photons = sum(float(values.sum(dtype="float64")) for values in panels)
    sizes = {f"{values.shape[1]} x {values.shape[0]}" for values in panels}
    count = f"{len(panels)} panels of " if len(panels) > 1 else ""
    size = sizes.pop() if len(sizes) == 1 else "several sizes"
    brightest = f"the brightest pixel has {g(results.statistics.max_I)}"
    return [
        f"wrote {', '.join(output_names(results.config.output).values())}",
        f"{g(photons)} photons in {count}{size} pixels, {brightest}; {seconds:.1f} s",
        "(nanobrag ... | cat prints the whole report)",
    ]
