"""specs: deviations F, D64: every term has its own solid angle, polarization and capture fraction."""

from __future__ import annotations

import numpy as np
import pytest

TILTED = {"misset_deg": (10.0, 20.0, 30.0), "roty_deg": 25.0, "polarization_factor": 0.9, "distance_mm": 20.0}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"thickness_um": 450.0, "attenuation_depth_um": 300.0, "thick_steps": 3},
        {"curved": True},
        {"point_pixel": True},
        {"water_um": 30.0, "fluence": 1e28},
        {"dmin_A": 3.0, "water_um": 30.0},
        {"hdiv_range_mrad": 5.0, "hdiv_steps": 3, "dispersion_percent": 1.0, "dispersion_steps": 2},
    ],
)
def test_a_pixel_counts_what_smaller_pixels_in_its_place_count(render, more):
    """3 x 3 sub-pixels give the sum of 3 x 3 pixels of a third of the size."""
    centre = {"Xbeam_mm": 3.0, "Ybeam_mm": 4.0, "convention": "DENZO"}
    coarse = render("exact", oversample=3, **TILTED, **centre, **more)
    fine = render("exact", **{**TILTED, **centre, **more, "pixels_f": 60, "pixels_s": 48, "pixel_mm": 0.4 / 3.0})
    summed = fine.reshape(16, 3, 20, 3).sum(axis=(1, 3))
    np.testing.assert_allclose(coarse, summed, rtol=1e-10, atol=1e-12 * coarse.max())


def test_the_switches_change_nothing_any_more(render):
    on = {"oversample_omega": True, "oversample_polar": True, "oversample_thick": True}
    sensor = {"thickness_um": 450.0, "attenuation_depth_um": 300.0}
    plain = render("exact", oversample=2, **TILTED, **sensor)
    np.testing.assert_array_equal(render("exact", oversample=2, **TILTED, **sensor, **on), plain)


def test_the_image_of_many_sources_is_the_mean_of_their_images(render):
    rows = [[-10.0, 0.0, 0.0, 1.0, 1.2e-10], [-10.0, 2.0, 1.0, 1.0, 1.1e-10], [-10.0, -3.0, 0.5, 1.0, 1.3e-10]]
    together = render("exact", sources=rows, **TILTED)
    alone = sum(render("exact", sources=[row], **TILTED) for row in rows) / 3.0
    np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-12 * alone.max())
