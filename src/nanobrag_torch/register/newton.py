"""The last phase: Newton's method on the true objective, to a gradient that leaves nothing to be desired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.register.coarse import LEAST_OVERLAP, curvature, overlap
from nanobrag_torch.register.hessian import hessian
from nanobrag_torch.register.objective import Objective

TOLERANCE = 1e-9
"""Length of the gradient (per pixel) at which a registration has converged."""
_ROUNDS = 60
_INNER = 60
"""Products of the Hessian and a vector that are spent on one step of a spline."""

Solve = Callable[[Tensor], Tensor]


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


def newton(goal: Objective, start: Tensor) -> Minimum:
    """The minimum near a start [n].

    Few parameters take steps with the whole Hessian. Those of a spline take steps by conjugate gradients, which need
    its products with vectors only, until the gradient is small; its Hessian is computed at the end. One more step
    there takes the gradient from small to rounding.
    """
    p, steps, spline = start.detach(), 0, goal.model.model == "spline"
    near = _solver(curvature(goal, p)) if spline else None
    value, gradient = goal.gradient(p)
    first = float(gradient.norm())
    while steps < _ROUNDS and float(gradient.norm()) > TOLERANCE:
        if near is None:
            direction = -_solver(hessian(goal, p))(gradient)
        else:
            direction = _conjugate(goal, p, near, min(0.1, float(gradient.norm()) / (first + 1e-300)))
        found = _searched(goal, p, value, gradient, direction)
        steps += 1
        if found is None:
            break
        p, value, gradient = found
    matrix = hessian(goal, p)
    found = _searched(goal, p, value, gradient, -_solver(matrix)(gradient))
    if found is not None:
        moved = float((found[0] - p).abs().max())
        p, value, gradient = found
        matrix = matrix if moved < 1e-8 else hessian(goal, p)
    return Minimum(p, float(value), float(gradient.norm()), matrix, steps)


def _solver(matrix: Tensor) -> Solve:
    """Solves with a symmetric matrix whose negative and vanishing curvatures are replaced, so that steps lead down."""
    values, vectors = torch.linalg.eigh(matrix)
    safe = values.abs().clamp(min=1e-10 * float(values.abs().max()) + 1e-300)

    def solve(right: Tensor) -> Tensor:
        found: Tensor = vectors @ ((vectors.T @ right) / safe)
        return found

    return solve


def _conjugate(goal: Objective, p: Tensor, near: Solve, accuracy: float) -> Tensor:
    """Newton's step by preconditioned conjugate gradients, cut short where the curvature is negative.

    Args:
        goal: the objective.
        p: parameters [n].
        near: solves with a matrix near the Hessian.
        accuracy: what may be left of the gradient, relative.
    """
    with torch.enable_grad():
        q = p.detach().requires_grad_()
        _, graph = goal.gradient(q, create_graph=True)
    rest = -graph.detach()
    step, wanted = torch.zeros_like(p), accuracy * float(rest.norm())
    along = near(rest)
    product = rest @ along
    for _ in range(_INNER):
        (bent,) = torch.autograd.grad(graph, q, along, retain_graph=True)
        curved = along @ bent
        if not float(curved) > 0.0:
            break
        length = product / curved
        step, rest = step + length * along, rest - length * bent
        if float(rest.norm()) <= wanted:
            break
        towards = near(rest)
        again = rest @ towards
        along, product = towards + (again / product) * along, again
    return step if bool((step != 0.0).any()) else near(-graph.detach())


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
