"""What the defects of an original nanoBragg do to an image: its own words against words that keep the defects out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.parity.metrics import Metrics, Region, measure
from nanobrag_torch.parity.sides import Plan, run_c

FIGURES = ("correlation", "sum_ratio", "relative_l2", "rmse", "max_difference", "c_max", "equal_pixels")


@dataclass(frozen=True)
class Effect:
    """Figures of three comparisons over one region.

    Args:
        defects: the work-arounds that were left out, each with the number of its deviation.
        verbatim: ours against the original with the words as they are.
        corrected: ours against the original with its defects kept out.
        effect: the original with its defects against the original without; `nothing` but the defects differs.
    """

    defects: list[str]
    verbatim: Metrics
    corrected: Metrics
    effect: Metrics

    def told(self) -> dict[str, Any]:
        """As summary.json holds it."""
        return {
            "defects": self.defects,
            "verbatim": asdict(self.verbatim),
            "corrected": asdict(self.corrected),
            "effect": asdict(self.effect),
        }


def effect_of_defects(
    plan: Plan, log: Path, verbatim: NDArray[np.floating], ours: NDArray[np.floating], region: Region | None
) -> Effect | None:
    """Run the original once more with its defects kept out; `None` where the line calls none of them.

    Args:
        plan: what was run, with work-arounds on.
        log: folder for the logs `c_corrected.*`.
        verbatim: the original's image of the words as they are.
        ours: our image.
        region: the region to measure, or the whole image.
    """
    side = run_c(plan, log, "c_corrected")
    changes = [text for text in side.facts["changes"] if text.startswith("D")]
    if not changes:
        return None
    corrected = np.nan_to_num(side.image)
    return Effect(
        changes,
        measure(ours, verbatim, region),
        measure(ours, corrected, region),
        measure(verbatim, corrected, region),
    )


def effect_rows(told: Mapping[str, Any] | None) -> Iterator[str]:
    """The table for a terminal: one row per figure."""
    if told is None:
        return
    yield from told["defects"]
    yield f"{'':15} {'ours/verbatim':>14} {'ours/corrected':>14} {'verbatim/corrected':>18}"
    for name in FIGURES:
        values = (told[side][name] for side in ("verbatim", "corrected", "effect"))
        a, b, c = (f"{0.0 if value is None else value:.6g}" for value in values)
        yield f"{name:15} {a:>14} {b:>14} {c:>18}"
