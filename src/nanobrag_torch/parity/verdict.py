"""Whether two images of one command line agree: by the project's bounds, or by limits that the user gave."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanobrag_torch.parity.agreement import DOUBLE, DOUBLE_TOPHAT, image_agreement, single_problems
from nanobrag_torch.parity.metrics import Metrics
from nanobrag_torch.parity.sides import Sides

AGREE, DISAGREE, SHAPES = 0, 3, 4
"""Exit statuses of `nb-compare` that are verdicts."""
LEAST_CORRELATION, MOST_SUM = 0.999, 0.01
"""Limits beside one that was given: a shape without a scale is no agreement, nor a scale without a shape."""


@dataclass(frozen=True)
class Verdict:
    """Whether the images agree, by which criterion, and what speaks against it."""

    status: int
    criterion: str
    reasons: list[str]

    @property
    def word(self) -> str:
        """One word for it."""
        return {AGREE: "agree", SHAPES: "shapes differ"}.get(self.status, "disagree")


def judge(options: argparse.Namespace, metrics: Metrics, promised: list[str]) -> Verdict:
    """The verdict by the options' own limits, else by `promised`: what speaks against the promised bounds."""
    if options.threshold is None and options.sum_tolerance is None and options.l2_tolerance is None:
        return Verdict(_status(promised), f"the project's bounds for {options.dtype or 'float64'}", promised)
    least, most_sum, most_l2 = limits(options)
    reasons = [text for text in promised if "not finite" in text]
    if not metrics.correlation >= least:
        reasons.append(f"correlation {metrics.correlation:.9g} is below {least:g}")
    if not abs(metrics.sum_ratio - 1.0) <= most_sum:
        reasons.append(f"the sum ratio {metrics.sum_ratio:.9g} is off by more than {most_sum:g}")
    if not metrics.relative_l2 <= most_l2:
        reasons.append(f"the relative L2 {metrics.relative_l2:.9g} is more than {most_l2:g}")
    criterion = f"correlation at least {least:g}, sums equal within {most_sum:g}, relative L2 at most {most_l2:.3g}"
    return Verdict(_status(reasons), criterion, reasons)


def limits(options: argparse.Namespace) -> tuple[float, float, float]:
    """Least correlation, largest abs(sum ratio - 1), largest relative L2: as given, or what follows from those given.

    Images of equal sums and norms, correlated by r, differ by a relative L2 of at most sqrt(2 (1 - r)).
    """
    least = LEAST_CORRELATION if options.threshold is None else options.threshold
    most_sum = MOST_SUM if options.sum_tolerance is None else options.sum_tolerance
    most_l2 = options.l2_tolerance
    if most_l2 is None:
        most_l2 = math.sqrt(2.0 * max(1.0 - least, 0.0)) + most_sum
    return least, most_sum, most_l2


def _status(reasons: list[str]) -> int:
    return DISAGREE if reasons else AGREE


def broken_promises(options: argparse.Namespace, ours: Any, theirs: Any, sides: Sides) -> list[str]:
    """What speaks against the bounds that the project promises for the precision in use."""
    reasons = []
    for name, image in (("our image", ours), ("the C image", theirs)):
        broken = int(np.count_nonzero(~np.isfinite(image)))
        if broken:
            reasons.append(f"{name} holds {broken} values that are not finite")
    if not ours.size:
        return reasons
    if options.dtype == "float32":
        return reasons + single_problems(ours, theirs)
    tophat = sides.c.printed.get("shape") == "tophat-spot"
    return reasons + image_agreement(ours, theirs, DOUBLE_TOPHAT if tophat else DOUBLE).problems()
