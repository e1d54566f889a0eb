"""specs: deviations F, D30 and D63: the layers of a sensor capture together what the sensor captures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nanobrag_torch.pipeline.render import panel_frame_of
from nanobrag_torch.pipeline.simulator import Simulator

EVEN = {"Na": 1, "Nb": 1, "Nc": 1, "polarization": False}


def flat_geometry(experiment):
    """Origin, fast, slow, normal (numpy) of the only panel, the normal away from the sample."""
    frame = panel_frame_of(experiment.detector.panel, experiment.beam.direction, True)
    origin, fast, slow = (v.numpy() for v in (frame.origin, frame.fast, frame.slow))
    normal = np.cross(fast, slow)
    return origin, fast, slow, normal * np.sign(origin @ normal)


def pixel_fronts(experiment):
    """Positions [P, 3] (m) of the pixels' centres on the front of the sensor."""
    panel = experiment.detector.panel
    origin, fast, slow, _ = flat_geometry(experiment)
    s, f = ((np.mgrid[0 : panel.pixels_s, 0 : panel.pixels_f] + 0.5) * float(panel.pixel_size)).reshape(2, -1, 1)
    return origin + f * fast + s * slow


@pytest.mark.parametrize("tilt", [0.0, 30.0, 55.0])
@pytest.mark.parametrize("layers", [1, 2, 3, 10, 40])
def test_captured_fraction_is_that_of_the_sensor(scene, render, tilt, layers):
    """1 - exp(-µt/cos) where the detector is far away, so that a ray meets all layers at one angle, for any number."""
    far = {**EVEN, "distance_mm": 60000.0, "pixel_mm": 400.0, "roty_deg": tilt}
    sensor = {"thickness_um": 450.0, "attenuation_depth_um": 300.0, "thick_steps": layers}
    experiment = scene("exact", **far)
    front, normal = pixel_fronts(experiment), flat_geometry(experiment)[3]
    cosine = front @ normal / np.linalg.norm(front, axis=1)
    captured = render("exact", **far, **sensor) / render("exact", **far)
    np.testing.assert_allclose(captured.ravel(), 1.0 - np.exp(-450.0 / 300.0 / cosine), rtol=3e-5)


def test_faithful_mode_captures_less(render):
    far = {**EVEN, "distance_mm": 60000.0}
    sensor = {"thickness_um": 100.0, "attenuation_depth_um": 100.0}
    for layers, measured in ((None, 0.478), (2, 0.466), (3, 0.435), (5, 0.408)):
        captured = render("nanobragg", **far, **sensor, thick_steps=layers) / render("nanobragg", **far)
        assert captured.max() == pytest.approx(measured, rel=5e-3)


def integral_through_the_sensor(experiment, thickness, absorption):
    """∫ (µ/cos) exp(-µz/cos) Ω(z)/Ω(0) dz of every pixel [P] by Gauss quadrature; cos of the ray to depth z."""
    front, normal = pixel_fronts(experiment), flat_geometry(experiment)[3]
    nodes, weights = np.polynomial.legendre.leggauss(40)
    total = np.zeros(len(front))
    for node, weight in zip(nodes, weights, strict=True):
        z = 0.5 * thickness * (node + 1.0)
        position = front + z * normal
        R = np.linalg.norm(position, axis=1)
        per_metre = absorption * R / (position @ normal)
        nearer = (np.linalg.norm(front, axis=1) / R) ** 3
        total += 0.5 * thickness * weight * per_metre * np.exp(-per_metre * z) * nearer
    return total


def test_near_thick_sensor_is_approached_at_first_order(scene, render):
    """Where rays meet the layers at different angles, the sum over layers becomes the integral over the depth."""
    near = {**EVEN, "distance_mm": 15.0, "roty_deg": 25.0}
    wanted = integral_through_the_sensor(scene("exact", **near), 2e-3, 1.0 / 1.5e-3)
    errors = []
    for layers in (4, 8, 16, 32):
        sensor = {"thickness_um": 2000.0, "attenuation_depth_um": 1500.0, "thick_steps": layers}
        captured = (render("exact", **near, **sensor) / render("exact", **near)).ravel()
        errors.append(np.abs(captured / wanted - 1.0).max())
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(orders, 1.0, atol=0.1)
    assert errors[-1] < 8e-3


def test_parallax_is_approached_at_first_order(scene):
    """The direct-beam spot on a tilted sensor moves by tan(tilt) times the mean depth of capture.

    Mean depth = (1/m)·(1 - x/(exp(x) - 1)) with m = µ/cos and x = m·t.
    """
    tilt, thickness, depth = math.radians(50.0), 500e-6, 400e-6
    fields = {
        "shape": "gauss",
        "Na": 10,
        "Nb": 10,
        "Nc": 10,
        "cell_a": 50.0,
        "cell_b": 50.0,
        "cell_c": 50.0,
        "wavelength_A": 1.0,
        "distance_mm": 100.0,
        "pixel_mm": 0.02,
        "pixels_f": 121,
        "pixels_s": 101,
        "roty_deg": 50.0,
        "polarization": False,
    }
    x = thickness / depth / math.cos(tilt)
    wanted = depth * math.cos(tilt) * (1.0 - x / math.expm1(x)) * math.tan(tilt)

    def centroid(**sensor):
        image = Simulator(scene("exact", **fields, **sensor)).run().array.numpy()
        return (image * (np.arange(121) * 0.02e-3)).sum() / image.sum()

    still = centroid()
    shifts = [
        abs(centroid(thickness_um=500.0, attenuation_depth_um=400.0, thick_steps=n) - still) for n in (2, 4, 8, 16, 32)
    ]
    errors = np.abs(np.array(shifts) - wanted)
    np.testing.assert_allclose(np.log2(errors[:-1] / errors[1:]), 1.0, atol=0.15)
    assert errors[-1] < 0.05 * wanted


def test_layers_divide_the_sensor(scene):
    for layers, counted in ((1, 1), (2, 2), (5, 5), (None, 2)):
        panel = scene("exact", thickness_um=100.0, attenuation_depth_um=300.0, thick_steps=layers).detector.panel
        assert panel.layers == counted
        assert float(panel.layers * panel.layer_step) == pytest.approx(100e-6, rel=1e-15)


def test_thickness_and_depth_pass_gradients(scene):
    depth = torch.tensor(300.0, dtype=torch.float64, requires_grad=True)
    image = Simulator(scene("exact", thickness_um=450.0, attenuation_depth_um=depth, thick_steps=3)).run()
    image.backward()
    assert depth.grad is not None
    assert float(depth.grad) < 0.0
