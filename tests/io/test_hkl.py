from __future__ import annotations

import time

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.hkl import read_hkl


def table(path, text):
    path.write_bytes(text.encode("latin-1"))
    return path


def test_grid_is_prefilled_and_spans_the_indices(tmp_path):
    grid = read_hkl(table(tmp_path / "a.hkl", "0 0 1 5\n-1 2 1 7.5\n"), default_F=3.0)
    assert grid.origin == (-1, 0, 1)
    assert grid.values.shape == (2, 3, 1)
    assert grid.values[1, 0, 0] == 5.0
    assert grid.values[0, 2, 0] == 7.5
    assert (grid.values == 3.0).sum() == 4
    assert (grid.count, grid.default_F) == (2, 3.0)
    assert grid.given.sum() == 2


def test_later_duplicates_count(tmp_path):
    grid = read_hkl(table(tmp_path / "a.hkl", "0 0 0 1\n1 0 0 2\n0 0 0 3\n1 0 0 -4\n"))
    assert grid.values.ravel().tolist() == [3.0, -4.0]
    assert grid.count == 4


def test_comments_blank_lines_line_ends_and_whole_reals(tmp_path):
    """specs: deviations D23."""
    text = "# h k l F\r\n\r\n  1.0 -2e0\t3. 4\r\n   # more\r\n1 -2 4 5"
    grid = read_hkl(table(tmp_path / "a.hkl", text))
    assert grid.origin == (1, -2, 3)
    assert grid.values.ravel().tolist() == [4.0, 5.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 0 1 5\n0 0 1.5 5\n", "line 2: l is '1.5', not a whole number, expected `h k l F`"),
        ("# x\n0 0 1 5 0.3\n", "line 2: 5 fields"),
        ("0 0 1\n", "line 1: 3 fields"),
        ("0 0 0 1\n\n0 x 1 5\n", "line 3: k is 'x', not a number"),
        ("0 0 1 nan\n", "line 1: F is 'nan', not a finite"),
        ("0 0 inf 1\n", "line 1: l is 'inf', not a finite"),
        ("0 0 1 5 # good\n", "line 1: 6 fields"),
        ("0 0 1 1_0\n", "line 1: F is '1_0', not a number"),
        ("1e12 0 1 5\n", "line 1: h is '1e12', not a whole number"),
        ("0 0 0 1\n2000 2000 2000 1\n", "too large for a grid"),
        ("", "no reflection"),
        ("# nothing\n\n", "no reflection"),
        ("\x89PNG\x00\x01 0 0 1", "line 1"),
    ],
)
def test_anything_else_names_its_line(tmp_path, text, words):
    with pytest.raises(FileFormatError, match=words) as caught:
        read_hkl(table(tmp_path / "a.hkl", text))
    assert str(tmp_path / "a.hkl") in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileFormatError, match="unable to open"):
        read_hkl(tmp_path / "missing.hkl")


def test_a_large_table_is_read_quickly(tmp_path):
    h, k, l = np.indices((41, 41, 39)).reshape(3, -1) - 20
    rows = np.stack([h, k, l, 0.5 * (h + k + l)], axis=1)
    np.savetxt(tmp_path / "a.hkl", rows, fmt="%d %d %d %.2f")
    start = time.process_time()
    grid = read_hkl(tmp_path / "a.hkl")
    assert time.process_time() - start < 1.0  # 0.1 s on a quiet machine
    np.testing.assert_array_equal(grid.values.ravel(), rows[:, 3])


@pytest.mark.golden
def test_golden_tables(golden_folder):
    grid = read_hkl(golden_folder / "inputs" / "scaled.hkl")
    assert grid.count == 64333
    assert grid.values.shape == (49, 57, 62)
    for path in sorted((golden_folder / "inputs").glob("*.hkl")):
        plain = np.loadtxt(path)
        grid = read_hkl(path)
        indices = plain[:, :3].astype(int) - grid.origin
        np.testing.assert_array_equal(grid.values[tuple(indices.T)], plain[:, 3])
