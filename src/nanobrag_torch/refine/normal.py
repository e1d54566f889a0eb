"""Normal equations in blocks: what is shared, what belongs to one shot, and planes that belong to one region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_RIDGE = 1e-12
"""What keeps a step finite in directions without information, beside raw parameters of natural size."""
UNDETERMINED = 1e-12
"""Eigenvalue of the correlations of information below which nothing determines a direction."""


@dataclass(frozen=True)
class Normal:
    """Gradient and Fisher information of one shot in its n parameters, the shared ones first, and R planes.

    Args:
        loss: half the deviance.
        matrix, gradient: of the parameters, [n, n] and [n].
        cross, block, slope: of the planes, [R, 3, n], [R, 3, 3] and [R, 3]; R may be 0.
    """

    loss: float
    matrix: Tensor
    gradient: Tensor
    cross: Tensor
    block: Tensor
    slope: Tensor


@dataclass(frozen=True)
class Step:
    """A step: `shared` [K], per shot `own` [k] and `planes` [R, 3], and the decrease that it promises."""

    shared: Tensor
    own: tuple[Tensor, ...]
    planes: tuple[Tensor, ...]
    promised: float


def assemble(jacobian: Tensor, score: Tensor, information: Tensor, design: Tensor, labels: Tensor) -> Normal:
    """The blocks of one shot from its pixels: J [P, n], score [P], information [P], planes' design [P, 3] (loss 0)."""
    count = int(labels.max()) + 1 if design.shape[1] else 0
    weighted = information[:, None] * jacobian
    matrix, gradient = jacobian.T @ weighted, jacobian.T @ score
    size = design.shape[1]
    cross = jacobian.new_zeros(count, size, jacobian.shape[1])
    block = jacobian.new_zeros(count, size, size)
    slope = jacobian.new_zeros(count, size)
    if count:
        cross.index_add_(0, labels, design[:, :, None] * weighted[:, None, :])
        block.index_add_(0, labels, information[:, None, None] * design[:, :, None] * design[:, None, :])
        slope.index_add_(0, labels, design * score[:, None])
    return Normal(0.0, matrix, gradient, cross, block, slope)


def without_planes(normal: Normal, damping: float = 0.0) -> tuple[Tensor, Tensor]:
    """Matrix [n, n] and gradient [n] of a shot with its planes profiled out (Schur complement)."""
    matrix, gradient = _damped(normal.matrix, damping), normal.gradient
    if not len(normal.block):
        return matrix, gradient
    solved = torch.linalg.solve(_damped(normal.block, damping), torch.cat([normal.cross, normal.slope[..., None]], 2))
    taken = torch.einsum("rin,rim->nm", normal.cross, solved)
    return matrix - taken[:, :-1], gradient - taken[:, -1]


def solve(normals: Sequence[Normal], shared: int, damping: float) -> Step:
    """The damped step of all shots together; memory beyond the blocks is that of one shot."""
    size = normals[0].matrix.shape[0]
    total = normals[0].matrix.new_zeros(shared, shared)
    slope = normals[0].matrix.new_zeros(shared)
    kept = []
    for normal in normals:
        matrix, gradient = without_planes(normal, damping)
        own = matrix[shared:, shared:]
        if size > shared:
            solved = _solved(own, torch.cat([matrix[shared:, :shared], gradient[shared:, None]], 1))
        else:
            solved = matrix.new_zeros(0, shared + 1)
        taken = matrix[:shared, shared:] @ solved
        total = total + matrix[:shared, :shared] - taken[:, :-1]
        slope = slope + gradient[:shared] - taken[:, -1]
        kept.append(solved)
    common = -_solved(total, slope[:, None])[:, 0] if shared else slope
    own_steps = tuple(-(solved[:, -1] + solved[:, :-1] @ common) for solved in kept)
    planes = []
    promised = 0.0
    for normal, mine in zip(normals, own_steps, strict=True):
        whole = torch.cat([common, mine])
        promised -= 0.5 * float(normal.gradient @ whole)
        if len(normal.block):
            right = normal.slope + normal.cross @ whole
            moved = -torch.linalg.solve(_damped(normal.block, damping), right)
            promised -= 0.5 * float((normal.slope * moved).sum())
        else:
            moved = normal.slope
        planes.append(moved)
    return Step(common, own_steps, tuple(planes), promised)


def covariances(normals: Sequence[Normal], shared: int) -> list[Tensor]:
    """Per shot, the joint covariance [n, n] of shared and own parameters, everything else profiled out."""
    reduced = [without_planes(normal)[0] for normal in normals]
    total = reduced[0].new_zeros(shared, shared)
    links = []
    for matrix in reduced:
        inverse = _inverse(matrix[shared:, shared:])
        link = inverse @ matrix[shared:, :shared]
        total = total + matrix[:shared, :shared] - matrix[:shared, shared:] @ link
        links.append((inverse, link))
    common = _inverse(total)
    found = []
    for inverse, link in links:
        corner = -common @ link.T
        found.append(torch.cat([torch.cat([common, corner], 1), torch.cat([corner.T, inverse - link @ corner], 1)]))
    return found


def _inverse(matrix: Tensor) -> Tensor:
    """Of a positive matrix, by the eigenvalues of its correlations; huge in directions that nothing determines."""
    if not len(matrix):
        return matrix
    width = matrix.diagonal().clamp_min(0.0).sqrt()
    scale = torch.where(width > 0.0, 1.0 / torch.where(width > 0.0, width, torch.ones_like(width)), 1.0)
    values, vectors = torch.linalg.eigh(scale[:, None] * matrix * scale)
    inverse = (vectors / values.clamp_min(UNDETERMINED)) @ vectors.T
    covariance: Tensor = scale[:, None] * inverse * scale
    return covariance


def _damped(matrix: Tensor, damping: float) -> Tensor:
    """Marquardt's: the diagonal grows by a fraction of itself."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    if damping == 0.0:
        return matrix + torch.diag_embed(torch.where(diagonal > 0.0, 0.0, _RIDGE).to(matrix.dtype))
    return matrix + torch.diag_embed(damping * diagonal + _RIDGE)


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    found: Tensor = torch.linalg.solve(matrix + _RIDGE * torch.eye(len(matrix), dtype=matrix.dtype), right)
    return found
