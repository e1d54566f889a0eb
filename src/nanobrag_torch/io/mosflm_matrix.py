"""Orientation matrices as MOSFLM writes them (specs: crystal 3)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.reading import LARGEST_LIST, PathLike, read_lines
from nanobrag_torch.text import real


def read_matrix(path: PathLike) -> NDArray[np.float64]:
    """The first nine numbers of a file: [3, 3], rows x, y, z, columns a*, b*, c*, times wavelength (dimensionless).

    Raises:
        FileFormatError: missing, fewer than nine numbers, or a word among them that is not a finite number.
    """
    numbers: list[float] = []
    for number, line in enumerate(read_lines(path, LARGEST_LIST), start=1):
        for word in line.split():
            if len(numbers) == 9:
                break
            numbers.append(_finite(path, number, word))
    if len(numbers) < 9:
        raise FileFormatError(path, "", f"{len(numbers)} numbers, expected the nine of an orientation matrix")
    return np.array(numbers).reshape(3, 3)


def _finite(path: PathLike, line: int, word: str) -> float:
    try:
        value = real(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FileFormatError(path, f"line {line}", f"{word!r} is not a number, expected a matrix of 3 x 3 numbers")
    return value
