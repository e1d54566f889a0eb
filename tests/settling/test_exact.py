from __future__ import annotations

import numpy as np
import pytest
import torch

from nanobrag_torch.config import Config, CrystalConfig, DetectorConfig, SamplingConfig
from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.settling import settle
from nanobrag_torch.settling.exact import true_beam_position, without_antipode


def settled(mask=None, **detector):
    said = {"pixels_f": 20, "pixels_s": 16, "pixel_mm": 10.0, "distance_mm": 30.0, **detector}
    crystal = CrystalConfig(cell_a=40.0, default_F=1.0)
    return settle(
        Config(crystal=crystal, detector=DetectorConfig(**said), sampling=SamplingConfig(oversample=1, mask=mask))
    )


@pytest.mark.parametrize("convention", ["ADXV", "MOSFLM", "DENZO", "XDS", "DIALS", "CUSTOM"])
def test_beam_position_is_the_inverse_of_the_mapping(convention):
    """specs: geometry 4: a position said in a convention comes back, where the convention takes one."""
    centre = {"ORGX": 31 / 10 + 0.5, "ORGY": 27 / 10 + 0.5} if convention in ("XDS", "DIALS") else {}
    experiment = settled(convention=convention, Xbeam_mm=31.0, Ybeam_mm=27.0, **centre)
    found = true_beam_position(experiment.detector.panel, experiment.beam.direction, convention)
    assert found == pytest.approx({"Xbeam": 31e-3, "Ybeam": 27e-3}, abs=1e-15)


def test_only_what_lies_on_the_sphere_is_kept():
    experiment = settled(curved=True)
    (keep,) = experiment.sampling.masks
    f, s = (np.arange(20) + 0.5) * 10e-3, (np.arange(16) + 0.5) * 10e-3
    # The MOSFLM default beam centre is one pixel beyond the middle.
    reach = np.hypot(f - 110e-3, (s - 90e-3)[:, None])
    np.testing.assert_array_equal(keep, reach < np.pi * 30e-3)


def test_a_mask_that_was_given_still_counts():
    mask = np.ones((16, 20), dtype=bool)
    mask[8, 10] = False
    (keep,) = settled(mask, curved=True).sampling.masks
    assert not keep[8, 10]
    assert not keep[0, 0]
    assert keep[8, 11]


def test_other_detectors_keep_their_masks():
    assert settled(distance_mm=100.0, curved=True).sampling.masks is None
    flat = settled()
    assert flat.sampling.masks is None
    masks = (np.zeros((16, 20), dtype=bool),)
    assert without_antipode(masks, flat.detector, real(torch.tensor([1.0, 0.0, 0.0]))) is masks
