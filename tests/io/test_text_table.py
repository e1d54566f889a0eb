from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.text_table import read_rows


def rows(path, text, columns=3):
    path.write_bytes(text.encode())
    return list(read_rows(path, columns))


def test_delimiters_missing_fields_and_extra_columns(tmp_path):
    found = rows(tmp_path / "a", ",; 1,2;3 4 extra\n\n ;:!\n5\tnan!7\n8:")
    assert [number for number, _ in found] == [1, 4, 5]
    np.testing.assert_equal([row for _, row in found], [[1, 2, 3], [5, np.nan, 7], [8, np.nan, np.nan]])


def test_line_ends_and_comments_make_no_difference(tmp_path):
    """specs: deviations D13."""
    expected = rows(tmp_path / "a", "1 2\n3 4\n")
    for text in ("1 2\r\n3 4\r\n", "1 2\n3 4", "# x y\n1 2\n  # 9\n3 4"):
        np.testing.assert_equal([row for _, row in rows(tmp_path / "a", text)], [row for _, row in expected])


@pytest.mark.parametrize("word", ["x", "1x", "inf", "-inf", "1_0"])
def test_a_field_that_is_no_number_names_its_line(tmp_path, word):
    with pytest.raises(FileFormatError, match=f"line 2: '{word}' is not a number"):
        rows(tmp_path / "a", f"1 2 3\n4 {word} 6\n")
