"""Points that fill a space evenly: sequences of low discrepancy, and small sets that stand for a distribution."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SMALLEST_STANDARD, LARGEST_REFINED = 8, 128
"""Points from which the moments are those of the distribution, and up to which a set is moved to the best places."""
KERNELS = (0.35, 0.7, 1.4)
"""Widths, in standard deviations, at which a set is compared with the distribution."""
STEPS = 300
DIGITS = 9
"""Decimals that are kept, so that machines which round differently agree."""


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
    start = torch.special.ndtri(torch.from_numpy(sequence(count, 3))).numpy()
    if count < SMALLEST_STANDARD:
        return np.asarray(start - start.mean(axis=0))
    start = _standardised(start)
    return np.round(_refined(start) if count <= LARGEST_REFINED else start, DIGITS)


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


def _standardised(points: Floats) -> Floats:
    """The points, shifted and stretched to mean 0 and unit second moments."""
    centred = points - points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.einsum("ni,nj->ij", centred, centred) / len(points))
    return np.asarray(np.einsum("ni,ij,kj->nk", centred, vectors / np.sqrt(values), vectors))


def _refined(points: Floats) -> Floats:
    """The points of least discrepancy near some, among those with the moments of the distribution.

    Plain steps downhill: whatever rounding does to the way, it ends in the same place.
    """
    for _ in range(STEPS):
        points = _standardised(points - _slope(points))
    return points


def _slope(x: Floats) -> Floats:
    """n/2 times the gradient [n, 3] of the squared maximum mean discrepancy of points [n, 3] from the distribution.

    For a kernel exp(-|x - y|²/2h²) the mean over the distribution is (h²/(h² + 1))^(3/2) exp(-|x|²/2(h² + 1)).
    """
    total = np.zeros_like(x)
    apart, length = ((x[:, None] - x[None]) ** 2).sum(-1), (x * x).sum(-1)
    for width in KERNELS:
        h2 = width * width
        pairs = np.exp(-0.5 * apart / h2)
        mean = (h2 / (h2 + 1.0)) ** 1.5 * np.exp(-0.5 * length / (h2 + 1.0))
        repulsion = np.einsum("ij,jd->id", pairs, x) - pairs.sum(1)[:, None] * x
        total += repulsion / (h2 * len(x)) + mean[:, None] * x / (h2 + 1.0)
    return total
