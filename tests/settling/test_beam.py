"""Wavelength, sources, weights, polarization and fluence (specs: sources 1, 2, 6, 7; intensity 5, 6)."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, Experiment, SamplingConfig, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import LegacyDefectWarning, NanobragWarning
from nanobrag_torch.models import Beam
from nanobrag_torch.settling.inputs import Inputs
from nanobrag_torch.units import CLASSICAL_ELECTRON_RADIUS_SQUARED

COMMON = "-cell 40 -N 2 -default_F 1 -oversample 1 -detpixels 4 -dump none.bin "


def experiment(line: str, physics: str = "nanobragg") -> Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(parse((COMMON + line).split()), physics)


def beam(line: str, physics: str = "nanobragg") -> Beam:
    return experiment(line, physics).beam


def wavelengths(found: Beam) -> list[float]:
    return (found.wavelength * found.wavelength_ratios).tolist()


def test_defaults():
    found = beam("")
    assert float(found.wavelength) == 1.0
    assert float(found.polarization_factor) == 0.0
    assert found.polarized
    assert found.sources == 1
    assert found.weights.tolist() == [1.0]
    assert float(found.fluence) * CLASSICAL_ELECTRON_RADIUS_SQUARED == 1.0
    assert found.source_positions.tolist() == [[-10.0, 0.0, 0.0]]


def test_an_energy_is_a_wavelength():
    assert float(beam("-energy 12398.42").wavelength) == 1.0
    assert float(beam("-energy 10000").wavelength) == pytest.approx(1.239842)
    assert float(beam("-energy 10000 -lambda 1.5").wavelength) == 1.5


def test_dispersion():
    assert wavelengths(beam("-lambda 2 -dispersion 1")) == pytest.approx([1.99, 2.01])
    assert wavelengths(beam("-lambda 2 -dispersion 1 -dispsteps 3")) == pytest.approx([1.99, 2.0, 2.01])


@pytest.mark.parametrize(
    ("line", "angles_mrad"),
    [
        ("-hdivrange 10 -hdivstep 5", [(-5.0, 0.0), (0.0, 0.0)]),
        ("-hdivrange 10", [(-5.0, 0.0), (5.0, 0.0)]),
        ("-hdivstep 10", [(-5.0, 0.0), (5.0, 0.0)]),
        ("-vdivrange 10 -vdivsteps 3", [(0.0, -5.0), (0.0, 0.0), (0.0, 5.0)]),
        ("-divergence 10 -square_div", [(-5.0, -5.0), (-5.0, 5.0), (5.0, -5.0), (5.0, 5.0)]),
        ("-hdivsteps 3", [(-500.0, 0.0), (-166.7, 0.0), (166.7, 0.0)]),
    ],
)
def test_divergence_angles(line, angles_mrad):
    found = [(1000 * h, 1000 * v) for h, v in experiment(line).facts["divergence"]]
    torch.testing.assert_close(found, angles_mrad, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("line", "sources"),
    [
        ("-divergence 20 -divsteps 5", 13),
        ("-divergence 20 -divsteps 4", 12),
        ("-divergence 20 -divsteps 2", 4),
        ("-divergence 20 -divsteps 5 -square_div", 25),
        ("-divergence 20 -divsteps 5 -square_div -round_div", 13),
        ("-hdivrange 20 -hdivsteps 5", 5),
        ("-divergence 20 -divsteps 5 -dispersion 3 -dispsteps 3", 39),
    ],
)
def test_number_of_sources(line, sources):
    scene = experiment(line)
    assert scene.beam.sources == sources
    assert scene.facts["source_weights"].tolist() == pytest.approx([1 / sources] * sources)
    assert scene.beam.weights.tolist() == [1.0] * sources


def test_every_direction_is_paired_with_every_wavelength_wavelengths_innermost():
    found = beam("-hdivrange 10 -dispersion 1")
    assert wavelengths(found) == pytest.approx([0.995, 1.005, 0.995, 1.005])
    assert torch.equal(found.source_positions[0], found.source_positions[1])
    assert not torch.equal(found.source_positions[1], found.source_positions[2])


def test_the_horizontal_plane_is_across_the_polarization():
    """b = x, p = z: horizontal angles lift the source along z, vertical ones along y."""
    lift = 10 * math.sin(0.005)
    h = beam("-hdivrange 10").source_positions
    torch.testing.assert_close(h[:, 1], torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(h[:, 2].abs(), torch.full((2,), lift, dtype=torch.float64))
    v = beam("-vdivrange 10").source_positions
    torch.testing.assert_close(v[:, 1].abs(), torch.full((2,), lift, dtype=torch.float64))
    torch.testing.assert_close(v[:, 2], torch.zeros(2, dtype=torch.float64))


def test_polarization_flags():
    assert not beam("-nopolar").polarized
    assert beam("-nopolar -polar 0.7").polarized
    assert not beam("-polar 0.7 -nopolar").polarized
    assert float(beam("-polar 0.7").polarization_factor) == 0.7


@pytest.mark.parametrize(
    ("line", "fluence"),
    [
        ("-fluence 1e24", 1e24),
        ("-flux 1e12 -exposure 0.1 -beamsize 0.05", 1e12 * 0.1 / 5e-5**2),
        ("-flux 1e12", 1e12 / 1e-4**2),
        ("-flux 1e12 -fluence 1e24", 1e12 / 1e-4**2),
        ("-fluence 1e24 -flux 1e12", 1e12 / 1e-4**2),
        ("-fluence 1e24 -flux 0", 1e24),
        ("-fluence 1e24 -flux 1e12 -exposure 0", 1e24),
        ("-fluence 1e24 -flux 1e12 -beamsize -1", 1e24),
    ],
)
def test_flux_wins_over_fluence(line, fluence):
    """specs: intensity 6."""
    assert float(beam(line).fluence) == pytest.approx(fluence, rel=1e-14)


# -- a source file

NAN = math.nan
ROWS = np.array([
    [-10.0, 0.0, 0.0, 1.0, 1.3e-10],
    [-10.0, 0.5, NAN, 3.0, NAN],
    [NAN, NAN, 0.2, NAN, 1.2],
])  # fmt: skip


def listed(physics: str, rows: np.ndarray = ROWS, **said) -> Beam:
    config = Config(
        crystal=CrystalConfig(cell_a=40.0, Na=2, Nb=2, Nc=2, default_F=1.0),
        beam=BeamConfig(source_file="a list", wavelength_A=1.1, **said),
        detector=DetectorConfig(pixels_f=4, pixels_s=4),
        sampling=SamplingConfig(oversample=1),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(config, physics, inputs=Inputs(sources=rows)).beam


def test_what_a_source_file_leaves_out():
    """Missing position → that of the beam, weight → 1, wavelength → the central one; wavelengths are in metres."""
    found = listed("nanobragg")
    assert found.source_positions.tolist() == [[-10.0, 0.0, 0.0], [-10.0, 0.5, 0.0], [-10.0, 0.0, 0.2]]
    assert wavelengths(found) == pytest.approx([1.3, 1.1, 1.2e10], rel=1e-14)


def test_weights_count_only_when_asked_for_or_in_the_exact_mode():
    """Deviation D34: then normalised to a mean of 1."""
    counted = pytest.approx([3 / 5 * w for w in (1.0, 3.0, 1.0)])
    assert listed("nanobragg").weights.tolist() == [1.0, 1.0, 1.0]
    assert listed("nanobragg", use_source_weights=True).weights.tolist() == counted
    assert listed("exact").weights.tolist() == counted
    assert listed("exact", use_source_weights=False).weights.tolist() == [1.0, 1.0, 1.0]


def test_ignored_weights_are_announced_only_where_they_differ():
    config = Config(
        crystal=CrystalConfig(cell_a=40.0, Na=2, Nb=2, Nc=2, default_F=1.0),
        beam=BeamConfig(source_file="a list"),
        detector=DetectorConfig(pixels_f=4, pixels_s=4),
    )
    with pytest.warns(LegacyDefectWarning, match="D34"):
        settle(config, "nanobragg", inputs=Inputs(sources=ROWS))
    settle(config, "nanobragg", inputs=Inputs(sources=ROWS[:1]))


# -- gradients through what is settled


def test_wavelengths_of_a_file_do_not_follow_the_central_one():
    wavelength = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)
    config = Config(
        crystal=CrystalConfig(cell_a=40.0, Na=2, Nb=2, Nc=2, default_F=1.0),
        beam=BeamConfig(source_file="a list", wavelength_A=wavelength),
        detector=DetectorConfig(pixels_f=4, pixels_s=4),
    )
    found = settle(config, inputs=Inputs(sources=ROWS)).beam
    used = found.wavelength * found.wavelength_ratios
    rates = [torch.autograd.grad(x, wavelength, retain_graph=True)[0].item() for x in used]
    assert rates == pytest.approx([0.0, 1.0, 0.0], abs=1e-9)


def test_a_dispersion_keeps_its_graph():
    percent = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    config = Config(
        crystal=CrystalConfig(cell_a=40.0, Na=2, Nb=2, Nc=2, default_F=1.0),
        beam=BeamConfig(dispersion_percent=percent, dispersion_steps=3, wavelength_A=2.0),
        detector=DetectorConfig(pixels_f=4, pixels_s=4),
    )
    found = settle(config).beam
    assert wavelengths(found) == pytest.approx([1.98, 2.0, 2.02])
    rates = [torch.autograd.grad(x, percent, retain_graph=True)[0].item() for x in found.wavelength_ratios]
    assert rates == pytest.approx([-0.005, 0.0, 0.005], abs=1e-12)
