"""Tables of structure-factor amplitudes: a grid over Miller indices, and its text form (specs: structure_factors 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike, read_lines
from nanobrag_torch.memory import available_memory
from nanobrag_torch.text import real

LARGEST_GRID = 500_000_000
"""Entries of a grid (8 bytes each) beyond which a table is refused."""
SMALL_GRID, SPARSEST = 2**24, 4096
"""Entries that any table may take; above, entries per reflection beyond which a table is refused."""
BYTES_PER_ENTRY = 26
"""What an entry takes while a table is read, rendered from and dumped."""
_LARGEST_INDEX = 2**31 - 1
_EXPECTED = "expected `h k l F`, the indices whole numbers"


@dataclass(frozen=True)
class ReflectionGrid:
    """Amplitudes on a grid of Miller indices.

    Args:
        values: float64 [H, K, L] amplitudes (electrons).
        origin: smallest (h, k, l).
        count: reflections in the file, duplicates counted; every grid point for a dump.
        default_F: amplitude outside the grid, and inside it where the file has no reflection.
        given: bool [H, K, L], where the file has a reflection; `None` = everywhere.
    """

    values: NDArray[np.float64]
    origin: tuple[int, int, int]
    count: int
    default_F: float = 0.0
    given: NDArray[np.bool_] | None = None


def read_hkl(path: PathLike, default_F: float = 0.0) -> ReflectionGrid:
    """The grid of a text file of lines `h k l F`; of two lines with the same indices the later counts.

    Blank lines and lines that start with `#` are skipped; `1.0` is a whole number (specs: deviations D23).

    Raises:
        FileFormatError: names the line: not four fields, not numbers, not whole indices, not finite; or there is
            no reflection at all, or the indices span more than a grid can hold.
    """
    lines = read_lines(path)
    table = _fast_table(lines)
    if table is None:
        table = _checked_table(path, lines)
    if not len(table):
        raise FileFormatError(path, "", f"no reflection in the file, {_EXPECTED}")
    indices = table[:, :3].astype(np.int64)
    low, high = indices.min(axis=0), indices.max(axis=0)
    shape = grid_shape(path, low, high, len(table))
    flat = np.ravel_multi_index(tuple((indices - low).T), shape)
    _, last = np.unique(flat[::-1], return_index=True)
    keep = len(flat) - 1 - last
    values = np.full(shape, default_F, dtype=np.float64)
    given = np.zeros(shape, dtype=np.bool_)
    values.flat[flat[keep]] = table[keep, 3]
    given.flat[flat[keep]] = True
    origin = int(low[0]), int(low[1]), int(low[2])
    return ReflectionGrid(values, origin, len(table), default_F, given)


def grid_shape(path: PathLike, low: NDArray[np.int64], high: NDArray[np.int64], count: int) -> tuple[int, int, int]:
    """Entries of a grid along h, k, l, found affordable before it is allocated.

    Args:
        path: the file, for errors.
        low: [3] smallest indices.
        high: [3] largest indices.
        count: reflections in the file.

    Raises:
        FileFormatError: the grid is too large, by itself, for the memory, or for so few reflections.
    """
    shape = tuple(int(n) for n in high - low + 1)
    entries, text = math.prod(shape), f"the indices span {shape[0]} x {shape[1]} x {shape[2]}"
    if entries > LARGEST_GRID:
        raise FileFormatError(path, "", f"{text}, too large for a grid")
    if entries > max(SMALL_GRID, SPARSEST * count):
        raise FileFormatError(path, "", f"{text}, and there are only {count} reflections; look for wrong indices")
    needed = entries * BYTES_PER_ENTRY
    if entries > SMALL_GRID and needed > available_memory():
        raise FileFormatError(path, "", f"{text}, whose grid needs {needed / 1e9:.3g} GB, more memory than there is")
    return shape[0], shape[1], shape[2]


def _fast_table(lines: list[str]) -> NDArray[np.float64] | None:
    """All lines at once as [n, 4], or `None` if any of them might be wrong."""
    wanted = [line for line in lines if line and not line.isspace() and not line.lstrip().startswith("#")]
    if not wanted:
        return np.empty((0, 4))
    try:
        table = np.loadtxt(wanted, dtype=np.float64, comments=None, ndmin=2)
    except ValueError:
        return None
    if table.shape[1] != 4 or not np.isfinite(table).all():
        return None
    indices = table[:, :3]
    whole = (indices == np.rint(indices)).all() and (np.abs(indices) <= _LARGEST_INDEX).all()
    return table if whole else None


def _checked_table(path: PathLike, lines: list[str]) -> NDArray[np.float64]:
    """Line by line, to find the one that is wrong."""
    rows = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if words and not words[0].startswith("#"):
            rows.append(_row(path, f"line {number}", words))
    return np.array(rows)


def _row(path: PathLike, where: str, words: list[str]) -> list[float]:
    if len(words) != 4:
        raise FileFormatError(path, where, f"{len(words)} fields, {_EXPECTED}")
    row = []
    for word, name in zip(words, ("h", "k", "l", "F"), strict=True):
        try:
            value = real(word)
        except ValueError:
            raise FileFormatError(path, where, f"{name} is {word!r}, not a number, {_EXPECTED}") from None
        if not math.isfinite(value):
            raise FileFormatError(path, where, f"{name} is {word!r}, not a finite number, {_EXPECTED}")
        if name != "F" and (value != int(value) or abs(value) > _LARGEST_INDEX):
            raise FileFormatError(path, where, f"{name} is {word!r}, not a whole number, {_EXPECTED}")
        row.append(value)
    return row
