"""Amorphous materials: the amplitude per molecule as a function of sin θ/λ."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Table:
    """A material of `column` molecules per area (1/m²) whose molecules scatter F(sin θ/λ).

    Args:
        stol: [K] rising sin θ/λ (1/Å).
        amplitude: [K] electrons per molecule: F² is the intensity of one molecule over that of one electron.
        column: [] thickness · density · N_A / molar mass (1/m²).
    """

    stol: Tensor
    amplitude: Tensor
    column: Tensor

    def to(self, device: torch.device) -> Table:
        """The table on another device."""
        return Table(self.stol.to(device), self.amplitude.to(device), self.column.to(device))

    def per_area(self, stol: Tensor) -> Tensor:
        """Column times F² at sin θ/λ [P]: electrons² per area (1/m²), [P]."""
        amplitude = interpolate(self.stol, self.amplitude, stol)
        return self.column * (amplitude * amplitude)


def interpolate(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
    """Monotone cubic interpolation of knots (x, y) [K] at points [P]; the first and last value hold beyond.

    Hermite cubics with the slopes of Fritsch and Butland (SIAM J. Sci. Stat. Comput. 5, 300 (1984)): between two knots
    the curve stays between their values, and it is smooth. Differentiable in y and, within the range, in `at`.
    """
    slopes = _slopes(x, y)
    clipped = torch.clamp(at, x[0], x[-1])
    k = torch.clamp(torch.searchsorted(x.detach(), clipped.detach(), right=True) - 1, 0, len(x) - 2)
    width = x[k + 1] - x[k]
    t = (clipped - x[k]) / width
    left, right = y[k], y[k + 1]
    s = 1.0 - t
    hermite = s * s * (1.0 + 2.0 * t) * left + t * t * (3.0 - 2.0 * t) * right
    return hermite + width * t * s * (s * slopes[k] - t * slopes[k + 1])


def _slopes(x: Tensor, y: Tensor) -> Tensor:
    """Derivatives [K] at the knots: weighted harmonic means within, 0 at extremes, three-point formulas at the ends."""
    h, d = x[1:] - x[:-1], (y[1:] - y[:-1]) / (x[1:] - x[:-1])
    if len(x) == 2:
        return torch.cat([d, d])
    before, after = d[:-1], d[1:]
    rising = (before.detach() * after.detach()) > 0
    w1, w2 = 2.0 * h[1:] + h[:-1], h[1:] + 2.0 * h[:-1]
    one = torch.ones_like(before)
    inverse = w1 / torch.where(rising, before, one) + w2 / torch.where(rising, after, one)
    inside = torch.where(rising, (w1 + w2) / torch.where(rising, inverse, one), torch.zeros_like(one))
    return torch.cat([_end(h[0], h[1], d[0], d[1]), inside, _end(h[-1], h[-2], d[-1], d[-2])])


def _end(h0: Tensor, h1: Tensor, d0: Tensor, d1: Tensor) -> Tensor:
    """The one-sided slope [1] at an end, kept from overshooting."""
    slope = ((2.0 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    found, first, second = slope.detach(), d0.detach(), d1.detach()
    too_steep = (first * second <= 0) & (found.abs() > 3.0 * first.abs())
    kept = torch.where(too_steep, 3.0 * d0, slope)
    return torch.where(found * first <= 0, torch.zeros_like(kept), kept).reshape(1)
