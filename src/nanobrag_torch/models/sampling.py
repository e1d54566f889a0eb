"""The settled rotation and sampling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Scan:
    """Spindle sweep: step t is at `start + step * t` about `axis` (rad; specs: crystal 9)."""

    axis: Tensor
    start: Tensor
    step: Tensor
    steps: int
    range: Tensor

    def replace(self, **changes: Any) -> Scan:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Sampling:
    """Which pixels, how finely, and which factors are taken per term (specs: intensity 1, 2, 5).

    Args:
        oversample: sub-pixels per side.
        per_term_omega: solid angle of each sub-pixel and layer instead of the cached one.
        per_term_polar: polarization of each sub-pixel, layer and source.
        per_term_thick: capture fraction of each sub-pixel and layer.
        dmin: resolution limit (Å), 0 = none.
        roi: (xmin, xmax, ymin, ymax), inclusive, x fast; may reach beyond the detector.
        masks: per panel a boolean array [slow, fast] of the pixels to render, or `None` for all.
    """

    oversample: int
    per_term_omega: bool
    per_term_polar: bool
    per_term_thick: bool
    dmin: float
    roi: tuple[int, int, int, int]
    masks: tuple[np.ndarray, ...] | None

    def replace(self, **changes: Any) -> Sampling:
        """A copy with some fields changed."""
        return replace(self, **changes)
