"""Orientation lists: rotation vectors or matrices, with weights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike
from nanobrag_torch.io.text_table import read_rows

VECTOR, MATRIX = 3, 9
MOST_COLUMNS = MATRIX + 1
ORTHOGONAL = 1e-4
"""How far the rows of a matrix may be from orthonormal."""


def read_orientations(path: PathLike) -> NDArray[np.float64]:
    """The table [M, 3 or 4] or [M, 9 or 10]: a rotation vector (degrees) or a matrix row by row, and perhaps a weight.

    Raises:
        FileFormatError: names the line: another number of columns, a matrix that is no rotation, a negative weight; or
            there is no line, or no weight above 0.
    """
    rows: list[list[float]] = []
    for number, padded in read_rows(path, MOST_COLUMNS):
        row = [x for x in padded if not math.isnan(x)]
        _check(path, f"line {number}", row, len(rows[0]) if rows else len(row))
        rows.append(row)
    if not rows:
        raise FileFormatError(path, "", "no orientation in the file, expected lines `x y z [weight]` in degrees")
    table = np.array(rows)
    if table.shape[1] in (VECTOR + 1, MATRIX + 1) and not table[:, -1].any():
        raise FileFormatError(path, "", "no orientation has a weight above 0")
    return table


def _check(path: PathLike, where: str, row: list[float], columns: int) -> None:
    if len(row) not in (VECTOR, VECTOR + 1, MATRIX, MATRIX + 1):
        text = "expected 3 (a rotation vector in degrees) or 9 (a matrix), and perhaps a weight"
        raise FileFormatError(path, where, f"{len(row)} numbers; {text}")
    if len(row) != columns:
        raise FileFormatError(path, where, f"{len(row)} numbers, the first line has {columns}")
    if len(row) in (VECTOR + 1, MATRIX + 1) and row[-1] < 0:
        raise FileFormatError(path, where, f"the weight {row[-1]:g} is negative")
    if len(row) >= MATRIX:
        matrix = np.array(row[:MATRIX]).reshape(3, 3)
        if np.abs(matrix @ matrix.T - np.eye(3)).max() > ORTHOGONAL or np.linalg.det(matrix) < 0:
            raise FileFormatError(
                path, where, "the matrix is no rotation: its rows are not a right-handed orthonormal set"
            )
