"""The plain description of an experiment: what was settled, in numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nanobrag_torch import settle
from nanobrag_torch.config import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig
from nanobrag_torch.io.scene import GAP, MASKED, unsaid_by_flat_headers
from nanobrag_torch.pipeline.describe import describe, pixel_masks
from nanobrag_torch.pipeline.render import panel_frame_of


@pytest.fixture
def said() -> Config:
    return Config(
        CrystalConfig(cell_a=40.0, cell_b=50.0, cell_c=60.0, default_F=1.0),
        BeamConfig(wavelength_A=1.2, flux=1e12, exposure_s=0.5, beamsize_mm=0.05, polarization_factor=0.9),
        DetectorConfig(pixels_f=8, pixels_s=6, pixel_mm=0.2, distance_mm=80.0),
        SamplingConfig(phi_deg=5.0, osc_deg=0.5, phi_steps=1),
    )


def test_beam_spindle_and_cell(said):
    scene = describe(settle(said))
    assert scene.beam.wavelength == 1.2
    assert scene.beam.total_flux == pytest.approx(1e12)
    assert (scene.beam.exposure, scene.beam.size) == (0.5, pytest.approx(5e-5))
    assert scene.beam.polarization_factor == 0.9
    assert (scene.phi, scene.osc) == pytest.approx((5.0, 0.5))
    np.testing.assert_array_equal(scene.spindle, [0, 0, 1])
    np.testing.assert_allclose(scene.cell, np.diag([40.0, 50.0, 60.0]), atol=1e-12)


@pytest.mark.parametrize("convention", ["ADXV", "MOSFLM", "DENZO", "XDS", "DIALS"])
def test_panels_stand_where_they_are_rendered(said, convention):
    detector = replace(said.detector, convention=convention, rotx_deg=3.0, roty_deg=4.0, twotheta_deg=10.0)
    experiment = settle(replace(said, detector=detector))
    frame = panel_frame_of(experiment.detector.panel, experiment.beam.direction, True)
    (panel,) = describe(experiment).panels
    np.testing.assert_array_equal(panel.origin, frame.origin)
    np.testing.assert_array_equal(panel.fast, frame.fast)
    np.testing.assert_array_equal(panel.slow, frame.slow)
    assert describe(experiment).twotheta == pytest.approx(10.0)


def test_conventions_that_a_flat_header_can_say(said):
    """ADXV shows the image against the beam, DIALS turns about the slow axis; the others need no remark."""
    remarks = {}
    for convention in ("ADXV", "MOSFLM", "DENZO", "XDS", "DIALS"):
        detector = replace(said.detector, convention=convention)
        remarks[convention] = unsaid_by_flat_headers(describe(settle(replace(said, detector=detector))))[1]
    assert {name: len(found) for name, found in remarks.items()} == {
        "ADXV": 1,
        "MOSFLM": 0,
        "DENZO": 0,
        "XDS": 0,
        "DIALS": 1,
    }
    assert "mirror" in remarks["ADXV"][0]
    assert "spindle" in remarks["DIALS"][0]


def test_the_sensor(said):
    thick = replace(said.detector, thickness_um=300.0, attenuation_depth_um=250.0)
    (panel,) = describe(settle(replace(said, detector=thick))).panels
    assert panel.thickness == pytest.approx(3e-4)
    assert panel.attenuation == pytest.approx(4000.0)
    (plain,) = describe(settle(said)).panels
    assert (plain.thickness, plain.attenuation) == (0.0, 0.0)


def test_a_spectrum_adds_up_directions(said):
    beam = replace(said.beam, dispersion_percent=1.0, dispersion_steps=3, hdiv_range_mrad=1.0, hdiv_steps=2)
    scene = describe(settle(replace(said, beam=beam)))
    np.testing.assert_allclose(scene.beam.wavelengths, [1.194, 1.2, 1.206])
    np.testing.assert_allclose(scene.beam.weights, [1 / 3] * 3)


def test_masks(said):
    mask = np.ones((6, 8), dtype=np.uint8)
    mask[2, 3] = mask[0, 0] = 0
    sampling = replace(said.sampling, roi=(1, 6, 1, 4), mask=mask)
    (bits,) = pixel_masks(settle(replace(said, sampling=sampling)))
    assert bits[2, 3] == MASKED
    assert bits[0, 0] == GAP | MASKED
    assert (bits == GAP).sum() == 48 - 24 - 1
    assert (bits == 0).sum() == 23
