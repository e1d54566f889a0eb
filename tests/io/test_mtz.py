from __future__ import annotations

import gemmi
import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.mtz import read_mtz

COLUMNS = [("F", "F"), ("SIGF", "Q"), ("F(+)", "G"), ("SIGF(+)", "L"), ("F(-)", "G"), ("IMEAN", "J"), ("FREE", "I")]


@pytest.fixture
def make_mtz(tmp_path):
    """An MTZ file of some columns; by default two reflections of P 21."""

    def make(columns=COLUMNS, group="P 1 21 1", cell=(30, 40, 50, 90, 100, 90)):
        mtz = gemmi.Mtz(with_base=True)
        mtz.spacegroup = gemmi.SpaceGroup(group) if group else None
        if cell:
            mtz.set_cell_for_all(gemmi.UnitCell(*cell))
        mtz.add_dataset("native")
        for label, kind in columns:
            mtz.add_column(label, kind)
        rows = [[1, 2, 3, 10, 1, 11, 1, 9, 144, 0], [2, 1, 0, 20, 1, np.nan, 1, 19, -4, 1]]
        kinds = {label: i for i, (label, _) in enumerate(COLUMNS)}
        wanted = [0, 1, 2] + [3 + kinds[label] for label, _ in columns]
        mtz.set_data(np.array(rows, dtype=np.float32)[:, wanted])
        path = tmp_path / "data.mtz"
        mtz.write_to_file(str(path))
        return path

    return make


def value(found, *hkl):
    return found.grid.values[tuple(np.array(hkl) - found.grid.origin)]


def test_friedel_mates_are_kept_apart(make_mtz):
    found = read_mtz(make_mtz())
    assert found.source == "F(+), F(-)"
    assert (found.cell, found.space_group) == ((30, 40, 50, 90, 100, 90), "P 1 21 1")
    assert (value(found, 1, 2, 3), value(found, -1, 2, -3)) == (11, 11)
    assert (value(found, -1, -2, -3), value(found, 1, -2, 3)) == (9, 9)
    assert (value(found, 2, 1, 0), value(found, -2, -1, 0)) == (19, 19)
    assert found.grid.count == 8


def test_mean_amplitudes_where_there_are_no_pairs(make_mtz):
    found = read_mtz(make_mtz([("F", "F"), ("SIGF", "Q")]))
    assert (found.source, value(found, -1, -2, -3)) == ("F", 10)


@pytest.mark.parametrize("label", ["F(+)", "F(-)"])
def test_either_label_names_the_pair(make_mtz, label):
    assert read_mtz(make_mtz(), label).source == "F(+), F(-)"


def test_a_named_column_of_intensities(make_mtz):
    found = read_mtz(make_mtz(), "IMEAN", default_F=3.0)
    assert (value(found, 1, 2, 3), value(found, 2, 1, 0), value(found, 0, 0, 0)) == (12, 0, 3)


def test_a_missing_column_lists_those_present(make_mtz):
    with pytest.raises(InputError, match=r"no column 'FP'.*H \(H\).*F \(F\).*IMEAN \(J\)"):
        read_mtz(make_mtz(), "FP")


def test_a_column_that_is_no_amplitude(make_mtz):
    with pytest.raises(InputError, match="has type Q"):
        read_mtz(make_mtz(), "SIGF")


def test_intensities_are_not_taken_unasked(make_mtz):
    with pytest.raises(FileFormatError, match=r"no column of amplitudes.*IMEAN \(J\)"):
        read_mtz(make_mtz([("IMEAN", "J")]))


def test_a_cell_is_needed(make_mtz):
    with pytest.raises(FileFormatError, match="no unit cell"):
        read_mtz(make_mtz(cell=None))


@pytest.mark.parametrize("size", [0, 2, 60, 110, 200])
def test_truncated_files(make_mtz, size):
    path = make_mtz()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FileFormatError, match=r"data\.mtz"):
        read_mtz(path)


def test_other_files(tmp_path):
    with pytest.raises(FileFormatError, match="unable to open"):
        read_mtz(tmp_path / "missing.mtz")
    (tmp_path / "text.mtz").write_text("h k l F\n1 2 3 4\n")
    with pytest.raises(FileFormatError, match="not an MTZ file"):
        read_mtz(tmp_path / "text.mtz")


def test_data_cut_from_the_middle(make_mtz):
    path = make_mtz()
    content = path.read_bytes()
    path.write_bytes(content[:80] + content[120:])
    with pytest.raises(FileFormatError):
        read_mtz(path)
