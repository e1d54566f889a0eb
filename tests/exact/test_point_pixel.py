"""specs: deviations F, D46: a point pixel has the solid angle p²/R²."""

from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.pipeline.render import panel_frame_of
from nanobrag_torch.pipeline.simulator import Simulator


@pytest.mark.parametrize("tilt", [0.0, 35.0])
def test_point_pixel_leaves_out_the_obliquity_only(scene, render, tilt):
    fields = {"misset_deg": (10.0, 20.0, 30.0), "roty_deg": tilt, "pixel_mm": 2.0}
    experiment = scene("exact", **fields)
    frame = panel_frame_of(experiment.detector.panel, experiment.beam.direction, True)
    s, f = ((np.mgrid[0:16, 0:20] + 0.5) * 2e-3).reshape(2, -1, 1)
    position = frame.origin.numpy() + f * frame.fast.numpy() + s * frame.slow.numpy()
    normal = np.cross(frame.fast.numpy(), frame.slow.numpy())
    cosine = np.abs(position @ normal) / np.linalg.norm(position, axis=1)
    found = render("exact", **fields) / render("exact", point_pixel=True, **fields)
    np.testing.assert_allclose(found.ravel(), cosine, rtol=1e-12)


def test_solid_angle_of_a_point_pixel(scene):
    image = Simulator(scene("exact", point_pixel=True, pixels_f=1, pixels_s=1, Xbeam_mm=0.0, Ybeam_mm=0.0)).run(
        solid_angle=True
    )
    assert image.statistics().solid_angle == pytest.approx((0.4 / 60.0) ** 2, rel=1e-4)
