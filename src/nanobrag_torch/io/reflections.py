"""Reflections of one asymmetric unit, expanded to the P1 grid that a render reads (specs: structure_factors 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike
from nanobrag_torch.io.hkl import ReflectionGrid, grid_shape

if TYPE_CHECKING:
    import gemmi

Cell = tuple[float, float, float, float, float, float]
Indices = NDArray[np.int64]
Amplitudes = NDArray[np.float64]


@dataclass(frozen=True)
class Reflections:
    """A P1 grid of amplitudes with what its file says about the crystal.

    Args:
        grid: amplitudes with every symmetry and Friedel mate; its `count` is that of the expanded reflections.
        cell: a, b, c (Å), alpha, beta, gamma (degrees).
        space_group: Hermann-Mauguin name.
        source: the columns that the amplitudes come from, or how they were computed.
    """

    grid: ReflectionGrid
    cell: Cell
    space_group: str
    source: str


def grid_of(
    path: PathLike, indices: Indices, values: Amplitudes, default_F: float = 0.0, given: NDArray[np.bool_] | None = None
) -> ReflectionGrid:
    """The grid of amplitudes [n] at Miller indices [n, 3]; of equal indices the last counts.

    Args:
        path: the file they come from, for errors.
        indices: [n, 3].
        values: [n].
        default_F: amplitude outside the grid and where no reflection is given.
        given: bool [n], the entries that count; `None` = all.

    Raises:
        FileFormatError: there is no entry, or the indices span more than a grid can hold.
    """
    if given is not None:
        indices, values = indices[given], values[given]
    if not len(indices):
        raise FileFormatError(path, "", "no reflection has a value")
    low, high = indices.min(axis=0), indices.max(axis=0)
    shape = grid_shape(path, low, high, len(indices))
    grid = np.full(shape, default_F, dtype=np.float64)
    present = np.zeros(shape, dtype=np.bool_)
    place = tuple((indices - low).T)
    grid[place], present[place] = values, True
    origin = int(low[0]), int(low[1]), int(low[2])
    return ReflectionGrid(grid, origin, int(present.sum()), default_F, present)


def expand_to_p1(
    path: PathLike, indices: Indices, plus: Amplitudes, minus: Amplitudes, group: Any, default_F: float = 0.0
) -> ReflectionGrid:
    """The P1 grid of the reflections of a space group: F(hR) = F(h) for every rotation R, F(-hR) = F(-h).

    Args:
        path: the file they come from, for errors.
        indices: [n, 3] one of each set of mates (more do no harm: a reflection that is listed keeps its own value).
        plus: [n] amplitude of h, NaN = missing (then that of its Friedel mate).
        minus: [n] amplitude of -h, NaN = missing (then that of h).
        group: a `gemmi.SpaceGroup`.
        default_F: amplitude outside the grid and where no reflection is given.

    Raises:
        FileFormatError: no reflection has a value, or they span more than a grid can hold.
    """
    plus, minus = np.where(np.isnan(plus), minus, plus), np.where(np.isnan(minus), plus, minus)
    rotations = [np.array(op.rot) // op.DEN for op in group.operations().sym_ops]
    mates = [indices @ rotation for rotation in rotations]
    # Listed reflections come last, so that they keep their own values.
    places = np.concatenate([-hkl for hkl in reversed(mates)] + list(reversed(mates)))
    values = np.concatenate([minus] * len(mates) + [plus] * len(mates))
    return grid_of(path, places, values, default_F, np.isfinite(values))


def resolution(found: Reflections) -> float:
    """The smallest d (Å) of the reflections that have a value."""
    import gemmi

    grid = found.grid
    given = np.ones(grid.values.shape, dtype=np.bool_) if grid.given is None else grid.given
    vectors = (np.argwhere(given) + grid.origin) @ np.array(gemmi.UnitCell(*found.cell).frac.mat.tolist())
    return float(1.0 / np.sqrt(max(np.einsum("ni,ni->n", vectors, vectors).max(), 1e-30)))


def cell_and_group(path: PathLike, cell: gemmi.UnitCell, group: gemmi.SpaceGroup | None) -> tuple[Cell, str]:
    """The parameters of a cell and the name of a space group, as a file gives them.

    Raises:
        FileFormatError: there is no unit cell, an impossible one, or no space group.
    """
    if not cell.is_crystal():
        raise FileFormatError(path, "", "no unit cell in the file; add one")
    if not (math.isfinite(cell.volume) and cell.volume > 0):
        text = " ".join(f"{x:g}" for x in cell.parameters)
        raise FileFormatError(path, "", f"no unit cell has the parameters {text}; correct them")
    matrix = np.array(cell.frac.mat.tolist())
    if not (np.isfinite(matrix).all() and np.linalg.det(matrix) != 0.0):
        raise FileFormatError(path, "", "the matrix of the unit cell (SCALE, or fract_transf_matrix) is singular")
    if group is None:
        raise FileFormatError(path, "", "no space group in the file, or an unknown one; add it")
    a, b, c, alpha, beta, gamma = cell.parameters
    return (a, b, c, alpha, beta, gamma), str(group.hm)
