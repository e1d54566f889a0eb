"""Points that fill a space evenly: sequences of low discrepancy, and small sets that stand for a distribution."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

SMALLEST_STANDARD, LARGEST_REFINED = 8, 256
"""Points from which the moments are those of the distribution, and up to which a set is moved to the best places."""
KERNELS = (0.35, 0.7, 1.4)
"""Widths, in standard deviations, at which a set is compared with the distribution."""
STEPS = 200


def sequence(count: int, dimensions: int) -> Floats:
    """The first points [count, dimensions] of the additive recurrence of the generalised golden ratio, in (0, 1).

    x_n = frac(1/2 + n α), α_i = φ^-i, φ the root of φ^(d+1) = φ + 1 (Roberts, 2018).
    """
    ratio = 2.0
    for _ in range(64):
        ratio = (1.0 + ratio) ** (1.0 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    return np.asarray((0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0)


@lru_cache(maxsize=32)
def _gaussian(count: int) -> Floats:
    start = torch.special.ndtri(torch.from_numpy(sequence(count, 3)))
    if count < SMALLEST_STANDARD:
        return np.asarray((start - start.mean(0)).numpy())
    start = _standardised(start)
    return np.asarray((_refined(start) if count <= LARGEST_REFINED else start).numpy())


def gaussian_points(count: int) -> Floats:
    """Points [count, 3] that stand for the standard normal distribution in three dimensions; the same every time.

    Their mean is 0 and, from 8 on, their second moments are those of the distribution. From 8 to `LARGEST_REFINED` they
    are moved until means over them of Gaussians of several widths agree best with the means over the distribution
    (least maximum mean discrepancy; Gretton et al., J. Mach. Learn. Res. 13, 723 (2012)); more are even as they come.
    """
    return _gaussian(count).copy()


def lorentzian_points(count: int) -> Floats:
    """Points [count, 3] of the density ∝ 1/(1 + r²)², whose projection on any axis is a Lorentzian of half width 1.

    The directions and the order of radii are those of `gaussian_points`; radius k solves
    (2/π)(atan r - r/(1 + r²)) = (k + 1/2)/count.
    """
    points = _gaussian(count)
    radii = np.linalg.norm(points, axis=1)
    order = np.argsort(np.argsort(radii, kind="stable"), kind="stable")
    target = (order + 0.5) / count
    low, high = np.zeros(count), np.full(count, 10.0 * count + 10.0)
    for _ in range(200):
        middle = 0.5 * (low + high)
        below = 2.0 / math.pi * (np.arctan(middle) - middle / (1.0 + middle * middle)) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    scale = np.divide(0.5 * (low + high), radii, out=np.zeros(count), where=radii > 0)
    return np.asarray(points * scale[:, None])


def _standardised(points: Tensor) -> Tensor:
    """The points, shifted and stretched to mean 0 and unit second moments."""
    centred = points - points.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(points))
    stretched: Tensor = centred @ (vectors / torch.sqrt(values)) @ vectors.T
    return stretched


def _refined(start: Tensor) -> Tensor:
    """The points of least discrepancy near `start`, among those with the moments of the distribution."""
    free = start.clone().requires_grad_()
    search = torch.optim.LBFGS([free], max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe")

    def discrepancy() -> float:
        search.zero_grad()
        value = _discrepancy(_standardised(free))
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    with torch.enable_grad():
        search.step(discrepancy)  # type: ignore[no-untyped-call]
    return _standardised(free.detach())


def _discrepancy(x: Tensor) -> Tensor:
    """Squared maximum mean discrepancy [] of points [n, 3] from the standard normal distribution, up to a constant.

    For a kernel exp(-|x - y|²/2h²) the mean over the distribution is (h²/(h² + 1))^(3/2) exp(-|x|²/2(h² + 1)).
    """
    total = torch.zeros((), dtype=x.dtype)
    apart, length = ((x[:, None] - x[None]) ** 2).sum(-1), (x * x).sum(-1)
    for width in KERNELS:
        h2 = width * width
        mean = (h2 / (h2 + 1.0)) ** 1.5 * torch.exp(-0.5 * length / (h2 + 1.0))
        total = total + torch.exp(-0.5 * apart / h2).mean() - 2.0 * mean.mean()
    return total
