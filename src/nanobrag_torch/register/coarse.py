"""From nothing to near the minimum: a search at the smallest level, then damped steps level by level.

Maps with a matrix take inverse-compositional Levenberg-Marquardt steps (S. Baker, I. Matthews, Int. J. Comput. Vis.
56 (2004) 221): the derivatives are those of the fixed image, and the step that would warp it is undone in the map.
Free-form deformations take steps of the same kind along the exact gradient. Nothing here is differentiated.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from nanobrag_torch.register.hessian import assembled
from nanobrag_torch.register.objective import Objective, Pair, channels, dissimilarity, sums, warp
from nanobrag_torch.register.transforms import Transform, from_linear, nearest_affine

LEAST_OVERLAP = 0.25
"""Part of the smaller image's weight that has to lie on both images."""
_ANGLES = (0.0, 10.0, -10.0, 20.0, -20.0, 30.0, -30.0)
_KEPT = 4
_ROUNDS = 60
_SMALL_STEP = 1e-4
"""Pixels of the level: a step that is no longer than this is the last."""


def most(goal: Objective) -> float:
    """The weight that can lie on both images: that of the one with less of it."""
    return min(float(goal.pair.keep.sum()), float(goal.pair.inside.sum()))


def overlap(goal: Objective, parameters: Tensor) -> float:
    """The part of the weight that could lie on both images and does, 0 to about 1."""
    _, weight = warp(goal.pair, goal.field(parameters))
    return float(weight.sum()) / most(goal)


def value(goal: Objective, parameters: Tensor) -> float:
    """The objective, and infinity where the overlap is too small or a correlation has no contrast."""
    image, weight = warp(goal.pair, goal.field(parameters))
    if not float(weight.sum()) >= LEAST_OVERLAP * most(goal):
        return math.inf
    found = float(dissimilarity(goal.pair, sums(goal.pair, image, weight)) + goal.cost(parameters))
    return found if math.isfinite(found) else math.inf


def starts(goal: Objective, distance: float) -> list[Tensor]:
    """The best few starting parameters of a model with a matrix, best first.

    Tried are shifts up to `distance` pixels, from where the middles of both images meet, in steps of two pixels of the
    level, and turns up to 30 degrees unless the model is a shift; nothing but the first when `distance` is 0.
    """
    size, step = goal.model.size, 2.0 * goal.pair.step
    sizes = zip(goal.pair.moving.shape, goal.pair.fixed.shape, strict=True)
    middle = torch.tensor([0.5 * goal.pair.step * (m - f) for m, f in sizes], dtype=torch.float64)
    count = int(distance / step)
    steps = [k * step for k in range(-count, count + 1)]
    angles = _ANGLES if goal.model.model != "shift" and distance > 0.0 else (0.0,)
    tried = []
    for angle, slow, fast in itertools.product(angles, steps, steps):
        turn = math.radians(angle)
        matrix = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]).double()
        shift = middle + torch.tensor([slow, fast], dtype=torch.float64)
        start = from_linear(goal.model.model, matrix, shift, size).parameters
        tried.append((value(goal, start), start))
    tried.sort(key=lambda pair: pair[0])
    return [start for _, start in tried[:_KEPT]]


def _standardised(pair: Pair, image: Tensor, weight: Tensor) -> Tensor:
    """Channels as they are compared: of a correlation, without mean and in units of the standard deviation."""
    if pair.settings.similarity != "ncc":
        return image
    mean = (image * weight).sum() / weight.sum()
    return (image - mean) / torch.sqrt((weight * (image - mean) ** 2).sum() / weight.sum())


def _slopes(pair: Pair, shown: Tensor) -> Tensor:
    """Derivatives [2, K, H, W] of channels by full-size pixels."""
    return torch.stack(torch.gradient(shown, dim=(1, 2))) / pair.step


def _shapes(model: Transform, rows: Tensor, columns: Tensor) -> Tensor:
    """Displacements [n, 2, H, W] per parameter at the identity, of a model with a matrix."""
    s, f = torch.meshgrid(rows - model.centre[0], columns - model.centre[1], indexing="ij")
    s, f, zero, one = s / model.radius, f / model.radius, torch.zeros_like(s), torch.ones_like(s)
    shift = [(one, zero), (zero, one)]
    rest = {"shift": [], "rigid": [(-f, s)], "affine": [(s, zero), (f, zero), (zero, s), (zero, f)]}[model.model]
    return torch.stack([torch.stack(pair) for pair in shift + rest])


def _undone(model: Transform, step: Tensor) -> Transform:
    """T ∘ W(step)⁻¹ as a transform of the same model."""
    matrix, shift = model.linear()
    small, move = model.with_parameters(step).linear()
    back = torch.linalg.inv(small)
    return from_linear(model.model, matrix @ back, shift - matrix @ back @ move, model.size)


def compositional(goal: Objective, start: Tensor) -> tuple[float, Tensor]:
    """Value and parameters after inverse-compositional Levenberg-Marquardt steps from a start; with a matrix."""
    pair = goal.pair
    best, p = value(goal, start), start
    if math.isinf(best):
        return best, p
    shapes = _shapes(goal.model, *pair.axes())
    damping = 1e-3
    for _ in range(_ROUNDS):
        image, weight = warp(pair, goal.field(p))
        fixed = _standardised(pair, pair.reference, weight)
        slopes = _slopes(pair, fixed)
        difference = _standardised(pair, channels(pair, image), weight) - fixed
        blocks = torch.einsum("akhw,bkhw,hw->abhw", slopes, slopes, weight)
        pull = torch.einsum("akhw,khw,hw->ahw", slopes, difference, weight)
        normal = torch.einsum("iahw,abhw,jbhw->ij", shapes, blocks, shapes)
        right = torch.einsum("iahw,ahw->i", shapes, pull)
        while damping < 1e9:
            damped = normal + damping * torch.diag(normal.diagonal() + 1e-12 * normal.diagonal().max() + 1e-300)
            step = torch.linalg.solve(damped, right)
            tried = _undone(goal.model.with_parameters(p), step).parameters
            found = value(goal, tried)
            if found < best:
                break
            damping = max(damping, 1e-4) * 8.0
        else:
            return best, p
        best, p, damping = found, tried, damping * 0.2
        if float(step.abs().max()) < _SMALL_STEP * pair.step:
            break
    return best, p


def curvature(goal: Objective, parameters: Tensor) -> Tensor:
    """Gauss-Newton's matrix [n, n] of a spline, from the derivatives of the fixed image as the map bends them."""
    pair = goal.pair
    image, weight = warp(pair, goal.field(parameters))
    slopes = _slopes(pair, _standardised(pair, pair.reference, weight))
    matrix, _ = nearest_affine(goal.model.with_parameters(parameters)).linear()
    slopes = torch.einsum("ab,bkhw->akhw", torch.linalg.inv(matrix).T, slopes)
    scale = float(pair.least) if pair.settings.similarity == "ssd" else 1.0
    blocks = torch.einsum("akhw,bkhw,hw->abhw", slopes, slopes, weight)
    blocks = blocks / (slopes.shape[1] * weight.sum() * scale)
    stiff = torch.kron(torch.eye(2, dtype=image.dtype), goal.stiffness.detach())
    return assembled(goal, blocks) + stiff


def free_form(goal: Objective, start: Tensor) -> tuple[float, Tensor]:
    """Value and coefficients of a spline after damped steps along the exact gradient."""
    p, best = start, value(goal, start)
    if math.isinf(best):
        return best, p
    matrix = curvature(goal, p)
    damping = 1e-3
    _, gradient = goal.gradient(p)
    for _ in range(_ROUNDS):
        before = best
        while damping < 1e7:
            diagonal = matrix.diagonal()
            damped = matrix + torch.diag(damping * diagonal + 1e-9 * diagonal.max())
            step = -torch.cholesky_solve(gradient[:, None], torch.linalg.cholesky(damped))[:, 0]
            found = value(goal, p + step)
            if found < best:
                break
            damping = damping * 8.0
        else:
            return best, p
        p, best, damping = p + step, found, max(damping * 0.3, 1e-6)
        _, gradient = goal.gradient(p)
        if float(step.abs().max()) < 10.0 * _SMALL_STEP * goal.pair.step or before - best < 1e-7 * best:
            break
    return best, p
