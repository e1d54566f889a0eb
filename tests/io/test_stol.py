from __future__ import annotations

import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.stol import check_stol


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
