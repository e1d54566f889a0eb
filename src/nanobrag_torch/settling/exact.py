"""What the exact mode settles besides the scene itself (specs: deviations F, D28 and D38)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.models import Detector, Panel
from nanobrag_torch.pipeline.render import panel_frame_of


def true_beam_position(panel: Panel, direction: Tensor, convention: str) -> dict[str, float]:
    """`Xbeam` and `Ybeam` (m) of the point that the beam [3] hits, in the coordinates of a convention.

    The inverse of the mapping of specs: geometry 4.
    """
    f, s = (float(x) for x in panel_frame_of(panel, direction, True).beam_centre.detach())
    half = float(panel.pixel_size.detach()) / 2.0
    x, y = {
        "ADXV": (f, float(panel.lengths[1].detach()) - s),
        "MOSFLM": (s - half, f - half),
        "DENZO": (s, f),
    }.get(convention, (f, s))
    return {"Xbeam": x, "Ybeam": y}


def without_antipode(
    masks: tuple[np.ndarray, ...] | None, detector: Detector, direction: Tensor
) -> tuple[np.ndarray, ...] | None:
    """Masks that leave out the pixels of a curved detector that lie beyond the point opposite the beam.

    The sphere ends where ρ = π; what a flat map shows beyond has no place on it.
    """
    if not detector.curved:
        return masks
    found = [_on_sphere(panel, direction) for panel in detector.panels]
    if all(bool(keep.all()) for keep in found):
        return masks
    if masks is None:
        return tuple(found)
    return tuple(mask & keep for mask, keep in zip(masks, found, strict=True))


def _on_sphere(panel: Panel, direction: Tensor) -> np.ndarray:
    frame = panel_frame_of(panel, direction, True)
    size = float(panel.pixel_size.detach())
    centre = frame.beam_centre.detach()
    fast = (torch.arange(panel.pixels_f, dtype=torch.float64) + 0.5) * size - centre[0]
    slow = (torch.arange(panel.pixels_s, dtype=torch.float64) + 0.5) * size - centre[1]
    limit = (math.pi * float(frame.distance.detach())) ** 2
    return np.asarray((slow * slow)[:, None] + (fast * fast) < limit)
