from __future__ import annotations

import gzip

import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.pdb_lines import check_pdb_lines

ATOM = "ATOM      1  N   ALA A   1       1.317   9.761   2.437  1.00 12.71           N  \n"


@pytest.fixture
def check(tmp_path):
    def check(text: str) -> bool:
        (tmp_path / "a.pdb").write_text(text)
        return check_pdb_lines(tmp_path / "a.pdb")

    return check


def test_a_file_that_says_where_it_ends(check):
    assert check(ATOM + "END\n")
    assert check(ATOM + "END" + " " * 77 + "\n\n")
    assert check(ATOM + "MASTER       0\n")
    assert not check(ATOM)


def test_short_lines_and_blank_fields_are_allowed(check):
    assert check(ATOM[:54] + "\nEND\n")
    assert check(ATOM[:54] + " " * 12 + ATOM[66:] + "END\n")


@pytest.mark.parametrize("length", [20, 40, 60])
def test_a_file_that_ends_within_an_atom(check, length):
    with pytest.raises(FileFormatError, match=r"a\.pdb: line 2: the file is truncated"):
        check(ATOM + ATOM[:length])


@pytest.mark.parametrize(("start", "name"), [(30, "x"), (38, "y"), (46, "z"), (54, "occupancy"), (60, "B")])
def test_a_number_that_is_none(check, start, name):
    with pytest.raises(FileFormatError, match=rf"line 1: {name} is .*'\*\*\*\*"):
        check(ATOM[:start] + "******" + ATOM[start + 6 :] + "END\n")


def test_gzipped(tmp_path):
    whole = gzip.compress((ATOM * 3 + "END\n").encode())
    (tmp_path / "a.gz").write_bytes(whole)
    assert check_pdb_lines(tmp_path / "a.gz")
    (tmp_path / "a.gz").write_bytes(whole[:30])
    with pytest.raises(FileFormatError, match="gzip"):
        check_pdb_lines(tmp_path / "a.gz")
