"""Gradients of the exact mode against finite differences, through everything that section F changes."""

from __future__ import annotations

import warnings

import pytest
import torch

from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.settling import settle
from nanobrag_torch.settling.inputs import Inputs

PIXELS = torch.tensor([[2, 3], [9, 11], [7, 10]])
CELL = {"cell_alpha": 75.0, "cell_beta": 85.0, "cell_gamma": 95.0}
BACKENDS = [None, "reference"]


def image_of(config, fields, names, backend, **inputs):
    """Numbers [n] → values [P] of the scene with these fields set to them."""

    def values(*numbers):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NanobragWarning)
            said = config(**{**fields, **dict(zip(names, numbers, strict=True))})
            experiment = settle(said, "exact", Inputs(**inputs) if inputs else None)
        return Simulator(experiment, backend=backend).run(PIXELS).values[0]

    return values


def passes(values, start):
    """Gradients of the values over their size now; none of them vanishes."""
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in start]
    now = values(*tensors)
    assert all(float(g.abs()) > 0.0 for g in torch.autograd.grad(now.sum(), tensors))
    size = now.detach()
    return torch.autograd.gradcheck(lambda *numbers: values(*numbers) / size, tensors, eps=1e-6, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", ["square", "gauss"])
def test_triclinic_cell(config, shape, backend):
    fields = {"shape": shape, "misset_deg": (10.0, 20.0, 30.0), "Na": 2.0, "Nb": 2.0, "Nc": 3.0, "default_F": 3.0}
    start = {"cell_a": 40.0, "cell_b": 45.0, "cell_c": 50.0, **CELL}
    assert passes(image_of(config, fields, list(start), backend), start.values())


@pytest.mark.parametrize("backend", BACKENDS)
def test_counts_and_fudge_of_gaussian_spots(config, backend):
    fields = {"shape": "gauss", "misset_deg": (10.0, 20.0, 30.0), "default_F": 3.0, **CELL}
    start = {"Na": 2.0, "Nb": 2.5, "Nc": 3.0, "fudge": 1.1}
    assert passes(image_of(config, fields, list(start), backend), start.values())


@pytest.mark.parametrize("backend", BACKENDS)
def test_curved_detector(config, backend):
    """One of the pixels is the one that the beam hits in its middle."""
    centre = {"convention": "DENZO", "Xbeam_mm": 3.0, "Ybeam_mm": 4.2}
    fields = {"curved": True, "Na": 2.0, "Nb": 2.0, "Nc": 2.0, "default_F": 3.0, **CELL, **centre, "oversample": 2}
    start = {"distance_mm": 60.0, "rotx_deg": 3.0, "roty_deg": 10.0, "Xbeam_mm": 3.0, "Ybeam_mm": 4.2}
    assert passes(image_of(config, fields, list(start), backend), start.values())
    one = {**fields, "oversample": 1}
    assert passes(image_of(config, one, ["distance_mm", "roty_deg"], backend), [60.0, 10.0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_background_and_sensor(config, backend):
    fields = {"default_F": 1.0, "Na": 2.0, "oversample": 2, "thick_steps": 3, "polarization_factor": 0.5, **CELL}
    start = {"water_um": 40.0, "thickness_um": 450.0, "attenuation_depth_um": 300.0, "twotheta_deg": 20.0}
    assert passes(image_of(config, fields, list(start), backend), start.values())
    bright = image_of(config, fields | {"water_um": 40.0}, ["fluence"], backend)
    fluence = torch.tensor(1e29, dtype=torch.float64, requires_grad=True)
    value = bright(fluence).sum()
    (slope,) = torch.autograd.grad(value, fluence)
    assert float(slope) == pytest.approx(float(value.detach()) / 1e29, rel=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_and_point_pixels(config, backend):
    fields = {"default_F": 2.0, "Na": 2.0, "point_pixel": True, "water_um": 20.0, **CELL}
    rows = torch.tensor([[-10.0, 0.0, 0.0, 1.0, 1.2e-10], [-10.0, 0.2, 0.1, 3.0, 1.1e-10]]).double().numpy()
    start = {"distance_mm": 60.0, "pixel_mm": 0.4, "polarization_factor": 0.5}
    assert passes(image_of(config, fields, list(start), backend, sources=rows), start.values())
