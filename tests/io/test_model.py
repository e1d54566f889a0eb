"""Structure factors of models against sums over atoms written out here, and against gemmi's own direct sum."""

from __future__ import annotations

import time
from pathlib import Path

import gemmi
import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.model import Solvent, anomalous_factors, model_sums, read_model

PDB = """CRYST1   30.000   35.000   40.000  90.00 105.00  90.00 P 1 21 1
ATOM      1  N   ALA A   1       1.000   2.000   3.000  1.00 10.00           N
ATOM      2  CA  ALA A   1       2.400   2.500   3.100  1.00 12.00           C
ANISOU    2  CA  ALA A   1     2000   1500   1000    300   -200    400       C
ATOM      3  C   ALA A   1       2.900   3.900   3.500  0.60 14.00           C
ATOM      4  O   ALA A   1       2.100   4.800   3.900  1.00 15.00           O
HETATM    5 FE   HEM A   2      12.000  15.000  20.000  0.50  8.00          FE
HETATM    6  S   SO4 A   3      20.000  11.000   9.000  1.00 20.00           S
END
"""
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "model.pdb"


@pytest.fixture
def pdb(tmp_path):
    def write(text=PDB, name="model.pdb"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def direct_sum(path, indices, wavelength=None):
    """F [n] as the definition has it, from nothing but positions, symmetry and tabulated form factors."""
    structure = gemmi.read_structure(str(path))
    cell = structure.cell
    to_fractional = np.array(cell.frac.mat.tolist())
    operations = list(structure.find_spacegroup().operations())
    s = indices @ to_fractional
    stol2 = (s**2).sum(1) / 4
    total = np.zeros(len(indices), dtype=complex)
    for place in structure[0].all():
        atom = place.atom
        table = atom.element.it92
        f = sum(a * np.exp(-b * stol2) for a, b in zip(table.a, table.b, strict=True)) + table.c
        if wavelength is not None:
            prime, second = gemmi.cromer_liberman(atom.element.atomic_number, 12398.42 / wavelength)
            f = f + prime + 1j * second
        x = to_fractional @ np.array(atom.pos.tolist())
        U = atom.aniso.as_mat33() if atom.aniso.nonzero() else None
        U = np.array(U.tolist()) if U is not None else np.eye(3) * atom.b_iso / (8 * np.pi**2)
        U_fractional = to_fractional @ U @ to_fractional.T
        for operation in operations:
            R, t = np.array(operation.rot) / operation.DEN, np.array(operation.tran) / operation.DEN
            hR = indices @ R
            fall = np.exp(-2 * np.pi**2 * np.einsum("ni,ij,nj->n", hR, U_fractional, hR))
            total += atom.occ * f * fall * np.exp(2j * np.pi * (hR @ x + indices @ t))
    return total


def close(ours, theirs):
    return np.abs(np.abs(ours) - np.abs(theirs)).max() / np.sqrt((np.abs(theirs) ** 2).mean())


def test_atoms_with_every_kind_of_temperature_factor(pdb):
    path = pdb()
    sums = model_sums(path, 2.0)
    zero = np.zeros(len(sums.elements))
    assert sums.elements == ("C", "Fe", "N", "O", "S")
    assert close(sums.amplitudes(zero, zero), direct_sum(path, sums.indices)) < 2e-5


@pytest.mark.parametrize("wavelength", [1.0, 1.75])
def test_anomalous_scattering_parts_friedel_mates(pdb, wavelength):
    path = pdb()
    sums = model_sums(path, 2.0)
    ours = sums.amplitudes(*anomalous_factors(sums.elements, wavelength))
    theirs = np.abs(direct_sum(path, sums.indices, wavelength))
    assert close(ours, theirs) < 2e-5
    opposite = ours[::-1]  # the list is symmetric about 0 0 0
    assert np.array_equal(sums.indices[::-1], -sums.indices)
    assert np.abs(ours - opposite).max() > 0.1
    assert close(ours - opposite, theirs - theirs[::-1]) < 1e-3


def test_the_direct_beam_counts_the_electrons(pdb):
    found = read_model(pdb(), 3.0)
    electrons = 2 * (7 + 6 + 0.6 * 6 + 8 + 0.5 * 26 + 16)
    assert found.grid.values[tuple(-np.array(found.grid.origin))] == pytest.approx(electrons, rel=1e-3)


def test_the_grid_holds_all_mates_and_ends_at_the_resolution(pdb):
    found = read_model(pdb(), 2.5, default_F=7.0)
    grid = found.grid
    cell = gemmi.UnitCell(*found.cell)
    assert (found.cell, found.space_group) == ((30, 35, 40, 90, 105, 90), "P 1 21 1")
    assert grid.count == 2 * len(gemmi.make_miller_array(cell, gemmi.SpaceGroup("P 1"), 2.5)) + 1
    assert (grid.values[~grid.given] == 7.0).all()
    h, k, l = (np.argwhere(grid.given) + grid.origin).T
    values = grid.values[grid.given]
    mates = grid.values[-h - grid.origin[0], k - grid.origin[1], -l - grid.origin[2]]
    np.testing.assert_allclose(values, mates, atol=1e-3)


def test_the_example_as_gemmi_sums_it():
    structure = gemmi.read_structure(str(EXAMPLE))
    structure.setup_cell_images()
    calculator = gemmi.StructureFactorCalculatorX(structure.cell)
    sums = model_sums(EXAMPLE, 2.2)
    zero = np.zeros(len(sums.elements))
    chosen = np.random.default_rng(0).choice(len(sums.indices), 100, replace=False)
    theirs = [calculator.calculate_sf_from_model(structure[0], sums.indices[i].tolist()) for i in chosen]
    assert close(sums.amplitudes(zero, zero)[chosen], np.array(theirs)) < 2e-5


def test_a_flat_solvent_weakens_low_angles(pdb):
    vacuum, solvent = model_sums(EXAMPLE, 4.0), model_sums(EXAMPLE, 4.0, solvent=Solvent())
    zero = np.zeros(len(vacuum.elements))
    d = 1 / np.maximum(np.linalg.norm(vacuum.indices / np.array([45.0, 55.0, 65.0]), axis=1), 1e-9)
    low = (d > 12) & (d < 1e3)
    ratio = solvent.amplitudes(zero, zero)[low].mean() / vacuum.amplitudes(zero, zero)[low].mean()
    assert ratio < 0.8
    centre = np.flatnonzero((vacuum.indices == 0).all(1))[0]
    volume = solvent.solvent[centre].real / 0.35
    assert 0.2 < volume / (45 * 55 * 65) < 0.8
    assert np.array_equal(vacuum.sums, solvent.sums)


def test_the_example_file_of_amplitudes_comes_from_the_example_model():
    from nanobrag_torch.io.hkl import read_hkl

    file = read_hkl(EXAMPLE.parent / "P1.hkl")
    found = read_model(EXAMPLE, 2.2, solvent=Solvent()).grid
    assert file.origin == found.origin
    assert file.given.sum() == found.given.sum() - 1  # without 0 0 0
    assert np.abs(file.values[file.given] - found.values[file.given]).max() < 0.06


def test_mmcif_gives_the_same(pdb, tmp_path):
    structure = gemmi.read_structure(str(pdb()))
    structure.make_mmcif_document().write_file(str(tmp_path / "model.cif"))
    ours, theirs = read_model(tmp_path / "model.cif", 3.0), read_model(pdb(), 3.0)
    np.testing.assert_allclose(ours.grid.values, theirs.grid.values, atol=1e-2)


def test_deuterium_and_charges_scatter_as_the_neutral_element(pdb):
    text = PDB.replace("           N", "           N1+")
    zero = np.zeros(5)
    plain, charged = model_sums(pdb(), 3.0), model_sums(pdb(text, "charged.pdb"), 3.0)
    np.testing.assert_allclose(plain.amplitudes(zero, zero), charged.amplitudes(zero, zero), atol=1e-3)
    text = PDB.replace("           O", "           D")
    assert "H" in model_sums(pdb(text, "heavy.pdb"), 3.0).elements


def test_the_table_of_a_small_protein_to_2_angstrom_is_quick():
    begun = time.perf_counter()
    read_model(EXAMPLE, 2.0, 1.0)
    assert time.perf_counter() - begun < 5


def test_light_elements_have_no_anomalous_scattering():
    f_prime, f_second = anomalous_factors(("H", "Se"), 0.9795)
    assert (f_prime[0], f_second[0]) == (0, 0)
    assert f_prime[1] < -5
    with pytest.raises(InputError, match="not positive"):
        anomalous_factors(("C",), 0.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("CRYST1", "REMARK", "no unit cell"),
        ("P 1 21 1", "Q 7 7 7", "no space group"),
        ("           S", "           X", "atom 6.*unknown"),
        ("  1.00 10.00", "   nan 10.00", r"model\.pdb"),
    ],
)
def test_models_that_lack_something(pdb, old, new, message):
    with pytest.raises(FileFormatError, match=message):
        read_model(pdb(PDB.replace(old, new)), 3.0)


def test_files_that_are_no_models(pdb, tmp_path):
    with pytest.raises(FileFormatError, match="unable to open"):
        read_model(tmp_path / "missing.pdb", 3.0)
    with pytest.raises(FileFormatError):
        read_model(pdb("data_x\nloop_\n_atom_site.id\n", "cut.cif"), 3.0)
    with pytest.raises(FileFormatError):
        read_model(pdb("nothing\n"), 3.0)


@pytest.mark.parametrize("d_min", [0.0, -1.0, float("nan"), 0.01])
def test_resolutions_that_cannot_be(pdb, d_min):
    with pytest.raises(InputError, match="model_dmin_A"):
        read_model(pdb(), d_min)
