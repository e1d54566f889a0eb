"""specs: deviations F, D28: a curved detector is a sphere around the sample, however it is tilted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nanobrag_torch.geometry.detector import sphere_positions
from nanobrag_torch.physics.accumulate import sub_pixel
from nanobrag_torch.pipeline.render import panel_frame_of, pixel_scene
from nanobrag_torch.pipeline.simulator import Simulator

TILTED = [
    {"convention": "MOSFLM"},
    {"convention": "XDS"},
    {"convention": "MOSFLM", "rotx_deg": 5.0, "roty_deg": -12.0, "rotz_deg": 20.0, "twotheta_deg": 8.0},
    {"convention": "XDS", "rotx_deg": 10.0, "roty_deg": 15.0, "rotz_deg": -30.0, "twotheta_deg": 25.0},
    {"convention": "ADXV", "twotheta_deg": -17.0, "Xbeam_mm": 3.0, "Ybeam_mm": 2.0},
    {
        "convention": "CUSTOM",
        "beam_vector": (0.6, 0.0, 0.8),
        "fdet_vector": (0.8, 0.0, -0.6),
        "sdet_vector": (0.0, 1.0, 0.0),
        "odet_vector": (0.6, 0.0, 0.8),
        "polar_vector": (0.0, 1.0, 0.0),
        "roty_deg": 25.0,
    },
]


@pytest.mark.parametrize("placed", TILTED)
def test_all_pixels_are_at_the_same_distance(scene, placed):
    panel = pixel_scene(scene("exact", curved=True, pixel_mm=4.0, **placed), 0)
    at = sub_pixel(panel, torch.arange(20 * 16), 0, (0, 0))
    lengths = np.linalg.norm(at.positions.numpy(), axis=1)
    np.testing.assert_allclose(lengths, abs(float(panel.distance)), rtol=1e-14)


@pytest.mark.parametrize("placed", TILTED)
def test_ring_has_the_same_angle_in_every_direction(scene, placed):
    """The angle between ray and beam is the distance from the beam centre on the detector over the radius."""
    experiment = scene("exact", curved=True, pixel_mm=4.0, pixels_f=31, pixels_s=31, **placed)
    panel = pixel_scene(experiment, 0)
    pixels = torch.arange(31 * 31)
    ray, beam = sub_pixel(panel, pixels, 0, (0, 0)).directions.numpy(), panel.beam.numpy()
    angle = np.arctan2(np.linalg.norm(np.cross(beam, ray), axis=1), ray @ beam)
    slow, fast = np.divmod(pixels.numpy(), 31)
    centre = panel.beam_centre.numpy()
    x, y = (fast + 0.5) * 4e-3 - centre[0], (slow + 0.5) * 4e-3 - centre[1]
    np.testing.assert_allclose(angle, np.hypot(x, y) / abs(float(panel.distance)), atol=1e-13)


def test_directions_follow_the_axes(scene):
    """A pixel further along the fast axis is seen further along the fast axis, likewise slow."""
    for placed in TILTED:
        panel = pixel_scene(scene("exact", curved=True, **placed), 0)
        at = sub_pixel(panel, torch.tensor([0, 1, 20]), 0, (0, 0)).positions
        across = at[1] - at[0], at[2] - at[0]
        assert float(across[0] @ panel.fast) > 0
        assert float(across[1] @ panel.slow) > 0


@pytest.mark.parametrize("placed", TILTED)
@pytest.mark.parametrize("oversample", [1, 2])
def test_whole_sphere_has_four_pi(scene, placed, oversample):
    """Pixels beyond the point opposite the beam have no place on the sphere and are left out."""
    size = {"pixel_mm": 0.5, "pixels_f": 400, "pixels_s": 400, "distance_mm": 20.0, "oversample": oversample}
    if placed["convention"] == "ADXV":
        placed = placed | {"Xbeam_mm": 101.0, "Ybeam_mm": 98.0}
    experiment = scene("exact", curved=True, Na=1, Nb=1, Nc=1, **size, **placed)
    panel = pixel_scene(experiment, 0)
    edge = min(*panel.beam_centre.tolist(), *(0.2 - panel.beam_centre).tolist())
    assert edge > math.pi * abs(float(panel.distance)), "the detector does not cover the sphere"
    image = Simulator(experiment).run(solid_angle=True)
    assert image.statistics().solid_angle == pytest.approx(4.0 * math.pi, rel=1e-3)
    assert float(image.array.min()) >= 0.0


@pytest.mark.parametrize("placed", TILTED)
def test_solid_angles_are_the_areas_between_directions(scene, placed):
    """Against the spherical quadrilateral between the directions of the four corners of every pixel."""
    panel = pixel_scene(scene("exact", curved=True, pixel_mm=0.8, **placed), 0)
    omega = sub_pixel(panel, torch.arange(320), 0, (0, 0)).omega.numpy().reshape(16, 20)
    frame = panel_frame_of(scene("exact", **placed, pixel_mm=0.8).detector.panel, panel.beam, True)
    s, f = (grid.reshape(-1) * 0.8e-3 for grid in np.mgrid[0:17, 0:21])
    positions = sphere_positions(torch.from_numpy(f), torch.from_numpy(s), frame, panel.beam)[0].numpy()
    u = (positions / np.linalg.norm(positions, axis=1, keepdims=True)).reshape(17, 21, 3)
    a, b, c, d = u[:-1, :-1], u[:-1, 1:], u[1:, 1:], u[1:, :-1]
    np.testing.assert_allclose(omega, triangle(a, b, c) + triangle(a, c, d), rtol=1e-4)


def triangle(a, b, c):
    """Solid angle of spherical triangles with corners [..., 3] (Van Oosterom and Strackee)."""
    triple = np.abs(np.einsum("...i,...i", a, np.cross(b, c)))
    dots = [np.einsum("...i,...i", u, v) for u, v in ((a, b), (b, c), (c, a))]
    return 2.0 * np.arctan2(triple, 1.0 + sum(dots))


@pytest.mark.parametrize("tilt", [0.0, 20.0])
def test_even_scattering_is_drawn_round(render, tilt):
    """One cell scatters evenly without polarization: what is equally far from the beam is equally bright."""
    even = {"polarization": False, "Na": 1, "Nb": 1, "Nc": 1, "pixel_mm": 4.0, "pixels_f": 21, "pixels_s": 21}
    image = render("exact", curved=True, Xbeam_mm=40.0, Ybeam_mm=40.0, roty_deg=tilt, **even)
    for turned in (image[::-1], image[:, ::-1], image.T):
        np.testing.assert_allclose(image, turned, rtol=1e-12)
