"""The data of examples/: whole, and what its README says."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest

from nanobrag_torch.io.hkl import read_hkl
from nanobrag_torch.io.mosflm_matrix import read_matrix

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CELL = np.array([45.0, 55.0, 65.0])


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    grid = read_hkl(EXAMPLES / "P1.hkl")
    assert grid.given is not None
    return np.argwhere(grid.given) + np.array(grid.origin), grid.values[grid.given]


def test_the_table_is_small_enough_and_complete(table):
    hkl, F = table
    assert (EXAMPLES / "P1.hkl").stat().st_size <= 1_000_000
    d = 1 / np.linalg.norm(hkl / CELL, axis=1)
    assert d.min() >= 2.2
    everything = gemmi.make_miller_array(gemmi.UnitCell(*CELL, 90, 90, 90), gemmi.SpaceGroup("P 1"), 2.2)
    assert len(hkl) == 2 * len(everything)
    assert (F >= 0).all()


def test_the_table_holds_every_symmetry_mate(table):
    hkl, F = table
    found = dict(zip(map(tuple, hkl.tolist()), F.tolist(), strict=True))
    for (h, k, l), value in list(found.items())[::97]:
        mates = [(-h, -k, -l), (-h, k, l), (h, -k, l), (h, k, -l)]
        assert all(found[mate] == pytest.approx(value, abs=0.11) for mate in mates)


def test_amplitudes_fall_off_like_those_of_a_protein(table):
    hkl, F = table
    stol2 = 0.25 * np.sum((hkl / CELL) ** 2, axis=1)
    edges = np.quantile(stol2[stol2 > 0.25 / 4.0**2], np.linspace(0, 1, 9))
    inside = [(stol2 > low) & (stol2 <= high) for low, high in zip(edges, edges[1:], strict=False)]
    log_mean = [np.log((F[chosen] ** 2).mean()) for chosen in inside]
    assert (np.diff(log_mean) < 0.3).all()
    assert log_mean[-1] < log_mean[0] - 1.5


def test_the_orientation_is_the_cell_turned():
    vectors = read_matrix(EXAMPLES / "A.mat")
    np.testing.assert_allclose(vectors.T @ vectors, np.diag(1 / CELL**2), atol=1e-9)
    assert np.linalg.det(vectors) > 0


def test_the_model_is_one_protein_with_waters():
    structure = gemmi.read_structure(str(EXAMPLES / "model.pdb"))
    assert structure.spacegroup_hm == "P 21 21 21"
    assert structure.cell.parameters == (*CELL, 90, 90, 90)
    names = [residue.name for residue in structure[0]["A"]]
    assert (len(names) - names.count("HOH"), names.count("HOH")) == (160, 90)
