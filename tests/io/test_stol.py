from __future__ import annotations

import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.stol import check_stol, read_curve, read_stol


def test_lines_are_counted(tmp_path):
    (tmp_path / "a.stol").write_text("0 2.57\n0.0365 2.58\n")
    assert check_stol(tmp_path / "a.stol") == 2


@pytest.mark.parametrize(("text", "words"), [("", "no line"), ("0 water\n", "line 1: 'water'")])
def test_empty_and_malformed_tables_are_refused(tmp_path, text, words):
    (tmp_path / "a.stol").write_text(text)
    with pytest.raises(FileFormatError, match=words):
        check_stol(tmp_path / "a.stol")
    with pytest.raises(FileFormatError, match="unable to open"):
        check_stol(tmp_path / "missing.stol")


def test_tables_and_curves(tmp_path):
    (tmp_path / "a.stol").write_text("# stol F\n0 2.57\n0.0365 2.58\n")
    assert read_stol(tmp_path / "a.stol").tolist() == [[0.0, 2.57], [0.0365, 2.58]]
    assert read_curve(tmp_path / "a.stol")[1] == "stol"
    for comment, kind in (("q_A^-1 I", "q"), ("2th_deg I", "twotheta"), ("photons", "stol"), ("2theta", "twotheta")):
        (tmp_path / "c.txt").write_text(f"# {comment}\n0 1\n1 2\n")
        assert read_curve(tmp_path / "c.txt")[1] == kind


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 1\n", "1 lines, expected at least two"),
        ("0 1\n0 2\n", "line 2: .* does not rise"),
        ("0 1\n0.1 -2\n", "line 2: -2 is negative"),
        ("0\n0.1 2\n", "line 1: expected two numbers"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, words):
    (tmp_path / "a.stol").write_text(text)
    with pytest.raises(FileFormatError, match=words):
        read_stol(tmp_path / "a.stol")


def test_a_curve_names_one_column(tmp_path):
    (tmp_path / "c.txt").write_text("# q or 2theta\n0 1\n1 2\n")
    with pytest.raises(FileFormatError, match="several columns"):
        read_curve(tmp_path / "c.txt")
