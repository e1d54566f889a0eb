"""Searches held to what made the image: the camera far off, the crystal turned, and noise that has no answer."""

from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    Experiment,
    SamplingConfig,
    Simulator,
    settle,
)
from nanobrag_torch.errors import InputError
from nanobrag_torch.refine import Observation, refine_shots
from nanobrag_torch.refine.correlate import correlation_map, peak_of
from nanobrag_torch.refine.locate import Reach, locate
from nanobrag_torch.refine.shots import Shot
from nanobrag_torch.units import radians_from_degrees

SIZE = 160


def scene(misset: tuple[float, float, float] = (12.0, -20.0, 33.0)) -> Experiment:
    return settle(
        Config(
            crystal=CrystalConfig(
                cell_a=48.0, cell_b=57.0, cell_c=66.0, Na=14, Nb=12, Nc=11, default_F=100.0, misset_deg=misset,
                mosaic_spread_deg=0.4, mosaic_domains=15,
            ),
            beam=BeamConfig(wavelength_A=1.0, fluence=3e26),
            detector=DetectorConfig(distance_mm=75.0, pixels_f=SIZE, pixels_s=SIZE, pixel_mm=0.4),
            sampling=SamplingConfig(oversample=1),
        )
    )  # fmt: skip


def seen(true: Experiment, level: float = 1.0) -> Observation:
    generator = torch.Generator().manual_seed(7)
    image = torch.poisson(Simulator(true).run().array + level, generator=generator)
    keep = torch.ones(SIZE, SIZE, dtype=torch.bool)
    keep[70:76] = False  # a gap
    return Observation.of(image, keep=keep.numpy())


def moved(experiment: Experiment, slow: float, fast: float, distance: float = 1.0) -> Experiment:
    panel = experiment.detector.panel
    away = panel.pixel_size * torch.tensor([fast, slow], dtype=torch.float64)
    # The field order of a beam centre is (fast, slow).
    changes = {"beam_centre": panel.beam_centre + away, "near_point": panel.near_point + away}
    return experiment.replace(detector=experiment.detector.replace(**changes, distance=panel.distance * distance))


def test_the_camera_is_found_from_a_fifth_of_the_frame_away() -> None:
    true = scene()
    begun = moved(true, -0.2 * SIZE, 17.4)
    found = locate(begun, seen(true))
    assert found.decided == "camera"
    assert found.shift == pytest.approx((0.2 * SIZE, -17.4), abs=0.1)
    centre, wanted = (e.detector.panel.beam_centre / e.detector.panel.pixel_size for e in (found.experiment, true))
    assert float((centre - wanted).abs().max()) < 0.1
    done = refine_shots(
        [Shot(found.experiment, seen(true), torch.zeros(len(seen(true)), dtype=torch.int64))], ["beam_centre"]
    )
    away = (done.shots[0].experiment.detector.panel.beam_centre - true.detector.panel.beam_centre).abs().max()
    assert float(away / true.detector.panel.pixel_size) < 0.01


def test_the_distance_is_found_too() -> None:
    true = scene()
    found = locate(moved(true, 3.0, -9.1, 1.008), seen(true))
    assert found.distance * 1.008 == pytest.approx(1.0, abs=1.5e-3)


def test_the_crystal_is_found_from_a_degree_and_a_half() -> None:
    true = scene()
    crystal = true.crystal
    assert crystal.cell is not None
    axis = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64) / math.sqrt(3.0)
    cell = crystal.cell.clone()
    cell[:3] *= torch.tensor([1.004, 0.996, 1.003], dtype=torch.float64)
    off = crystal.replace(misset=crystal.misset + radians_from_degrees(1.5) * axis, cell=cell)
    found = locate(true.replace(crystal=off), seen(true), Reach(shift=0.0, distance=0.0))
    assert found.decided == "crystal"
    assert float(torch.rad2deg(found.experiment.crystal.misset - crystal.misset).abs().max()) < 0.3
    assert found.experiment.crystal.cell is not None
    assert float((found.experiment.crystal.cell[:3] / crystal.cell[:3] - 1.0).abs().max()) < 5e-3


def test_noise_has_no_answer() -> None:
    flat = torch.poisson(torch.full((SIZE, SIZE), 3.0), generator=torch.Generator().manual_seed(1))
    with pytest.raises(InputError, match="no clearly best place"):
        locate(scene(), Observation.of(flat))


def test_impossible_reaches_are_refused() -> None:
    for wrong in ({"shift": 0.9}, {"distance": -1.0}, {"turn_deg": float("nan")}, {"cell": 1.0}):
        with pytest.raises(InputError, match="give a number"):
            Reach(**wrong)


def test_correlations_are_those_of_the_definition() -> None:
    """Every shift, masked, against sums written out."""
    generator = torch.Generator().manual_seed(3)
    a, b = (torch.rand(9, 11, generator=generator, dtype=torch.float64) for _ in range(2))
    mask = (torch.rand(9, 11, generator=generator) > 0.2).double()
    found = correlation_map([a], [b], [mask], (2, 3))
    for slow in range(-2, 3):
        for fast in range(-3, 4):
            pairs = [
                (float(a[i, j]), float(b[i - slow, j - fast]))
                for i in range(9)
                for j in range(11)
                if mask[i, j] and 0 <= i - slow < 9 and 0 <= j - fast < 11
            ]
            expected = torch.corrcoef(torch.tensor(pairs, dtype=torch.float64).T)[0, 1]
            assert float(found[slow + 2, fast + 3]) == pytest.approx(float(expected), abs=1e-9)


def test_a_peak_lies_between_pixels() -> None:
    rows, columns = torch.meshgrid(torch.arange(-5, 6).double(), torch.arange(-6, 7).double(), indexing="ij")
    peak = peak_of(1.0 - 0.01 * (rows - 1.3) ** 2 - 0.02 * (columns + 2.4) ** 2)
    assert (peak.slow, peak.fast) == pytest.approx((1.3, -2.4))
