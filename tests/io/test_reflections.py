from __future__ import annotations

import gemmi
import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.reflections import cell_and_group, expand_to_p1, grid_of


def value(grid, *hkl):
    place = tuple(np.array(hkl) - grid.origin)
    return grid.values[place] if grid.given[place] else None


def expand(group, rows, default_F=0.0):
    """`rows`: h, k, l, F(+), F(-)."""
    table = np.array(rows, dtype=float)
    indices = table[:, :3].astype(np.int64)
    return expand_to_p1("some.mtz", indices, table[:, 3], table[:, 4], gemmi.SpaceGroup(group), default_F)


def test_every_mate_of_a_tetragonal_reflection():
    grid = expand("P 43 21 2", [(1, 2, 3, 5.0, 7.0)])
    for hkl in [(1, 2, 3), (-1, -2, 3), (-2, 1, 3), (2, -1, 3), (-1, 2, -3), (1, -2, -3), (2, 1, -3), (-2, -1, -3)]:
        assert value(grid, *hkl) == 5.0
        assert value(grid, *(-np.array(hkl))) == 7.0
    assert grid.count == 16


def test_centring_and_inversion_add_no_mates():
    assert expand("C 1 2 1", [(1, 3, 2, 5.0, 5.0)]).count == 4


def test_a_missing_friedel_mate_takes_the_value_of_the_other():
    grid = expand("P 1", [(1, 0, 0, 5.0, np.nan), (0, 1, 0, np.nan, 6.0), (0, 0, 1, np.nan, np.nan)])
    assert (value(grid, -1, 0, 0), value(grid, 0, 1, 0)) == (5.0, 6.0)
    assert grid.count == 4


def test_a_listed_reflection_keeps_its_own_value():
    grid = expand("P 1", [(1, 2, 3, 5.0, 5.0), (-1, -2, -3, 6.0, 6.0)])
    assert (value(grid, 1, 2, 3), value(grid, -1, -2, -3)) == (5.0, 6.0)


def test_other_places_hold_the_default():
    grid = expand("P 1", [(1, 1, 1, 5.0, 5.0)], default_F=2.0)
    assert grid.values[1, 1, 1] == 2.0
    assert value(grid, 0, 0, 0) is None


def test_nothing_to_expand():
    with pytest.raises(FileFormatError, match="no reflection has a value"):
        expand("P 1", [(1, 1, 1, np.nan, np.nan)])


def test_indices_far_apart_are_refused():
    with pytest.raises(FileFormatError, match="too large for a grid"):
        grid_of("f", np.array([[0, 0, 0], [2000, 2000, 2000]]), np.ones(2))


def test_cell_and_space_group_are_needed():
    cell, group = gemmi.UnitCell(10, 20, 30, 90, 95, 90), gemmi.SpaceGroup("P 1 21 1")
    assert cell_and_group("f", cell, group) == ((10, 20, 30, 90, 95, 90), "P 1 21 1")
    with pytest.raises(FileFormatError, match="no unit cell"):
        cell_and_group("f", gemmi.UnitCell(), group)
    with pytest.raises(FileFormatError, match="no space group"):
        cell_and_group("f", cell, None)
