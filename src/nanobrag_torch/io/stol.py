"""Amorphous-scattering tables, which have no effect on any output (specs: io_formats 8)."""

from __future__ import annotations

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike
from nanobrag_torch.io.text_table import read_rows


def check_stol(path: PathLike) -> int:
    """The number of lines of a two-column table that is only checked for being readable.

    Raises:
        FileFormatError: missing, malformed or empty.
    """
    rows = sum(1 for _ in read_rows(path, 2))
    if not rows:
        raise FileFormatError(path, "", "no line in the table, expected lines `stol F`")
    return rows
