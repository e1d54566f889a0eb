"""Rotation and sampling as specified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nanobrag_torch.config.values import Real, Vector

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class SamplingConfig:
    """Spindle sweep, sub-pixels, resolution limit, region and mask (specs: crystal 9, intensity 1 and 5).

    `roi` is (xmin, xmax, ymin, ymax) in pixels, inclusive, x fast. `mask` is an array [slow, fast] (or one per
    panel), 0 = skipped; `mask_file` an SMV file.
    """

    phi_deg: Real | None = None
    osc_deg: Real | None = None
    phi_step_deg: Real | None = None
    phi_steps: int | None = None
    spindle_axis: Vector | None = None
    oversample: int | None = None
    oversample_thick: bool = False
    oversample_polar: bool = False
    oversample_omega: bool = False
    dmin_A: float | None = None
    roi: tuple[int, int, int, int] | None = None
    mask_file: str | None = None
    mask: np.ndarray | tuple[np.ndarray, ...] | None = None
