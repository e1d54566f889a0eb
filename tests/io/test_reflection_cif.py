from __future__ import annotations

import gzip

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.reflection_cif import read_reflection_cif

HEAD = """data_r1abcsf
_cell.length_a 30
_cell.length_b 40
_cell.length_c 50
_cell.angle_alpha 90
_cell.angle_beta 100
_cell.angle_gamma 90
"""
GROUP = "_symmetry.space_group_name_H-M 'P 1 21 1'\n"
COLUMNS = "F_meas_au pdbx_F_plus pdbx_F_minus intensity_meas status"
ROWS = "1 2 3 10.0 11.0 9.0 144.0 o\n2 1 0 20.0 ? 19.0 -4.0 f\n"


def text(columns=COLUMNS, rows=ROWS, head=HEAD + GROUP):
    names = "".join(f"_refln.{name}\n" for name in ["index_h", "index_k", "index_l", *columns.split()])
    return f"{head}loop_\n{names}{rows}#END\n"


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "data.cif"
        path.write_text(content)
        return path

    return write


def value(found, *hkl):
    return found.grid.values[tuple(np.array(hkl) - found.grid.origin)]


def test_friedel_mates_are_kept_apart(write):
    found = read_reflection_cif(write(text()))
    assert found.source == "pdbx_F_plus, pdbx_F_minus"
    assert (found.cell, found.space_group) == ((30, 40, 50, 90, 100, 90), "P 1 21 1")
    assert (value(found, -1, 2, -3), value(found, 1, -2, 3)) == (11, 9)
    assert (value(found, 2, 1, 0), value(found, -2, -1, 0)) == (19, 19)


def test_mean_amplitudes_where_there_are_no_pairs(write):
    found = read_reflection_cif(write(text("F_meas_au", "1 2 3 10.0\n")))
    assert (found.source, value(found, -1, -2, -3), found.grid.count) == ("F_meas_au", 10, 4)


@pytest.mark.parametrize("name", ["intensity_meas", "_refln.intensity_meas"])
def test_a_named_column_of_intensities(write, name):
    found = read_reflection_cif(write(text()), name, default_F=3.0)
    assert (value(found, 1, 2, 3), value(found, 2, 1, 0), value(found, 0, 0, 0)) == (12, 0, 3)


def test_a_compressed_file(tmp_path):
    path = tmp_path / "data.cif.gz"
    path.write_bytes(gzip.compress(text().encode()))
    assert read_reflection_cif(path).grid.count == 8


def test_a_missing_column_lists_those_present(write):
    with pytest.raises(InputError, match=r"no column 'FP'.*F_meas_au.*status"):
        read_reflection_cif(write(text()), "FP")


def test_a_column_of_words(write):
    found = write(text("F_meas_au", "1 2 3 ten\n"))
    with pytest.raises(FileFormatError, match="no reflection has a value|not a number"):
        read_reflection_cif(found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text("status", "1 2 3 o\n"), "no column of amplitudes"),
        (text(head=HEAD), "no space group"),
        (text(head="data_x\n" + GROUP), "no unit cell"),
        (HEAD + GROUP, "no table of merged reflections"),
        ("", "no table of merged reflections"),
        ("h k l F\n1 2 3 4\n", "corrupt CIF"),
        (text()[:-25], "corrupt CIF"),
    ],
)
def test_files_that_cannot_be_read(write, content, message):
    with pytest.raises(FileFormatError, match=message):
        read_reflection_cif(write(content))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileFormatError, match="unable to open"):
        read_reflection_cif(tmp_path / "missing.cif")
