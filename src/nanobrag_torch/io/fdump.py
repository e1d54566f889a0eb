"""The binary dump of a grid of amplitudes (specs: structure_factors 6)."""

from __future__ import annotations

import math
import re

import numpy as np

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import Opening, PathLike, read_bytes, whole_file
from nanobrag_torch.io.hkl import LARGEST_GRID, ReflectionGrid

LARGEST_INDEX = 2**31 - 1
_LONGEST_HEADER = 256
_HEADER = re.compile(rb"\s*" + rb"\s+".join([rb"(-?\d{1,10})"] * 6) + rb"\n\f")


def write_dump(path: PathLike, grid: ReflectionGrid, *, opening: Opening = whole_file, field: str = "") -> None:
    """Write a grid; an extra last plane along each axis is zero padding, whatever the default amplitude."""
    bounds = []
    for low, count in zip(grid.origin, grid.values.shape, strict=True):
        bounds += [low, low + count - 1]
    padded = np.zeros([n + 1 for n in grid.values.shape], dtype=np.float64)
    padded[:-1, :-1, :-1] = grid.values
    with opening(path, field) as file:
        file.write(" ".join(map(str, bounds)).encode("ascii") + b"\n\f")
        file.write(padded.data)


def read_dump(path: PathLike, default_F: float = 0.0) -> ReflectionGrid:
    """The grid of a dump; exactly the bytes 0x0A 0x0C are skipped behind the header (specs: deviations D11).

    Raises:
        FileFormatError: missing, not a dump, of the wrong length, or with amplitudes that are not finite.
    """
    content = read_bytes(path)
    match = _HEADER.match(content[:_LONGEST_HEADER])
    if match is None:
        raise FileFormatError(
            path, "line 1", "not a structure-factor dump: expected six whole numbers, newline, form feed"
        )
    bounds = [int(word) for word in match.groups()]
    low, high = bounds[0::2], bounds[1::2]
    shape = [b - a + 1 for a, b in zip(low, high, strict=True)]
    if min(shape) < 1 or math.prod(shape) > LARGEST_GRID or max(map(abs, bounds)) > LARGEST_INDEX:
        raise FileFormatError(path, "line 1", f"the ranges {' '.join(map(str, bounds))} are not those of a grid")
    expected = 8 * math.prod(n + 1 for n in shape)
    found = len(content) - match.end()
    if found != expected:
        raise FileFormatError(
            path, "", f"{found} bytes behind the header, expected {expected}; delete the file and use -hkl again"
        )
    padded = np.frombuffer(content, np.float64, offset=match.end()).reshape([n + 1 for n in shape])
    values = padded[:-1, :-1, :-1].copy()
    if not np.isfinite(values).all():
        raise FileFormatError(path, "", "holds an amplitude that is not a finite number")
    return ReflectionGrid(values, (low[0], low[1], low[2]), values.size, default_F)
