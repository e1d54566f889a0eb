"""Cells and amplitudes that come from files (specs: structure_factors 7)."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nanobrag_torch import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    PanelConfig,
    SamplingConfig,
    Simulator,
    StructureFactors,
    settle,
)
from nanobrag_torch.errors import FileFormatError, InputError, NanobragWarning, UsageError
from nanobrag_torch.io.model import Solvent, anomalous_factors, model_sums, read_model
from nanobrag_torch.settling.crystal_files import finest_resolution
from nanobrag_torch.settling.model_amplitudes import model_structure_factors

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MODEL = str(EXAMPLES / "model.pdb")
CELL = (45.0, 55.0, 65.0, 90.0, 90.0, 90.0)


def scene(wavelength=1.0, distance=100.0, pixels=40, pixel=0.5, sampling=None, **crystal) -> Config:
    fields = {"Na": 5, "Nb": 5, "Nc": 5} | crystal
    return Config(
        crystal=CrystalConfig(**fields),
        beam=BeamConfig(wavelength_A=wavelength),
        detector=DetectorConfig(distance_mm=distance, pixels_f=pixels, pixels_s=pixels, pixel_mm=pixel),
        sampling=sampling or SamplingConfig(),
    )


def resolution_of(table: StructureFactors) -> float:
    """The smallest d (Å) of the amplitudes that are not 0."""
    indices = np.argwhere(table.values.numpy() != 0) + table.origin
    return float(1 / np.linalg.norm(indices / np.array(CELL[:3]), axis=1).max())


def test_the_table_is_that_of_the_reader_at_the_wavelength_of_the_beam():
    found = settle(scene(1.7, model_file=MODEL, model_dmin_A=6.0, model_solvent=(0.35, 46.0), distance=300.0)).crystal
    there = read_model(MODEL, 6.0, 1.7, solvent=Solvent()).grid
    np.testing.assert_allclose(found.structure_factors.values.numpy(), there.values, rtol=1e-12)
    other = read_model(MODEL, 6.0, solvent=Solvent()).grid
    assert np.abs(other.values - there.values).max() > 1.0


def test_the_cell_of_the_model():
    found = settle(scene(model_file=MODEL)).crystal
    assert found.cell.tolist() == pytest.approx([45, 55, 65, *[np.pi / 2] * 3])


@pytest.mark.parametrize("physics", ["nanobragg", "exact"])
def test_a_model_draws_what_its_table_in_python_draws(physics):
    sums = model_sums(MODEL, 6.0)
    factors = [torch.tensor(f) for f in anomalous_factors(sums.elements, 1.0)]
    table = model_structure_factors(sums, *factors)
    cell = dict(zip(("cell_a", "cell_b", "cell_c"), sums.cell, strict=False))
    far = 300.0
    one = Simulator(settle(scene(distance=far, model_file=MODEL, model_dmin_A=6.0), physics)).run().array
    two = Simulator(settle(scene(distance=far, structure_factors=table, **cell), physics)).run().array
    assert torch.equal(one, two)


def test_a_given_lattice_counts_before_that_of_the_file(tmp_path):
    with pytest.warns(NanobragWarning, match=r"in use, 45 55 70 90 90 90, is not .* 45 55 65 90 90 90"):
        given = settle(scene(model_file=MODEL, cell_a=45.0, cell_b=55.0, cell_c=70.0)).crystal
    assert given.cell[2] == 70.0
    matrix = settle(scene(model_file=MODEL, matrix_file=str(EXAMPLES / "A.mat"))).crystal
    assert matrix.cell is None
    with pytest.warns(NanobragWarning, match="is not that"):
        settle(scene(1.1, model_file=MODEL, orientation_matrix=[[0.02, 0, 0], [0, 0.02, 0], [0, 0, 0.02]]))


def test_no_warning_about_a_cell_that_is_nearly_the_same():
    settle(scene(model_file=MODEL, cell_a=45.5, cell_b=55.0, cell_c=65.0, cell_beta=91.0))


class TestResolution:
    """What the detector sees, and how far a table reaches."""

    def test_of_the_corner(self):
        found = settle(scene(default_F=1.0, cell_a=50.0))
        half = 10.0 * 2**0.5 + 0.25 * 2**0.5  # MOSFLM: the beam is half a pixel beyond the middle
        expected = 1.0 / (2 * np.sin(np.arctan2(half, 100.0) / 2))
        assert finest_resolution(found.detector, found.beam, True) == pytest.approx(expected, rel=0.03)

    def test_of_a_detector_behind_the_sample(self):
        panel = PanelConfig((-50.0, -10.0, -10.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), 40, 40, 0.5)
        found = settle(replace(scene(default_F=1.0, cell_a=50.0), detector=DetectorConfig(panels=(panel,))))
        assert found.beam.direction.tolist() == [1.0, 0.0, 0.0]
        assert finest_resolution(found.detector, found.beam, True) == 0.5

    def test_of_the_shortest_wavelength(self):
        config = scene(default_F=1.0, cell_a=50.0)
        one = settle(config)
        two = settle(replace(config, beam=BeamConfig(wavelength_A=1.0, dispersion_percent=20.0)))
        ratio = finest_resolution(two.detector, two.beam, True) / finest_resolution(one.detector, one.beam, True)
        assert ratio == pytest.approx(0.9)

    @pytest.mark.parametrize("exact", [False, True])
    def test_of_a_curved_detector(self, exact):
        config = scene(default_F=1.0, cell_a=50.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            curved = settle(
                replace(config, detector=replace(config.detector, curved=True)), "exact" if exact else "nanobragg"
            )
        assert finest_resolution(curved.detector, curved.beam, exact) == pytest.approx(7.0, rel=0.05)

    def test_the_default_covers_what_is_seen(self):
        found = settle(scene(distance=60.0, model_file=MODEL))
        seen = finest_resolution(found.detector, found.beam, True)
        assert seen > resolution_of(found.crystal.structure_factors) > 1 / (1 / seen + 1.1 / 45)

    def test_the_default_covers_interpolation_too(self):
        Simulator(settle(scene(distance=60.0, model_file=MODEL, interpolate=True))).run()  # would warn

    def test_the_default_stops_at_one_angstrom(self, tmp_path):
        small = "CRYST1    5.000    5.000    5.000  90.00  90.00  90.00 P 1\n"
        atom = "ATOM      1  C   ALA A   1       1.000   2.000   3.000  1.00 10.00           C  \nEND\n"
        (tmp_path / "small.pdb").write_text(small + atom)
        config = scene(0.5, distance=5.0, model_file=str(tmp_path / "small.pdb"))
        with pytest.warns(NanobragWarning, match=r"small\.pdb end at 1 A, the detector sees to 0\.428467 A"):
            settle(config)

    def test_dmin_says_what_is_seen(self):
        found = settle(scene(distance=20.0, model_file=MODEL, sampling=SamplingConfig(dmin_A=8.0)))
        assert resolution_of(found.crystal.structure_factors) > 6.0

    def test_a_table_that_ends_early_is_told_of(self):
        with pytest.warns(NanobragWarning, match=r"end at 9 A, the detector sees to 6\.\d+ A; .*smaller -model_dmin"):
            settle(scene(model_file=MODEL, model_dmin_A=9.0))


def test_gradients_reach_the_default_amplitude():
    default_F = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    with pytest.warns(NanobragWarning, match="end at"):
        found = settle(scene(model_file=MODEL, model_dmin_A=20.0, default_F=default_F))
    Simulator(found).run().array.sum().backward()
    assert default_F.grad > 0


def test_what_does_not_fit_together():
    with pytest.raises(InputError, match=r"model_file: .*P1\.hkl already"):
        settle(scene(model_file=MODEL, hkl_file="P1.hkl"))
    with pytest.raises(InputError, match="model_dmin_A: there is no model"):
        settle(scene(model_dmin_A=2.0, default_F=1.0, cell_a=40.0))
    with pytest.raises(InputError, match="mtz_column: there is no file"):
        settle(scene(mtz_column="F", default_F=1.0, cell_a=40.0))
    with pytest.raises(InputError, match="model_solvent: .* is not 2 values"):
        settle(scene(model_file=MODEL, model_solvent=(0.35,)))
    with pytest.raises(InputError, match="model_dmin_A: 0.1 A is too fine"):
        settle(scene(model_file=MODEL, model_dmin_A=0.1))
    with pytest.raises(FileFormatError, match="unable to open"):
        settle(scene(model_file="missing.pdb"))
    with pytest.raises(UsageError, match="crystal is missing"):
        settle(scene(hkl_file="missing.hkl"))
    with pytest.raises(UsageError, match="crystal is missing"):
        settle(scene(model_file=MODEL, structure_factors=StructureFactors.constant(1.0)))


def test_a_file_without_its_end_is_told_of(tmp_path):
    (tmp_path / "cut.pdb").write_text(Path(MODEL).read_text().rpartition("END")[0])
    with pytest.warns(NanobragWarning, match=r"cut\.pdb has no END record"):
        settle(scene(model_file=str(tmp_path / "cut.pdb")))
