"""Normal equations in blocks: what all shots share, what belongs to one, and backgrounds that belong to one region.

Backgrounds are profiled out of each shot at once (`without_planes`). Of a shot only the rows of its own parameters are
kept, so that memory beyond what is shared is a few numbers a shot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

_RIDGE = 1e-12
"""What keeps a step finite in directions without information, beside raw parameters of natural size."""
UNDETERMINED = 1e-12
"""Eigenvalue of the correlations of information below which nothing determines a direction."""


@dataclass(frozen=True)
class Normal:
    """Gradient and Fisher information of one shot in its n parameters, the shared ones first, and R backgrounds.

    Args:
        matrix, gradient: of the parameters, [n, n] and [n].
        cross, block, slope: of the backgrounds, [R, 3, n], [R, 3, 3] and [R, 3]; R may be 0.
    """

    matrix: Tensor
    gradient: Tensor
    cross: Tensor
    block: Tensor
    slope: Tensor


@dataclass(frozen=True)
class Rows:
    """What is kept of a shot with s shared and k parameters of its own.

    Args:
        matrix: [k, s + k] rows of the information.
        gradient: [k].
        places: [s] which of all shared parameters its shared ones are, ascending.
    """

    matrix: Tensor
    gradient: Tensor
    places: Tensor

    @property
    def own(self) -> Tensor:
        """Information [k, k] in the parameters of the shot alone."""
        return self.matrix[:, len(self.places) :]


@dataclass(frozen=True)
class Equations:
    """Normal equations of all shots, backgrounds profiled out.

    Args:
        total, slope: of the K shared parameters, [K, K] and [K], priors included.
        rows: of each shot.
        loss: half the deviance, priors included.
    """

    total: Tensor
    slope: Tensor
    rows: tuple[Rows, ...]
    loss: float


@dataclass(frozen=True)
class Step:
    """A step: `shared` [K], per shot `own` [k], and the decrease that it promises."""

    shared: Tensor
    own: tuple[Tensor, ...]
    promised: float


def assemble(jacobian: Tensor, score: Tensor, information: Tensor, design: Tensor, labels: Tensor) -> Normal:
    """The blocks of one shot from its pixels: J [P, n], score [P], information [P], backgrounds' design [P, 3]."""
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
    return Normal(matrix, gradient, cross, block, slope)


def without_planes(normal: Normal) -> tuple[Tensor, Tensor]:
    """Matrix [n, n] and gradient [n] of a shot with its backgrounds profiled out (Schur complement)."""
    if not len(normal.block):
        return normal.matrix, normal.gradient
    block = normal.block + _RIDGE * torch.eye(normal.block.shape[-1], dtype=normal.block.dtype)
    solved = torch.linalg.solve(block, torch.cat([normal.cross, normal.slope[..., None]], 2))
    taken = torch.einsum("rin,rim->nm", normal.cross, solved)
    return normal.matrix - taken[:, :-1], normal.gradient - taken[:, -1]


def solve(equations: Equations, damping: float) -> Step:
    """The damped step (Marquardt) of all shots together."""
    total, slope = _damped(equations.total, damping), equations.slope.clone()
    kept = []
    for rows in equations.rows:
        places, count = rows.places, len(rows.places)
        solved = rows.matrix.new_zeros(0, count + 1)
        if len(rows.gradient):
            right = torch.cat([rows.matrix[:, :count], rows.gradient[:, None]], 1)
            solved = torch.linalg.solve(_damped(rows.own, damping), right)
            taken = rows.matrix[:, :count].T @ solved
            total[places[:, None], places] -= taken[:, :-1]
            slope.index_add_(0, places, -taken[:, -1])
        kept.append(solved)
    common = -torch.linalg.solve(total, slope[:, None])[:, 0] if len(slope) else slope
    promised = -0.5 * float(equations.slope @ common)
    own = []
    for rows, solved in zip(equations.rows, kept, strict=True):
        mine = -(solved[:, -1] + solved[:, :-1] @ common[rows.places])
        promised -= 0.5 * float(rows.gradient @ mine)
        own.append(mine)
    return Step(common, tuple(own), promised)


@dataclass(frozen=True)
class Held:
    """A parameter that a descent does not move.

    Args:
        shot: whose own it is; `None`: it is shared.
        index: which of the own ones, or of all shared ones.
    """

    shot: int | None
    index: int


def frozen(equations: Equations, which: Held) -> Equations:
    """The same equations with a parameter whose step is 0."""
    if which.shot is None:
        total, slope = _cut(equations.total, which.index, which.index), equations.slope.clone()
        slope[which.index] = 0.0
        # The column of a shared parameter in the rows of each shot that sees it.
        kept = [replace(rows, matrix=torch.where(_at(rows, which.index), 0.0, rows.matrix)) for rows in equations.rows]
        return replace(equations, total=total, slope=slope, rows=tuple(kept))
    rows = equations.rows[which.shot]
    gradient = rows.gradient.clone()
    gradient[which.index] = 0.0
    matrix = _cut(rows.matrix, which.index, len(rows.places) + which.index)
    changed = list(equations.rows)
    changed[which.shot] = replace(rows, matrix=matrix, gradient=gradient)
    return replace(equations, rows=tuple(changed))


def tangent(equations: Equations, which: Held) -> Step:
    """How the most likely values of all other parameters move with one of them (per unit of it), to first order."""
    if which.shot is None:
        slope = equations.total[:, which.index].clone()
        columns = [(rows.matrix[:, : len(rows.places)] * _at(rows, which.index)[:, : len(rows.places)]).sum(1)
            for rows in equations.rows]  # fmt: skip
    else:
        mine = equations.rows[which.shot]
        slope = torch.zeros_like(equations.slope)
        slope[mine.places] = mine.matrix[which.index, : len(mine.places)]
        columns = [torch.zeros_like(rows.gradient) for rows in equations.rows]
        columns[which.shot] = mine.own[:, which.index].clone()
    moved = [replace(rows, gradient=column) for rows, column in zip(equations.rows, columns, strict=True)]
    return solve(frozen(replace(equations, slope=slope, rows=tuple(moved)), which), 0.0)


def _at(rows: Rows, shared: int) -> Tensor:
    """Where [1, s + k] the column of a shared parameter is among a shot's."""
    beyond = torch.full((rows.matrix.shape[1] - len(rows.places),), -1, dtype=rows.places.dtype)
    return torch.cat([rows.places, beyond])[None] == shared


def _cut(matrix: Tensor, row: int, column: int) -> Tensor:
    """A copy with 0 in a row and a column, and 1 where they cross."""
    found = matrix.clone()
    found[row], found[:, column] = 0.0, 0.0
    found[row, column] = 1.0
    return found


@dataclass(frozen=True)
class Covariances:
    """Of all shared parameters [K, K], and per shot of the first c of them and its own [c + k, c + k]."""

    shared: Tensor
    shots: tuple[Tensor, ...]


def covariances(equations: Equations, leading: int | None = None) -> Covariances:
    """The joint covariances of shared and own parameters, everything else profiled out.

    Args:
        equations: at the end of a refinement, not damped.
        leading: how many of the shared parameters a shot's covariance has; all that it sees by default.
    """
    total = equations.total.clone()
    links = []
    for rows in equations.rows:
        places, count = rows.places, len(rows.places)
        inverse = _inverse(rows.own)
        link = inverse @ rows.matrix[:, :count]
        total[places[:, None], places] -= rows.matrix[:, :count].T @ link
        links.append((inverse, link))
    common = _inverse(total)
    found = []
    for rows, (inverse, link) in zip(equations.rows, links, strict=True):
        mine = common[rows.places[:, None], rows.places]
        kept = len(rows.places) if leading is None else leading
        corner = (-mine @ link.T)[:kept]
        own = inverse + link @ mine @ link.T
        found.append(torch.cat([torch.cat([mine[:kept, :kept], corner], 1), torch.cat([corner.T, own], 1)]))
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
    return matrix + torch.diag(damping * matrix.diagonal() + _RIDGE)
