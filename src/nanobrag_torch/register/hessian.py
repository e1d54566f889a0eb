"""The exact Hessian of the objective by the parameters, of splines with many of them too.

The similarity is φ(s) of sums s over pixels. Its Hessian is Σ φ_j s_j'' + s'ᵀ φ'' s', where φ_j and φ'' are numbers.
In the first part a coefficient only meets those whose knots are near, so that one product with a vector gives the
columns of many coefficients that are far from each other at once (A. R. Curtis, M. J. D. Powell, J. K. Reid, IMA J.
Appl. Math. 13 (1974) 117).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nanobrag_torch.register.bspline import basis
from nanobrag_torch.register.objective import Objective, dissimilarity, sums, warp

_ELEMENTS = 20_000
"""Pixels times products that are formed at once."""


def hessian(goal: Objective, parameters: Tensor) -> Tensor:
    """Second derivatives [n, n] of the objective at parameters [n], symmetric to rounding and then exactly."""
    p = parameters.detach()
    with torch.enable_grad():
        found = _spline(goal, p) if goal.model.model == "spline" else _dense(goal, p)
    return 0.5 * (found + found.T)


def _dense(goal: Objective, parameters: Tensor) -> Tensor:
    """Column by column: for a handful of parameters."""
    p = parameters.requires_grad_()
    _, gradient = goal.gradient(p, create_graph=True)
    return torch.stack([torch.autograd.grad(g, p, retain_graph=True)[0] for g in gradient])


def _spline(goal: Objective, parameters: Tensor) -> Tensor:
    """The three parts: near neighbours, the coupling of all through the sums, bending."""
    p = parameters.requires_grad_()
    s = sums(goal.pair, *warp(goal.pair, goal.field(p)))
    kept = s.detach().requires_grad_()
    value = dissimilarity(goal.pair, kept)
    (first,) = torch.autograd.grad(value, kept, create_graph=True)
    second = torch.stack([torch.autograd.grad(x, kept, retain_graph=True)[0] for x in first])
    rows = torch.stack([torch.autograd.grad(x, p, retain_graph=True)[0] for x in s])
    stiff = torch.kron(torch.eye(2, dtype=p.dtype), goal.stiffness.detach())
    near = _blocks if goal.pair.settings.stencil == 0 else _coloured
    return near(goal, p.detach(), first.detach()) + rows.T @ second @ rows + stiff


def _coloured(goal: Objective, parameters: Tensor, factors: Tensor) -> Tensor:
    """Second derivatives of factors · sums, from products with sums of far-apart unit vectors."""
    p = parameters.requires_grad_()
    total = (factors * sums(goal.pair, *warp(goal.pair, goal.field(p)))).sum()
    (gradient,) = torch.autograd.grad(total, p, create_graph=True)
    knots, spacing = goal.model.knots, goal.model.spacing
    far = math.ceil(4.0 + 2.0 * goal.pair.settings.stencil / spacing) - 1
    place = torch.stack(torch.meshgrid(*(torch.arange(n) for n in knots), indexing="ij")).reshape(2, -1)
    count = place.shape[1]
    near = ((place[:, :, None] - place[:, None, :]).abs() <= far).all(0).repeat(2, 1)
    result = torch.zeros(len(p), len(p), dtype=p.dtype)
    period = [min(2 * far + 1, n) for n in knots]
    colour = (place[0] % period[0]) * period[1] + place[1] % period[1]
    shades = period[0] * period[1]
    probes = torch.nn.functional.one_hot(colour, shades).T.to(p.dtype).contiguous()
    probes = torch.kron(torch.eye(2, dtype=p.dtype), probes)
    at_once = max(1, _ELEMENTS // goal.pair.fixed.numel())
    for begin in range(0, 2 * shades, at_once):
        (products,) = torch.autograd.grad(
            gradient, p, probes[begin : begin + at_once], retain_graph=True, is_grads_batched=True
        )
        for product, probe in zip(products, probes[begin : begin + at_once], strict=True):
            chosen = torch.nonzero(probe)[:, 0]
            result[:, chosen] = torch.where(near[:, chosen % count], product[:, None], 0.0)
    return result


def _blocks(goal: Objective, parameters: Tensor, factors: Tensor) -> Tensor:
    """Second derivatives of factors · sums where every pixel stands alone: one 2 × 2 matrix a pixel."""
    field = goal.field(parameters).detach().requires_grad_()
    total = (factors * sums(goal.pair, *warp(goal.pair, field))).sum()
    (gradient,) = torch.autograd.grad(total, field, create_graph=True)
    slow, fast = (torch.autograd.grad(gradient[c].sum(), field, retain_graph=True)[0] for c in (0, 1))
    return assembled(goal, torch.stack([slow, fast]))


def assembled(goal: Objective, blocks: Tensor) -> Tensor:
    """Bᵀ D B [n, n] for the 2 × 2 matrices D of the pixels, [2, 2, H, W], and the B-splines B of a deformation."""
    model = goal.model
    rows, columns = goal.pair.axes()
    slow, fast = basis(rows, model.spacing, model.knots[0]), basis(columns, model.spacing, model.knots[1])
    pairs_slow = (slow[:, :, None] * slow[:, None, :]).flatten(1)
    pairs_fast = (fast[:, :, None] * fast[:, None, :]).flatten(1)
    n_slow, n_fast = model.knots
    product = torch.einsum("sa,xysf,fb->xyab", pairs_slow, blocks, pairs_fast)
    product = product.reshape(2, 2, n_slow, n_slow, n_fast, n_fast).permute(0, 2, 4, 1, 3, 5)
    count = 2 * n_slow * n_fast
    return product.reshape(count, count)
