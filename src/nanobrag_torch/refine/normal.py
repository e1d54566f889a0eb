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
        places: [s] which of all shared parameters the shared ones of this shot are, ascending; `None`: all of them.
    """

    loss: float
    matrix: Tensor
    gradient: Tensor
    cross: Tensor
    block: Tensor
    slope: Tensor
    places: Tensor | None = None

    def shared(self, count: int) -> Tensor:
        """Numbers [s] of this shot's shared parameters among all `count`."""
        return torch.arange(count) if self.places is None else self.places


@dataclass(frozen=True)
class Prior:
    """Independent normal priors of all shared parameters.

    Args:
        pull: d loss / d parameter [K].
        stiffness: the second derivative [K].
        loss: the value.
    """

    pull: Tensor
    stiffness: Tensor
    loss: float = 0.0


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


def solve(normals: Sequence[Normal], shared: int, damping: float, prior: Prior | None = None) -> Step:
    """The damped step of all shots together; memory beyond the blocks is that of one shot and of what is shared."""
    total = normals[0].matrix.new_zeros(shared, shared)
    slope = normals[0].matrix.new_zeros(shared)
    kept = []
    for normal in normals:
        matrix, gradient = without_planes(normal, damping)
        places = normal.shared(shared)
        count = len(places)
        if len(matrix) > count:
            solved = _solved(matrix[count:, count:], torch.cat([matrix[count:, :count], gradient[count:, None]], 1))
        else:
            solved = matrix.new_zeros(0, count + 1)
        taken = matrix[:count, count:] @ solved
        total[places[:, None], places] += matrix[:count, :count] - taken[:, :-1]
        slope.index_add_(0, places, gradient[:count] - taken[:, -1])
        kept.append(solved)
    promised = 0.0
    if prior is not None:
        total += torch.diag(prior.stiffness)
        slope = slope + prior.pull
    common = -_solved(total, slope[:, None])[:, 0] if shared else slope
    if prior is not None:
        promised -= 0.5 * float(prior.pull @ common)
    own_steps, planes = [], []
    for normal, solved in zip(normals, kept, strict=True):
        seen = common[normal.shared(shared)]
        mine = -(solved[:, -1] + solved[:, :-1] @ seen)
        whole = torch.cat([seen, mine])
        promised -= 0.5 * float(normal.gradient @ whole)
        moved = normal.slope
        if len(normal.block):
            right = normal.slope + normal.cross @ whole
            moved = -torch.linalg.solve(_damped(normal.block, damping), right)
            promised -= 0.5 * float((normal.slope * moved).sum())
        own_steps.append(mine)
        planes.append(moved)
    return Step(common, tuple(own_steps), tuple(planes), promised)


@dataclass(frozen=True)
class Covariances:
    """Of all shared parameters [K, K], and per shot of its shared and own parameters [n, n]."""

    shared: Tensor
    shots: tuple[Tensor, ...]


def covariances(normals: Sequence[Normal], shared: int, prior: Prior | None = None) -> Covariances:
    """The joint covariances of shared and own parameters, everything else profiled out."""
    total = normals[0].matrix.new_zeros(shared, shared)
    links = []
    for normal in normals:
        matrix, _ = without_planes(normal)
        places = normal.shared(shared)
        count = len(places)
        inverse = _inverse(matrix[count:, count:])
        link = inverse @ matrix[count:, :count]
        total[places[:, None], places] += matrix[:count, :count] - matrix[:count, count:] @ link
        links.append((inverse, link))
    if prior is not None:
        total += torch.diag(prior.stiffness)
    common = _inverse(total)
    found = []
    for normal, (inverse, link) in zip(normals, links, strict=True):
        places = normal.shared(shared)
        mine = common[places[:, None], places]
        corner = -mine @ link.T
        found.append(torch.cat([torch.cat([mine, corner], 1), torch.cat([corner.T, inverse - link @ corner], 1)]))
    return Covariances(common, tuple(found))


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
