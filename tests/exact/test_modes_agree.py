"""specs: deviations F: where no defect takes part, both modes draw the same image."""

from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.settling import settle

WITHOUT_DEFECTS = [
    {},
    {"cell_a": 60.0, "cell_b": 60.0, "cell_c": 60.0, "Na": 7, "misset_deg": (10.0, 20.0, 30.0)},
    {"cell_gamma": 120.0, "cell_b": 40.0, "shape": "round"},
    {"cell_beta": 103.0, "osc_deg": 2.0, "phi_steps": 4, "phi_deg": 5.0},
    {"mosaic_spread_deg": 1.0, "mosaic_domains": 5, "mosaic_seed": 7, "polarization_factor": 0.8},
    {"twotheta_deg": 20.0, "rotx_deg": 5.0, "roty_deg": 7.0, "rotz_deg": 9.0},
    {"convention": "XDS", "twotheta_deg": 15.0, "polarization": False, "dmin_A": 4.0},
    {"cell_a": None, "orientation_matrix": [[0.03, 0.002, 0.001], [-0.004, 0.025, 0.003], [0.0, -0.001, 0.02]]},
    {"water_um": 10.0},
    {"roi": (3, 10, 5, 12), "attenuation_depth_um": float("inf"), "thickness_um": 100.0},
    {"thickness_um": 450.0, "attenuation_depth_um": 300.0, "oversample_thick": True},
]


@pytest.mark.parametrize("fields", WITHOUT_DEFECTS)
def test_modes_agree(render, fields):
    exact = render("exact", **fields)
    # Otherwise a pixel has the solid angle and polarization of its first layer: specs: deviations F, D64.
    per_term = {"oversample_omega": True, "oversample_polar": True} if "oversample_thick" in fields else {}
    faithful = render("nanobragg", **fields, **per_term)
    np.testing.assert_allclose(exact, faithful, rtol=1e-12, atol=1e-12 * faithful.max())
    assert faithful.max() > 0.0


@pytest.mark.parametrize("fields", WITHOUT_DEFECTS)
def test_nothing_is_announced(config, fields):
    """Warnings are errors here."""
    for physics in ("nanobragg", "exact"):
        experiment = settle(config(**fields), physics)
        assert [note for note in experiment.notes if note.stage == "defect"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"cell_alpha": 75.0, "cell_beta": 85.0, "cell_gamma": 95.0, "oversample": 2},
        {"shape": "gauss", "Na": 7, "misset_deg": (10.0, 20.0, 30.0)},
        {"shape": "tophat", "Na": 3},
        {"curved": True, "pixel_mm": 4.0, "roty_deg": 20.0, "thickness_um": 100.0, "attenuation_depth_um": 90.0},
        {"water_um": 20.0, "fluence": 1e29, "oversample": 2, "dmin_A": 5.0, "thickness_um": 100.0},
        {"point_pixel": True, "polarization_factor": 0.7},
        {"sources": [[-10.0, 0.0, 0.0, 1.0, 1.2e-10], [-10.0, 0.2, 0.1, 3.0, 1.1e-10]], "water_um": 20.0},
    ],
)
def test_compiled_kernel_and_definition_agree_in_the_exact_mode(scene, fields):
    experiment = scene("exact", **fields)
    fast, plain = (Simulator(experiment, backend=name).run().array.numpy() for name in (None, "reference"))
    np.testing.assert_allclose(fast, plain, rtol=1e-10, atol=1e-12 * plain.max())
