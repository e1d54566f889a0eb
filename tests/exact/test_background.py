"""specs: deviations F, D29: the background is what the water scatters, once, into every pixel."""

from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.pipeline.render import panel_frame_of

FAINT = {"default_F": 1e-30, "water_um": 10.0, "wavelength_A": 1.0}
SOURCES = [[-10.0, 0.0, 0.0, 1.0, 1e-10], [-10.0, 0.1, -0.2, 3.0, 1.1e-10], [-10.0, -0.3, 0.1, 2.0, 0.9e-10]]
FLUENCE = 125932015286227086360700780544.0


def expected(experiment, *, kahn=None, thickness=0.0, depth=1.0, oversample=1):
    """2.57² r_e² Φ W³ 1e6 N_A/18 times the mean of p·Ω over sub-pixels, times the captured fraction; [slow, fast]."""
    panel = experiment.detector.panel
    frame = panel_frame_of(panel, experiment.beam.direction, True)
    origin, fast, slow = (v.numpy() for v in (frame.origin, frame.fast, frame.slow))
    p = float(panel.pixel_size)
    s, f = ((np.mgrid[0 : 16 * oversample, 0 : 20 * oversample] + 0.5) * p / oversample).reshape(2, -1, 1)
    position = origin + f * fast + s * slow
    R = np.linalg.norm(position, axis=1)
    ray, normal, beam = position / R[:, None], np.cross(fast, slow), experiment.beam.direction.numpy()
    cosine = np.abs(ray @ normal)
    factor = p * p / (R * R) * cosine
    if kahn is not None:
        electric = experiment.beam.polarization_axis.numpy()
        magnetic = np.cross(electric, beam)
        c = ray @ beam
        psi = np.arctan2(ray @ magnetic, ray @ electric)
        factor = factor * 0.5 * (1 + c * c - kahn * np.cos(2 * psi) * (1 - c * c))
    factor = factor * (1 - np.exp(-thickness / depth / cosine)) if thickness else factor
    water = 2.57**2 * 7.94079248018965e-30 * FLUENCE * (10e-6) ** 3 * 1e6 * 6.02214179e23 / 18.0
    return water * factor.reshape(16, oversample, 20, oversample).mean(axis=(1, 3))


@pytest.mark.parametrize("oversample", [1, 2, 3])
def test_background_is_the_formula(scene, render, oversample):
    fields = {**FAINT, "polarization_factor": 0.7, "oversample": oversample, "roty_deg": 20.0}
    wanted = expected(scene("exact", **fields), kahn=0.7, oversample=oversample)
    np.testing.assert_allclose(render("exact", **fields), wanted, rtol=1e-12)


@pytest.mark.parametrize("layers", [1, 2, 7])
def test_background_is_captured_by_the_whole_sensor(scene, render, layers):
    far = {"distance_mm": 60000.0, "pixel_mm": 400.0, "roty_deg": 40.0, "polarization": False}
    sensor = {"thickness_um": 300.0, "attenuation_depth_um": 200.0, "thick_steps": layers}
    wanted = expected(scene("exact", **FAINT, **far), thickness=300.0, depth=200.0)
    np.testing.assert_allclose(render("exact", **FAINT, **far, **sensor), wanted, rtol=2e-5)


@pytest.mark.parametrize(
    "more",
    [
        {"oversample": 4},
        {"osc_deg": 3.0, "phi_steps": 5},
        {"mosaic_spread_deg": 1.0, "mosaic_domains": 7},
        {"hdiv_range_mrad": 5.0, "hdiv_steps": 3, "vdiv_range_mrad": 4.0, "vdiv_steps": 3},
        {"dispersion_percent": 2.0, "dispersion_steps": 4},
        {"sources": SOURCES},
    ],
)
def test_background_does_not_depend_on_the_sampling(render, more):
    plain = render("exact", **FAINT, polarization=False)
    sampled = render("exact", **{**FAINT, "polarization": False, **more})
    np.testing.assert_allclose(sampled, plain, rtol=1e-4 if "oversample" in more else 1e-13)
    assert sampled.sum() == pytest.approx(plain.sum(), rel=2e-5)


def test_background_is_proportional_to_fluence_and_volume(render):
    plain = render("exact", **FAINT)
    np.testing.assert_allclose(render("exact", **FAINT, fluence=1e24), plain * (1e24 / FLUENCE), rtol=1e-13)
    np.testing.assert_allclose(render("exact", **{**FAINT, "water_um": 20.0}), plain * 8.0, rtol=1e-13)


def test_background_adds_to_the_crystal(render):
    """Reflections and background do not know of each other."""
    many = {"oversample": 2, "osc_deg": 2.0, "phi_steps": 3, "misset_deg": (10.0, 20.0, 30.0), "fluence": 1e27}
    both = render("exact", water_um=10.0, **many)
    alone = render("exact", **many) + render("exact", **{**many, "water_um": 10.0, "default_F": 1e-30})
    np.testing.assert_allclose(both, alone, rtol=1e-12)


def test_faithful_mode_scales_with_the_square_of_the_fluence(render):
    sums = [render("nanobragg", **FAINT, fluence=fluence).sum() for fluence in (1e24, 2e24)]
    assert sums[1] / sums[0] == pytest.approx(4.0, rel=1e-12)
