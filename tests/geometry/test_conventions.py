from __future__ import annotations

import pytest

from nanobrag_torch.geometry.conventions import CONVENTIONS

TABLE = """
ADXV   | 0 0 1 | 1 0 0 | 0 -1 0 | 0 0 1 | -1 0 0 | 1 0 0 | 1 0 0 | BEAM
MOSFLM | 1 0 0 | 0 0 1 | 0 -1 0 | 1 0 0 | 0 0 -1 | 0 0 1 | 0 0 1 | BEAM
DENZO  | 1 0 0 | 0 0 1 | 0 -1 0 | 1 0 0 | 0 0 -1 | 0 0 1 | 0 0 1 | BEAM
XDS    | 0 0 1 | 1 0 0 | 0 1 0  | 0 0 1 | 1 0 0  | 1 0 0 | 1 0 0 | SAMPLE
DIALS  | 0 0 1 | 1 0 0 | 0 1 0  | 0 0 1 | 0 1 0  | 0 1 0 | 0 1 0 | SAMPLE
CUSTOM | 1 0 0 | 0 0 1 | 0 -1 0 | 1 0 0 | 0 1 0  | 0 0 1 | 0 0 1 | None
"""
ROWS = [[part.strip() for part in line.split("|")] for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_table(row):
    """specs: geometry 3."""
    name, *vectors, pivot = row
    found = CONVENTIONS[name]
    fields = ("beam", "fast", "slow", "normal", "twotheta_axis", "polarization_axis", "spindle_axis")
    for field, expected in zip(fields, vectors, strict=True):
        assert getattr(found, field) == tuple(map(float, expected.split())), field
    assert str(found.pivot) == pivot


def test_there_are_no_others():
    assert set(CONVENTIONS) == {row[0] for row in ROWS}
