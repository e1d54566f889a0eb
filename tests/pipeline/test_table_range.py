"""The first sample outside the table, against a search of every sample (specs: structure_factors 5)."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from nanobrag_torch import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    SamplingConfig,
    Simulator,
    StructureFactors,
    settle,
)
from nanobrag_torch.errors import TableRangeWarning
from nanobrag_torch.physics.accumulate import sub_pixels, term
from nanobrag_torch.pipeline.render import pixel_scene
from nanobrag_torch.pipeline.simulator import pixel_lists
from nanobrag_torch.pipeline.table_range import Outside, first_outside


def scene(size=5, interpolate=True, detector=None, beam=None, sampling=None, **crystal):
    side = 2 * size + 1
    table = StructureFactors(
        torch.ones(side, side, side, dtype=torch.float64), (-size, -size, -size), torch.tensor(0.0)
    )
    fields = {"cell_a": 20.0, "cell_b": 24.0, "cell_c": 26.0, "misset_deg": (10, 20, 30), "Na": 2, "Nb": 2, "Nc": 2}
    return settle(
        Config(
            crystal=CrystalConfig(structure_factors=table, interpolate=interpolate, **(fields | crystal)),
            beam=BeamConfig(**({"wavelength_A": 1.2} | (beam or {}))),
            detector=DetectorConfig(
                **({"distance_mm": 60.0, "pixels_f": 20, "pixels_s": 16, "pixel_mm": 2.0} | (detector or {}))
            ),
            sampling=SamplingConfig(**({"oversample": 1} | (sampling or {}))),
        )
    )


def every_sample(experiment, pixels):
    """Pixel by pixel, everything in the order of the C program's loops."""
    table = experiment.crystal.structure_factors
    low = torch.tensor(table.origin) + 2
    high = torch.tensor(table.origin) + torch.tensor(table.sizes) - 3
    drawn = pixel_scene(experiment, 0)
    for pixel in pixels.tolist():
        for at in sub_pixels(drawn, torch.tensor([pixel])):
            for source in range(experiment.beam.sources):
                now = term(drawn, at, source)
                for cell in drawn.A if now.kept[0] else ():
                    h = cell @ now.S[0]
                    if not bool(((h >= low) & (h <= high)).all()):
                        return pytest.approx(tuple(h.tolist()), rel=1e-12)
    return None


CASES = {
    "near": {},
    "late": {"sampling": {"roi": (3, 15, 4, 15)}},
    "nowhere": {"size": 20},
    "finer": {"sampling": {"oversample": 3}, "size": 6},
    "many": {
        "size": 6,
        "mosaic_spread_deg": 20.0,
        "mosaic_domains": 4,
        "beam": {"dispersion_percent": 20.0, "dispersion_steps": 3, "hdiv_range_mrad": 50.0, "hdiv_steps": 3},
        "sampling": {"oversample": 2, "phi_deg": 0.0, "osc_deg": 30.0, "phi_steps": 3},
    },
    "cut": {"sampling": {"dmin_A": 5.0, "oversample": 1}, "size": 4},
    "sensor": {"detector": {"thickness_um": 5000.0, "thick_steps": 3, "attenuation_depth_um": 500.0}, "size": 7},
    "curved": {"detector": {"curved": True}, "size": 6},
    "wide": {"detector": {"pixels_f": 150, "pixels_s": 4, "pixel_mm": 0.3}, "size": 4},
}


@pytest.mark.parametrize("name", CASES)
def test_as_a_search_of_every_sample(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        experiment = scene(**CASES[name])
    lists = pixel_lists(experiment)
    panel = experiment.detector.panel
    pixels = torch.arange(panel.pixels_f * panel.pixels_s) if lists[0] is None else lists[0]
    found = first_outside(experiment, lists)
    assert (None if found is None else tuple(found)) == every_sample(experiment, pixels)
    assert first_outside(experiment, [pixels]) == found
    assert (found is None) == (name == "nowhere")


def test_most_pixels_are_never_looked_at(monkeypatch):
    looked = []
    monkeypatch.setattr("nanobrag_torch.pipeline.table_range._first_of", lambda scene, run: looked.append(len(run)))
    experiment = scene(14, detector={"pixels_f": 600, "pixels_s": 600, "pixel_mm": 0.12})
    first_outside(experiment, [None])
    assert 0 < sum(looked) < 0.2 * 360000


def test_nothing_to_look_at():
    assert first_outside(scene(interpolate=False), [None]) is None
    assert first_outside(scene(), [torch.empty(0, dtype=torch.int64)]) is None


def test_the_lines_of_the_c_program():
    found = Outside(-0.2499432, 8.628561, -10.24421)
    text = "WARNING: out of range for three point interpolation: h,k,l,h0,k0,l0: -0.249943,8.62856,-10.2442,0,9,-10 "
    assert found.lines == (text, "WARNING: further warnings will not be printed!")
    assert math.copysign(1, int(found.lines[0].split(",")[-3].split(":")[-1])) == 1


def test_a_simulator_warns_once():
    simulator = Simulator(scene())
    with pytest.warns(TableRangeWarning, match="such samples take the default amplitude"):
        simulator.run()
    simulator.run()
    Simulator(scene(20)).run()
    Simulator(scene(interpolate=False)).run()
    inside = torch.tensor([[8, 10]])
    Simulator(scene()).run(inside)
