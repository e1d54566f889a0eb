"""Source lists: position, weight and wavelength of each source (specs: sources 7, io_formats 9)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike
from nanobrag_torch.io.text_table import read_rows

COLUMNS = 5


def read_sources(path: PathLike) -> NDArray[np.float64]:
    """The table [Q, 5]: x, y, z (m, from the sample), weight, wavelength (**m**); NaN = missing.

    Raises:
        FileFormatError: names the line: a word that is no number, a wavelength <= 0, a position of zero length; or
            there is no source.
    """
    rows = []
    for number, row in read_rows(path, COLUMNS):
        if row[4] <= 0.0:
            raise FileFormatError(path, f"line {number}", "the wavelength is not positive, expected metres")
        if row[0] == row[1] == row[2] == 0.0:
            raise FileFormatError(path, f"line {number}", "the position is 0 0 0, expected a direction")
        rows.append(row)
    if not rows:
        raise FileFormatError(path, "", "no source in the file, expected lines `x y z weight wavelength`")
    return np.array(rows)
