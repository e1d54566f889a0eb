from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.orientations import read_orientations


@pytest.mark.parametrize("columns", [3, 4, 9, 10])
def test_tables(tmp_path, columns):
    rows = np.tile(np.concatenate([np.eye(3).reshape(-1), [2.0]]), (3, 1))[:, :columns]
    if columns == 4:
        rows[:, 3] = 1.0
    np.savetxt(tmp_path / "o.txt", rows)
    assert np.array_equal(read_orientations(tmp_path / "o.txt"), rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no orientation"),
        ("1 2\n", "line 1: 2 numbers"),
        ("1 2 3\n1 2 3 4\n", "line 2: 4 numbers, the first line has 3"),
        ("1 2 3 -1\n", "line 1: the weight -1"),
        ("1 2 3 0\n", "weight above 0"),
        ("1 0 0 0 1 0 0 0 -1\n", "line 1: the matrix is no rotation"),
        ("1 0 x\n", "line 1"),
    ],
)
def test_refusals(tmp_path, text, words):
    (tmp_path / "o.txt").write_text(text)
    with pytest.raises(FileFormatError, match=words):
        read_orientations(tmp_path / "o.txt")
