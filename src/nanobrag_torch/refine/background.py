"""Local backgrounds: in every region of pixels the exponential of a plane, which is positive wherever it leads.

The level of a region without a count, and the slopes of one with few, are held by weak normal priors: a level within a
factor of e^2 or so of where it starts, a rise of half the level over half a region.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nanobrag_torch.refine.likelihood import Noise
from nanobrag_torch.refine.normal import Normal

SMALLEST = 0.02
"""Photons a pixel of which a region without a count starts."""
WIDTHS = (2.0, 0.5, 0.5)
"""Standard deviations of the priors of a level's logarithm and of its two slopes."""


def start(values: Tensor, labels: Tensor | None, noise: Noise, outer: Tensor | None = None) -> Tensor:
    """Planes [R, 3] at which regions start: level, at the mean of the counts that are no outliers.

    Args:
        values: [P] counts.
        labels: [P] regions, 0 to R - 1; `None`: no background.
        noise: of the detector.
        outer: [P] pixels that show the background; all by default.
    """
    if labels is None:
        return torch.zeros(0, 3, dtype=torch.float64)
    photons = values.to(torch.float64) / noise.gain
    found = torch.zeros(int(labels.max()) + 1, 3, dtype=torch.float64)
    for region in range(len(found)):
        inside = labels == region
        chosen = photons[inside & outer] if outer is not None and bool((inside & outer).any()) else photons[inside]
        middle = chosen.median()
        level = chosen[chosen <= middle + 3.0 * torch.sqrt(middle.clamp_min(1.0))].mean()
        found[region, 0] = torch.log(level.clamp_min(SMALLEST))
    return found


def level(design: Tensor, planes: Tensor, labels: Tensor) -> Tensor:
    """Photons [P] of the background, from the design [P, 3] of planes [R, 3]."""
    return torch.exp((design * planes[labels]).sum(1))


def held(normal: Normal, planes: Tensor, begun: Tensor) -> Normal:
    """Normal equations of a shot with the priors of its planes."""
    stiffness = torch.tensor([1.0 / width**2 for width in WIDTHS], dtype=planes.dtype)
    away = planes - begun
    return replace(
        normal,
        loss=normal.loss + 0.5 * float((stiffness * away**2).sum()),
        block=normal.block + torch.diag(stiffness),
        slope=normal.slope + stiffness * away,
    )
