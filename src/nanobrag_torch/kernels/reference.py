"""The definition of the lattice sum in plain torch: differentiable to any order, the same for any chunk size."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.kernels.problem import LatticeProblem
from nanobrag_torch.kernels.shapes import AMPLITUDES, diffuse
from nanobrag_torch.numerics import fraction

POINTS_AT_ONCE = 16384
"""As many points as keep the intermediate values of one orientation in a core's cache."""


def why_not(device: torch.device, dtype: torch.dtype, shape: str, interpolation: bool) -> str | None:
    """`None`: plain torch serves every device, dtype, shape and lookup."""
    return None


def lattice_sum(S: Tensor, A: Tensor, N: Tensor, problem: LatticeProblem) -> Tensor:
    """Σ_m F_cell² F_latt² [P] of the scattering vectors S [P,3] (1/Å) and the cells A [M,3,3] (Å).

    h = A·S and its split into nearest integer and fraction are formed in double; from the fraction on in
    `problem.dtype`; the sum over orientations, in their order, in double. specs: intensity 3, 4.
    """
    flat = problem.table.flat().to(problem.dtype)
    count = N.to(problem.dtype)
    tracked = (S, A, N, flat, problem.fudge, problem.reciprocal)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tracked):
        return _points(S, A, count, flat, problem)
    parts = [_points(part, A, count, flat, problem) for part in torch.split(S, POINTS_AT_ONCE)]
    return torch.cat(parts) if parts else S.new_zeros(0)


class Reflection(NamedTuple):
    """What one orientation gives at every scattering vector, [P] each (specs: intensity 3, 4).

    `indices` h, k, l (double); `nearest` whole numbers; `delta` what is left of the indices; amplitudes `F` of the
    cell and `L` of the lattice (1 for the shape `diffuse`, which has none).
    """

    indices: tuple[Tensor, ...]
    nearest: tuple[Tensor, ...]
    delta: tuple[Tensor, ...]
    F: Tensor
    L: Tensor


def reflection(S: Tensor, cell: Tensor, N: Tensor, flat: Tensor, problem: LatticeProblem) -> Reflection:
    """The stages of one orientation, `cell` [3,3] (rows a, b, c, Å), for scattering vectors S [P,3] (1/Å).

    `N` [3] and the flattened amplitudes `flat` are in the precision of `problem`.
    """
    x, y, z = S.unbind(-1)
    h, k, l = (x * v[0] + y * v[1] + z * v[2] for v in cell)
    (h0, dh), (k0, dk), (l0, dl) = fraction(h), fraction(k), fraction(l)
    if problem.interpolation:
        F = problem.table.tricubic(h, k, l, flat)
    else:
        F = problem.table.nearest(h0, k0, l0, flat)
    fudge, reciprocal = problem.fudge.to(N.dtype), problem.reciprocal.to(N.dtype)
    delta = (dh.to(N.dtype), dk.to(N.dtype), dl.to(N.dtype))
    if problem.shape == "diffuse":
        return Reflection((h, k, l), (h0, k0, l0), delta, F, torch.ones_like(F))
    L = AMPLITUDES[problem.shape](delta, N, fudge, reciprocal, problem.radius)
    return Reflection((h, k, l), (h0, k0, l0), delta, F, L)


def _points(S: Tensor, A: Tensor, N: Tensor, flat: Tensor, problem: LatticeProblem) -> Tensor:
    total = torch.zeros_like(S[:, 0])
    for cell in A.unbind(0):
        now = reflection(S, cell, N, flat, problem)
        product = (now.F * now.L).to(total.dtype)
        square = product * product
        if problem.shape == "diffuse":
            square = square * diffuse.intensity(now.indices, now.delta, N, problem.fudge, problem.reciprocal)
        total = total + square
    return total
