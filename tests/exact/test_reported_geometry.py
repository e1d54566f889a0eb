"""specs: deviations F, D38, D39, D40: what is reported about detector and image is true."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nanobrag_torch.cli.outputs import Results, header
from nanobrag_torch.physics.accumulate import sub_pixel
from nanobrag_torch.pipeline.render import panel_frame_of, pixel_scene
from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.settling.exact import true_beam_position

PLACED = [
    {"convention": "MOSFLM", "twotheta_deg": 10.0},
    {"convention": "MOSFLM", "rotx_deg": 5.0, "roty_deg": 27.0, "rotz_deg": -9.0, "twotheta_deg": 14.0},
    {"convention": "DENZO", "rotz_deg": 33.0, "Xbeam_mm": 3.0, "Ybeam_mm": 5.0},
    {"convention": "ADXV", "rotx_deg": 5.0, "roty_deg": 7.0, "rotz_deg": 9.0, "twotheta_deg": 20.0},
    {"convention": "XDS", "twotheta_deg": 15.0, "ORGX": 4.0, "ORGY": 7.0},
    {"convention": "XDS", "rotx_deg": -12.0, "roty_deg": 30.0, "rotz_deg": 50.0, "close_distance_mm": 55.0},
    {"convention": "DIALS", "twotheta_deg": -25.0, "rotx_deg": 10.0},
    {
        "convention": "CUSTOM",
        "pivot": "SAMPLE",
        "beam_vector": (1.0, 0.1, -0.2),
        "fdet_vector": (0.1, 0.0, 1.0),
        "sdet_vector": (0.2, -1.0, 0.0),
        "odet_vector": (1.0, 0.0, 0.0),
        "twotheta_deg": 12.0,
    },
]


def cast(positions, ray):
    """Where a ray [3] from the sample meets the plane of the pixels: range (m), fast and slow coordinate (pixels).

    `positions` [3, 3] are those of the pixels (0, 0), (0, 1) and (1, 0).
    """
    origin, u, v = positions[0], positions[1] - positions[0], positions[2] - positions[0]
    range_, f, s = np.linalg.solve(np.column_stack([ray, -u, -v]), origin)
    return range_, f + 0.5, s + 0.5


@pytest.mark.parametrize("placed", PLACED)
def test_beam_hits_the_detector_where_it_is_reported(scene, placed):
    """A ray cast along the beam onto the pixels that are rendered."""
    experiment = scene("exact", **placed)
    panel, pixel = pixel_scene(experiment, 0), 0.4e-3
    positions = sub_pixel(panel, torch.tensor([0, 1, 20]), 0, (0, 0)).positions.numpy()
    range_, f, s = cast(positions, experiment.beam.direction.numpy())
    frame = panel_frame_of(experiment.detector.panel, experiment.beam.direction, True)
    assert float(frame.distance) == pytest.approx(range_, rel=1e-12)
    np.testing.assert_allclose(frame.beam_centre.numpy(), [f * pixel, s * pixel], rtol=0, atol=1e-14)
    written = header(Results.of(Simulator(experiment).run(solid_angle=True), experiment.facts["config"]))
    assert written.distance == pytest.approx(1e3 * range_, rel=1e-12)
    assert written.denzo_beam == pytest.approx((1e3 * pixel * s, 1e3 * pixel * f), abs=1e-11)
    found = true_beam_position(experiment.detector.panel, experiment.beam.direction, placed["convention"])
    assert written.beam_centre == pytest.approx((1e3 * found["Xbeam"], 1e3 * found["Ybeam"]))


def test_beam_position_is_what_was_asked_for_with_the_beam_pivot(scene):
    for convention in ("MOSFLM", "ADXV", "DENZO"):
        tilted = {"rotx_deg": 5.0, "roty_deg": 17.0, "rotz_deg": 9.0, "twotheta_deg": 20.0}
        facts = scene("exact", convention=convention, Xbeam_mm=3.0, Ybeam_mm=2.0, **tilted).facts
        assert (facts["Xbeam"], facts["Ybeam"]) == pytest.approx((3e-3, 2e-3), abs=1e-15)


def rays_in_a_cone(axis, opening, count):
    """Unit vectors [count, 3], evenly spread over the cone around an axis (Fibonacci), and the cone's solid angle."""
    i = np.arange(count) + 0.5
    height = 1.0 - i / count * (1.0 - math.cos(opening))
    turn = i * math.pi * (3.0 - math.sqrt(5.0))
    radius = np.sqrt(1.0 - height * height)
    helper = np.eye(3)[np.argmin(np.abs(axis))]
    u = np.cross(axis, helper)
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    rays = height[:, None] * axis + (radius * np.cos(turn))[:, None] * u + (radius * np.sin(turn))[:, None] * v
    return rays, 2.0 * math.pi * (1.0 - math.cos(opening))


@pytest.mark.parametrize("placed", PLACED[:7])
@pytest.mark.parametrize(
    "sampled", [{}, {"oversample": 2, "osc_deg": 1.0, "phi_steps": 3, "mosaic_spread_deg": 1.0, "mosaic_domains": 4}]
)
def test_solid_angle_is_the_share_of_rays_that_hit(scene, placed, sampled):
    experiment = scene("exact", **placed, **sampled)
    panel = pixel_scene(scene("exact", **placed), 0)
    positions = sub_pixel(panel, torch.tensor([0, 1, 20]), 0, (0, 0)).positions.numpy()
    u, v = positions[1] - positions[0], positions[2] - positions[0]
    corner = positions[0] - 0.5 * (u + v)
    corners = [corner + i * 20 * u + j * 16 * v for i in (0, 1) for j in (0, 1)]
    axis = sum(corners) / np.linalg.norm(sum(corners))
    opening = max(math.acos(c @ axis / np.linalg.norm(c)) for c in corners)
    rays, cone = rays_in_a_cone(axis, opening, 400_000)
    normal = np.cross(u, v)
    reach = (positions[0] @ normal) / (rays @ normal)
    across = rays * reach[:, None] - corner
    f, s = across @ u / (u @ u), across @ v / (v @ v)
    hits = (reach > 0) & (f >= 0) & (f < 20) & (s >= 0) & (s < 16)
    image = Simulator(experiment).run(solid_angle=True)
    assert image.statistics().solid_angle == pytest.approx(cone * hits.mean(), rel=1e-3)


def test_solid_angle_of_several_panels_is_their_sum(scene):
    from nanobrag_torch.config import PanelConfig

    def panel(x, thickness):
        return PanelConfig((60.0, 3.0, x), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 20, 16, 0.4, thickness, 300.0)

    def angle(*panels):
        return Simulator(scene("exact", panels=panels)).run(solid_angle=True).statistics().solid_angle

    thin, thick = panel(-9.0, 0.0), panel(1.0, 1.0)
    assert angle(thin, thick) == pytest.approx(angle(thin) + angle(thick), rel=1e-12)


def test_rmsd_is_over_rendered_pixels(scene):
    mask = np.ones((16, 20), dtype=bool)
    mask[3:9, 4:11] = False
    image = Simulator(scene("exact", mask=mask)).run()
    values = image.numpy()[0][mask].astype(np.float64)
    found = image.statistics()
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.rmsd == pytest.approx(values.std(ddof=1), rel=1e-12)
