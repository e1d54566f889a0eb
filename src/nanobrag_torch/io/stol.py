"""Scattering tables: amplitude, or photons, against sin θ/λ (specs: io_formats 8)."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike, read_lines
from nanobrag_torch.io.text_table import read_rows

STOL, Q, TWOTHETA = "stol", "q", "twotheta"
_ABSCISSAE = {
    Q: re.compile(r"\bq\b|\bq_A", re.IGNORECASE),
    TWOTHETA: re.compile(r"\b(?:2th(?:eta)?|two[ -]?theta|2θ)", re.IGNORECASE),
    STOL: re.compile(r"\bstol\b|sin\(?theta\)?/lambda", re.IGNORECASE),
}
"""What names the first column in a comment."""


def check_stol(path: PathLike) -> int:
    """The number of lines of a two-column table that is only checked for being readable.

    Raises:
        FileFormatError: missing, malformed or empty.
    """
    rows = sum(1 for _ in read_rows(path, 2))
    if not rows:
        raise FileFormatError(path, "", "no line in the table, expected lines `stol F`")
    return rows


def read_stol(path: PathLike) -> NDArray[np.float64]:
    """The table [K, 2] of an amorphous material: rising sin θ/λ (1/Å) and amplitude (electrons per molecule).

    Raises:
        FileFormatError: names the line: fewer than two numbers, a negative one, or a first column that does not rise.
    """
    return _rising(path, "sin(theta)/lambda", "amplitude")


def read_curve(path: PathLike) -> tuple[NDArray[np.float64], str]:
    """A radial curve [K, 2] of photons per pixel, and what its first column holds.

    A comment that names `q` (1/Å), `2theta` (degrees) or `stol` (1/Å) says so; without one it is sin θ/λ.

    Raises:
        FileFormatError: as `read_stol`, or the comments name several.
    """
    named = set()
    for line in read_lines(path):
        if line.lstrip().startswith("#"):
            named |= {kind for kind, pattern in _ABSCISSAE.items() if pattern.search(line)}
    if len(named) > 1:
        raise FileFormatError(path, "", f"its comments name several columns ({', '.join(sorted(named))}); name one")
    kind = named.pop() if named else STOL
    return _rising(path, kind, "photons"), kind


def _rising(path: PathLike, first: str, second: str) -> NDArray[np.float64]:
    rows: list[list[float]] = []
    for number, row in read_rows(path, 2):
        where = f"line {number}"
        if math.isnan(row[0]) or math.isnan(row[1]):
            raise FileFormatError(path, where, f"expected two numbers: {first} and {second}")
        if min(row) < 0.0:
            raise FileFormatError(path, where, f"{min(row):g} is negative; {first} and {second} are 0 or more")
        if rows and row[0] <= rows[-1][0]:
            raise FileFormatError(
                path, where, f"{first} {row[0]:g} does not rise above {rows[-1][0]:g}; sort the lines"
            )
        rows.append(row)
    if len(rows) < 2:
        raise FileFormatError(path, "", f"{len(rows)} lines, expected at least two of {first} and {second}")
    return np.array(rows)
