"""Text tables with missing fields: the rules that source and scattering tables share (specs: io_formats 9)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.reading import LARGEST_LIST, PathLike, read_lines
from nanobrag_torch.text import real

_DELIMITERS = re.compile(r"[\s,;:!]+")


def read_rows(path: PathLike, columns: int) -> Iterator[tuple[int, list[float]]]:
    """Line number and `columns` numbers of every line; NaN where a field is absent or `nan`.

    Delimiters are white space and `,` `;` `:` `!`; lines without a field and lines that start with `#` are skipped;
    fields beyond the last column are ignored (specs: deviations D13).

    Raises:
        FileFormatError: missing file, or a field that is neither a finite number nor `nan`.
    """
    for number, line in enumerate(read_lines(path, LARGEST_LIST), start=1):
        words = [word for word in _DELIMITERS.split(line) if word][:columns]
        if not words or line.lstrip().startswith("#"):
            continue
        row = [_number(path, number, word) for word in words]
        yield number, row + [math.nan] * (columns - len(row))


def _number(path: PathLike, line: int, word: str) -> float:
    try:
        value = real(word)
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise FileFormatError(path, f"line {line}", f"{word!r} is not a number, expected one (or `nan` for missing)")
    return value
