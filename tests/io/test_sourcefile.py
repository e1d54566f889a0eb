from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.sourcefile import read_sources


def test_missing_columns_are_nan(tmp_path):
    (tmp_path / "a.txt").write_text("-10 0.02 0 1 1.3e-10\n\n-10 0 0 2\n-10 nan 1\n-10")
    expected = [
        [-10, 0.02, 0, 1, 1.3e-10],
        [-10, 0, 0, 2, np.nan],
        [-10, np.nan, 1, np.nan, np.nan],
        [-10, np.nan, np.nan, np.nan, np.nan],
    ]
    np.testing.assert_equal(read_sources(tmp_path / "a.txt"), expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-10 0 0 1 0\n", "line 1: the wavelength is not positive"),
        ("# ok\n-10 0 0 1 -1e-10\n", "line 2: the wavelength"),
        ("0 0 0\n", "line 1: the position is 0 0 0"),
        ("x 0 0\n", "line 1: 'x' is not a number"),
        ("\n#\n", "no source in the file"),
    ],
)
def test_bad_sources_are_refused(tmp_path, text, words):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(FileFormatError, match=words):
        read_sources(tmp_path / "a.txt")
