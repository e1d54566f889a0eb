"""Points that fill a space evenly: sequences of low discrepancy, and small sets that stand for a distribution."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST_REFINED = 256
"""Points up to which a set is moved to the best places; larger ones are even enough as they come."""
KERNELS = (0.25, 0.5, 1.0, 2.0)
"""Widths, in standard deviations, at which a set is compared with the distribution."""
STEPS = 300
FARTHEST = math.pi
"""Largest rotation (rad)."""


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
    points = _refined(start) if 2 <= count <= LARGEST_REFINED else start
    return _standardised(points) if count >= 8 else points - points.mean(axis=0)


def gaussian_points(count: int) -> Floats:
    """Points [count, 3] that stand for the standard normal distribution in three dimensions; the same every time.

    Up to `LARGEST_REFINED` of them are moved until sums over them of Gaussians of several widths agree best with the
    integrals over the distribution (least maximum mean discrepancy). Their mean is 0 and, from 8 on, their second
    moments are those of the distribution.
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
    values, vectors = np.linalg.eigh(centred.T @ centred / len(points))
    return np.asarray(centred @ (vectors / np.sqrt(values)) @ vectors.T)


def _refined(points: Floats) -> Floats:
    """The points moved downhill in `_discrepancy` by a fixed number of steps of falling length."""
    x = points.copy()
    spacing = len(x) ** (-1.0 / 3.0)
    velocity = np.zeros_like(x)
    for step in range(STEPS):
        gradient = _discrepancy_gradient(x)
        velocity = 0.8 * velocity - gradient
        length = np.sqrt((velocity**2).mean())
        x = x + velocity * (0.1 * spacing * (1.0 - step / STEPS) / max(float(length), 1e-300))
    return x


def _discrepancy_gradient(x: Floats) -> Floats:
    """Gradient [n, 3] of the squared maximum mean discrepancy of points [n, 3] from the standard normal distribution.

    For a kernel exp(-|x - y|²/2h²) the mean over the distribution is (h²/(h² + 1))^(3/2) exp(-|x|²/2(h² + 1)).
    """
    n = len(x)
    apart = x[:, None] - x[None]
    square = (apart**2).sum(-1)
    total = np.zeros_like(x)
    for width in KERNELS:
        h2 = width * width
        pairs = np.exp(-0.5 * square / h2)
        repulsion = -(pairs[..., None] * apart).sum(1) / h2
        mean = (h2 / (h2 + 1.0)) ** 1.5 * np.exp(-0.5 * (x**2).sum(-1) / (h2 + 1.0))
        attraction = mean[:, None] * x / (h2 + 1.0)
        total += repulsion / n + attraction
    return total
