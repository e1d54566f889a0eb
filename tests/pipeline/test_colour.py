"""Colour: an absorption edge channel by channel, and channels drawn as one within their bound."""

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
    InputError,
    NanobragWarning,
    SamplingConfig,
    Simulator,
    settle,
)
from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.io.model import anomalous_factors, model_sums
from nanobrag_torch.io.spectrum import read_spectrum

MODEL = """CRYST1   30.000   35.000   40.000  90.00  95.00  90.00 P 1
ATOM      1  N   ALA A   1       1.000   2.000   3.000  1.00 10.00           N
ATOM      2  C   ALA A   1       9.900  13.900  23.500  0.60 14.00           C
HETATM    3 SE   MSE A   2      12.000  15.000  20.000  1.00  8.00          SE
HETATM    4 SE   MSE A   3       2.000  25.000  10.000  0.80  8.00          SE
END
"""
EDGE = 12658.0


@pytest.fixture
def scene(tmp_path: Path):
    (tmp_path / "m.pdb").write_text(MODEL)

    def make(energies=None, merge=None, wavelength=None, **crystal) -> Config:
        spectrum = None
        if energies is not None:
            weights = 1 + np.exp(-(((energies - EDGE) / 8) ** 2))
            np.savetxt(tmp_path / "s.txt", np.stack([energies, weights], 1), header="eV weight", fmt="%.17g")
            spectrum = str(tmp_path / "s.txt")
        said = {"Na": 4, "Nb": 4, "Nc": 4, "model_file": str(tmp_path / "m.pdb"), "model_dmin_A": 1.8}
        said |= {"interpolate": False, "misset_deg": (10.0, 20.0, 30.0), "model_energies": True}
        return Config(
            crystal=CrystalConfig(**(said | crystal)),
            beam=BeamConfig(spectrum_file=spectrum, spectrum_merge=merge, wavelength_A=wavelength, fluence=1e30),
            detector=DetectorConfig(pixels_f=24, pixels_s=24, pixel_mm=2.0, distance_mm=60.0),
            sampling=SamplingConfig(oversample=1, dmin_A=1.81),
        )

    return make


def values(config: Config) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return np.asarray(Simulator(settle(config)).run().array)


def test_an_edge_is_the_sum_of_its_wavelengths(scene):
    """Twelve channels across the selenium edge against twelve monochromatic renders, each with its own F."""
    energies = np.linspace(EDGE - 30, EDGE + 30, 12)
    found = values(scene(energies))
    spectrum = read_spectrum(scene(energies).beam.spectrum_file)
    expected = sum(
        w * values(scene(wavelength=float(x), model_energies=False))
        for x, w in zip(spectrum.wavelengths, spectrum.weights, strict=True)
    )
    assert np.abs(found - expected).max() < 1e-12 * expected.max()
    flat = values(scene(energies, model_energies=False))
    assert np.abs(flat - expected).max() > 0.01 * expected.max()


@pytest.mark.parametrize("bound", [1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("shape", ["square", "gauss", "round"])
def test_merged_channels_stay_within_their_bound(scene, bound, shape):
    """The error of every pixel against F² (N_a N_b N_c)² of the strongest reflection times its own factors."""
    energies = np.linspace(EDGE - 40, EDGE + 40, 60)
    exact = values(scene(energies, shape=shape))
    config = scene(energies, merge=bound, shape=shape)
    merged = settle(config)
    error = np.abs(values(config) - exact).max()
    core = merged.crystal
    largest = max(float(core.colours.table(k).values.max()) for k in range(core.colours.tables))
    omega = (2.0 / 60.0) ** 2
    peak = 7.94079248018965e-30 * 1e30 * omega * (largest * 64) ** 2
    assert error < bound * peak
    assert merged.beam.sources < (60 if bound < 5e-3 else 20)
    assert float(merged.beam.weights.mean()) == pytest.approx(1.0)


def test_merging_keeps_the_mean_of_squares(scene):
    """One table for all: F² is the weighted mean over the energies, reflection by reflection."""
    energies = np.linspace(EDGE - 20, EDGE + 20, 9)
    config = scene(energies, merge=1e6)
    merged = settle(config)
    assert merged.beam.sources == 1
    spectrum = read_spectrum(config.beam.spectrum_file)
    sums = model_sums(config.crystal.model_file, 1.8)
    square = sum(
        w * sums.amplitudes(*anomalous_factors(sums.elements, float(x))) ** 2
        for x, w in zip(spectrum.wavelengths, spectrum.weights, strict=True)
    )
    table = merged.crystal.colours.table(0)
    low = sums.indices.min(axis=0)
    found = table.values[tuple((sums.indices - low).T)].numpy()
    assert np.abs(found**2 - square).max() < 1e-10 * square.max()


def test_a_divergent_beam_shares_tables(scene):
    """Directions of one wavelength use one table, and each counts as before."""
    energies = np.array([EDGE - 10, EDGE + 10])
    config = scene(energies)
    divergent = replace(config, beam=replace(config.beam, hdiv_range_mrad=4.0, hdiv_steps=2))
    settled = settle(divergent)
    assert settled.beam.sources == 4
    assert settled.crystal.colours.tables == 2
    total = values(divergent)
    parts = 0.0
    for k in range(4):
        one = settled.beam.replace(
            source_positions=settled.beam.source_positions[k : k + 1],
            wavelength_ratios=settled.beam.wavelength_ratios[k : k + 1],
            weights=settled.beam.weights[k : k + 1],
        )
        table = settled.crystal.colours.table(int(settled.crystal.colours.of_source[k]))
        own = settled.crystal.replace(structure_factors=table, colours=None)
        parts = parts + np.asarray(Simulator(settled.replace(beam=one, crystal=own)).run().array) / 4
    assert np.abs(total - parts).max() < 1e-12 * total.max()


def test_gradients(scene):
    """By f' and f'' of selenium in both channels, and by the weights within a table."""
    settled = settle(scene(np.array([EDGE - 5, EDGE + 5]), merge=1e6))
    pixels = torch.tensor([[3, 4], [13, 15], [20, 9]])
    colours = settled.crystal.colours
    selenium = colours.sums.shape[0] - 1

    def photons(f_prime, f_second, weights):
        last = torch.eye(selenium + 1, dtype=torch.float64)[selenium]
        changed = colours.replace(
            f_prime=colours.f_prime * (1 - last) + f_prime[:, None] * last,
            f_second=colours.f_second * (1 - last) + f_second[:, None] * last,
            weights=weights,
        )
        return Simulator(settled.replace(crystal=settled.crystal.replace(colours=changed))).run(pixels).values[0]

    start = [real(x).requires_grad_() for x in ([-8.0, -7.0], [0.6, 3.5], [1.0, 2.0])]
    assert torch.autograd.gradcheck(photons, start, rtol=1e-4)


def test_energies_need_a_model():
    with pytest.raises(InputError, match="no model"):
        settle(Config(crystal=CrystalConfig(cell_a=40.0, default_F=1.0, model_energies=True)))


def test_sharp_spots_cannot_be_merged(scene):
    with pytest.raises(InputError, match="sharp edges") as refused:
        settle(scene(np.linspace(EDGE, EDGE + 9, 5), merge=0.01, shape="tophat"))
    assert refused.value.field == "spectrum_merge"
