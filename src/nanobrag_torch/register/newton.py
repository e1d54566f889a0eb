"""The last phase: Newton's method on the true objective, to a gradient that leaves nothing to be desired."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.register.coarse import LEAST_OVERLAP, overlap
from nanobrag_torch.register.hessian import hessian
from nanobrag_torch.register.objective import Objective

TOLERANCE = 1e-9
"""Length of the gradient (per pixel) at which a registration has converged."""
_ROUNDS = 60
_CHORD = 0.2
"""A Hessian is used again while the gradient falls at least by this factor a step."""
_OLD = 1e-8
"""Pixels from where it was computed within which a Hessian is reported as that of the result."""


@dataclass(frozen=True)
class Minimum:
    """Where Newton's method ended: parameters [n], value, length of the gradient, Hessian [n, n], steps."""

    parameters: Tensor
    value: float
    gradient: float
    hessian: Tensor
    steps: int

    @property
    def converged(self) -> bool:
        """Whether it is a minimum: a gradient of 1e-9 or less, and a Hessian that is positive definite."""
        lowest = float(torch.linalg.eigvalsh(self.hessian)[0])
        return self.gradient <= TOLERANCE and lowest > 1e-14 * float(self.hessian.diagonal().abs().max())


def _direction(matrix: Tensor, gradient: Tensor) -> Tensor:
    """Newton's step, with curvatures that are negative or nearly 0 replaced so that it leads down."""
    values, vectors = torch.linalg.eigh(matrix)
    safe = values.abs().clamp(min=1e-10 * float(values.abs().max()) + 1e-300)
    step: Tensor = vectors @ ((vectors.T @ gradient) / safe)
    return -step


def _searched(
    goal: Objective, p: Tensor, value: Tensor, gradient: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Parameters, value and gradient after the longest of the halved steps that leads down; `None` if none does."""
    slack = 1e-14 * (1.0 + abs(float(value)))
    for halving in range(30):
        tried = p + direction * 0.5**halving
        if overlap(goal, tried) < LEAST_OVERLAP:
            continue
        found, slope = goal.gradient(tried)
        falls = bool(found < value - 1e-4 * 0.5**halving * float((direction @ gradient).abs()))
        if falls or (bool(found <= value + slack) and bool(slope.norm() < gradient.norm())):
            return tried, found, slope
    return None


def newton(goal: Objective, start: Tensor) -> Minimum:
    """The minimum near a start [n].

    The Hessian is computed again only when the gradient falls too slowly; once the gradient is small enough, one
    more step takes it to rounding.
    """
    p = start.detach()
    value, gradient = goal.gradient(p)
    matrix, made_at, fresh = hessian(goal, p), p, True
    steps = 0
    while steps < _ROUNDS:
        done = float(gradient.norm()) <= TOLERANCE
        if done and float((p - made_at).abs().max()) > _OLD:
            matrix, made_at, fresh = hessian(goal, p), p, True
        before = gradient.norm()
        found = _searched(goal, p, value, gradient, _direction(matrix, gradient))
        steps += 1
        if found is not None:
            p, value, gradient = found
        if done or (found is None and fresh):
            break
        fresh = False
        if found is None or gradient.norm() > _CHORD * before:
            matrix, made_at, fresh = hessian(goal, p), p, True
    if float((p - made_at).abs().max()) > _OLD:
        matrix = hessian(goal, p)
    return Minimum(p, float(value), float(gradient.norm()), matrix, steps)
