"""Absorption on the path of the photons, and the part of a crystal that the beam lights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nanobrag_torch import (
    DetectorConfig,
    InputError,
    SamplingConfig,
    Simulator,
    settle,
)
from nanobrag_torch.config import PathConfig


def test_absorption_follows_the_spindle(imperfect):
    """A long box across the spindle, at 0 and 90 degrees: each step has its own transmission."""
    path = PathConfig(sample_mu_invmm=3.0, sample_form="box", sample_form_mm=(0.05, 0.4, 0.1), path_points=64)
    config = replace(imperfect.scene, path=path, sampling=SamplingConfig(oversample=1, osc_deg=180.0, phi_steps=2))
    step = [
        replace(
            imperfect.scene, path=path, sampling=SamplingConfig(oversample=1, phi_deg=angle, phi_steps=1, osc_deg=0.0)
        )
        for angle in (0.0, 90.0)
    ]
    both = imperfect.values(config)
    single = [imperfect.values(s) for s in step]
    assert np.abs(both - 0.5 * (single[0] + single[1])).max() < 1e-12 * both.max()
    bare = [imperfect.values(replace(s, path=PathConfig())) for s in step]
    forward = [float((s / b)[14, 14]) for s, b in zip(single, bare, strict=True)]
    assert forward[0] == pytest.approx(math.exp(-3.0 * 0.05), rel=0.03)
    assert forward[1] == pytest.approx(math.exp(-3.0 * 0.4), rel=0.1)


def test_a_material_absorbs_by_its_formula(imperfect):
    """Water at 1.1 Å: about 6.8 /cm; the same image as with that coefficient."""
    body = {"sample_form": "ellipsoid", "sample_form_mm": (0.5, 0.5, 0.5)}
    water = settle(replace(imperfect.scene, path=PathConfig(**body, sample_formula="H2O", sample_density=1.0)))
    mu = float(water.path.sample.attenuation)
    assert mu == pytest.approx(4.94e2 * (1.1 / 1.2398) ** 3 * 1.0, rel=0.15)
    assert np.allclose(
        np.asarray(Simulator(water).run().array),
        imperfect.values(replace(imperfect.scene, path=PathConfig(**body, sample_mu_invmm=mu / 1000))),
    )


def test_the_grid_of_the_transmission_is_fine_enough(monkeypatch, imperfect):
    """Interpolated on a detector of many pixels, to less than the points' own error; any list of pixels alike."""
    path = PathConfig(sample_mu_invmm=4.0, sample_form="box", sample_form_mm=(0.1, 0.3, 0.2))
    detector = DetectorConfig(pixels_f=90, pixels_s=70, pixel_mm=0.3, distance_mm=60.0, convention="DIALS")
    scene = settle(replace(imperfect.crystal(shape="gauss", Na=1, Nb=1, Nc=1), path=path, detector=detector))
    coarse = Simulator(scene).run().array
    pixels = torch.tensor([[0, 0], [69, 89], [31, 44], [7, 80]])
    assert torch.equal(Simulator(scene).run(pixels).values[0], coarse[pixels[:, 0], pixels[:, 1]])
    monkeypatch.setattr("nanobrag_torch.pipeline.compose.SMOOTH_ANGLE", 1e-9)
    exact = Simulator(scene).run().array
    assert float((coarse / exact - 1).abs().max()) < 1e-3


def test_air(imperfect):
    config = replace(imperfect.scene, path=PathConfig(air_mu_invm=2.0))
    scene = settle(imperfect.scene)
    pixel = 1.2e-3
    f, s = np.meshgrid((np.arange(30) + 0.5) * pixel, (np.arange(30) + 0.5) * pixel)
    centre = scene.detector.panel.beam_centre.numpy()
    length = np.sqrt(0.06**2 + (f - centre[0]) ** 2 + (s - centre[1]) ** 2)
    assert np.abs(imperfect.values(config) / imperfect.values(imperfect.scene) - np.exp(-2.0 * length)).max() < 1e-12


def test_the_beam_lights_a_part(imperfect):
    """A flat beam half as wide as the box: half of the volume scatters."""
    path = PathConfig(
        sample_form="box", sample_form_mm=(0.1, 0.1, 0.1), beam_form="flat", beam_form_mm=(0.05, 1.0), path_points=512
    )
    ratio = imperfect.values(replace(imperfect.scene, path=path)).sum() / imperfect.values(imperfect.scene).sum()
    assert ratio == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"sample_mu_invmm": 1.0}, "sample_mu_invmm"),
        ({"sample_form": "box", "sample_mu_invmm": 1.0}, "sample_form_mm"),
        ({"sample_form": "box", "sample_mu_invmm": -1.0, "sample_form_mm": (1.0, 1.0, 1.0)}, "sample_mu_invmm"),
        ({"sample_form": "box", "sample_mu_invmm": 1.0, "sample_form_mm": (1.0, 0.0, 1.0)}, "sample_form_mm"),
        ({"sample_formula": "H2O", "sample_form": "box"}, "sample_formula"),
        ({"sample_formula": "H2O", "sample_density": 1.0, "sample_mu_invmm": 1.0}, "sample_formula"),
        ({"sample_formula": "H2Q", "sample_density": 1.0}, "sample_formula"),
        ({"sample_density": 1.0}, "sample_density"),
        ({"sample_form": "no.obj", "sample_mu_invmm": 1.0}, "sample_form"),
        ({"sample_form": "box", "sample_form_mm": (1.0, 1.0, 1.0)}, "sample_form"),
        ({"beam_form": "round", "sample_form": "box", "sample_form_mm": (1.0, 1.0, 1.0)}, "beam_form"),
        ({"air_mu_invm": -1.0}, "air_mu_invm"),
        ({"beam_form_mm": (1.0, 1.0)}, "beam_form_mm"),
    ],
)
def test_refused_paths(said, field, imperfect):
    with pytest.raises(InputError) as refused:
        settle(replace(imperfect.scene, path=PathConfig(**said)))
    assert refused.value.field == field
