from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.mosflm_matrix import read_matrix


def test_the_first_nine_numbers_count(tmp_path):
    (tmp_path / "a.mat").write_text("1 2 3\r\n4 5e-1 -6\n7 8\n 9\n 0.0 0.0 0.0\n a word\n")
    np.testing.assert_array_equal(read_matrix(tmp_path / "a.mat"), [[1, 2, 3], [4, 0.5, -6], [7, 8, 9]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 numbers, expected the nine"),
        ("1 2 3 4 5 6 7 8", "8 numbers"),
        ("1 2 3\n4 x 6\n7 8 9", "line 2: 'x' is not a number"),
        ("1 2 3\n4 5 6\n7 8 nan", "line 3: 'nan'"),
    ],
)
def test_anything_else_is_refused(tmp_path, text, words):
    (tmp_path / "a.mat").write_text(text)
    with pytest.raises(FileFormatError, match=words):
        read_matrix(tmp_path / "a.mat")


def test_a_missing_file_is_named(tmp_path):
    """specs: deviations D15."""
    with pytest.raises(FileFormatError, match="unable to open"):
        read_matrix(tmp_path / "missing.mat")
