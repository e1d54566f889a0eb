"""Local backgrounds: in every region of pixels the exponential of a plane, which is positive wherever it leads.

The level of a region without a count, and the slopes of one with few, are held by weak normal priors: a level within a
factor of e^2 or so of where it starts, a rise of half the level over half a region. Backgrounds are profiled out: for
any spots they are the most likely ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nanobrag_torch.refine.likelihood import Noise, Scored, scored

SMALLEST = 0.02
"""Photons a pixel of which a region without a count starts."""
WIDTHS = (2.0, 0.5, 0.5)
"""Standard deviations of the priors of a level's logarithm and of its two slopes."""
_STEPS, _ENOUGH, _LONGEST = 12, 1e-9, 2.0
"""Steps of a profile, the promised decrease of the loss that ends them, and the longest step of a logarithm."""


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


def stiffness() -> Tensor:
    """Second derivatives [3] of the priors."""
    return torch.tensor([1.0 / width**2 for width in WIDTHS], dtype=torch.float64)


def prior(planes: Tensor, begun: Tensor) -> Tensor:
    """Losses [R] of the priors of planes that started at `begun` [R, 3]."""
    return 0.5 * (stiffness() * (planes - begun) ** 2).sum(1)


def profiled(
    spots: Tensor, observed: Tensor, noise: Noise, design: Tensor, labels: Tensor, at: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Scored]:
    """The most likely planes [R, 3] under given spots [P], their level [P], and the likelihood there.

    Newton's steps by the Fisher information, region by region, each halved until it is better.

    Args:
        spots: photons.
        observed: [P] counts.
        noise: of the detector.
        design: [P, 3] of the planes.
        labels: [P] regions.
        at: where to start, and the middle of the priors, each [R, 3].
    """
    planes, begun = at
    stiff = stiffness()
    count = len(planes)
    behind = level(design, planes, labels)
    found = scored(spots + behind, observed, noise)
    loss = _by_region(found, labels, count) + prior(planes, begun)
    for _ in range(_STEPS):
        slopes = behind[:, None] * design
        gradient = torch.zeros_like(planes).index_add_(0, labels, slopes * found.score[:, None])
        gradient = gradient + stiff * (planes - begun)
        matrix = planes.new_zeros(count, 3, 3)
        matrix.index_add_(0, labels, found.information[:, None, None] * slopes[:, :, None] * slopes[:, None, :])
        step = -torch.linalg.solve(matrix + torch.diag(stiff), gradient[..., None])[..., 0]
        step = step * (_LONGEST / step.abs().amax(1).clamp_min(_LONGEST))[:, None]
        if float((-0.5 * (gradient * step).sum(1)).max()) < _ENOUGH:
            break
        for _ in range(8):
            moved = planes + step
            behind = level(design, moved, labels)
            found = scored(spots + behind, observed, noise)
            there = _by_region(found, labels, count) + prior(moved, begun)
            worse = there > loss
            if not bool(worse.any()):
                break
            step = torch.where(worse[:, None], 0.5 * step, step)
        planes, loss = torch.where(worse[:, None], planes, moved), torch.minimum(loss, there)
        if bool(worse.any()):
            behind = level(design, planes, labels)
            found = scored(spots + behind, observed, noise)
    return planes, behind, found


def _by_region(found: Scored, labels: Tensor, count: int) -> Tensor:
    return found.terms.new_zeros(count).index_add_(0, labels, found.terms)
