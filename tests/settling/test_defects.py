"""What is announced about defects in the faithful mode (specs: deviations, section F)."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

from nanobrag_torch.config import BeamConfig, Config, CrystalConfig, DetectorConfig, PanelConfig, SamplingConfig
from nanobrag_torch.errors import LegacyDefectWarning, NanobragWarning
from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.settling import settle
from nanobrag_torch.settling.inputs import Inputs

TRICLINIC = {"cell_a": 50.0, "cell_b": 60.0, "cell_c": 70.0, "cell_alpha": 80.0, "cell_beta": 95.0, "cell_gamma": 105.0}
WEIGHTED = np.array([[-10.0, 0, 0, 1, 1.2e-10], [-10.0, 0.1, 0, 3, 1.2e-10]])
FAINT = {"default_F": 1e-30, "water_um": 10.0}


def scene(crystal=(), beam=(), detector=(), sampling=()):
    return Config(
        CrystalConfig(**{"cell_a": 40.0, "Na": 4, "Nb": 4, "Nc": 4, "default_F": 100.0, **dict(crystal)}),
        BeamConfig(**{"wavelength_A": 1.2, **dict(beam)}),
        DetectorConfig(**{"pixels_f": 20, "pixels_s": 16, "pixel_mm": 0.4, "distance_mm": 60.0, **dict(detector)}),
        SamplingConfig(**{"oversample": 1, **dict(sampling)}),
    )


def announced(config, physics="nanobragg", sources=None):
    """Identifiers and texts of the warnings of settling a scene, and the scene."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        experiment = settle(config, physics, None if sources is None else Inputs(sources=sources))
    found = {w.message.identifier: str(w.message) for w in caught if issubclass(w.category, LegacyDefectWarning)}
    assert len(found) == sum(issubclass(w.category, LegacyDefectWarning) for w in caught), "each is named once"
    notes = [note for note in experiment.notes if note.stage == "defect"]
    assert [note.identifier for note in notes] == list(found)
    return found, experiment


CASES = {
    "D25": (scene(crystal={"misset_random": True, "misset_seed": 3}), None, ""),
    "D26": (scene(crystal=TRICLINIC), None, "79.9723/95.0141/105.003 instead of 80/95/105"),
    "D27": (
        scene(crystal={"shape": "gauss", "cell_a": 50.0, "Na": 20, "Nb": 20, "Nc": 20}),
        None,
        "0.125, 0.125, 0.125",
    ),
    "D28": (scene(detector={"curved": True, "convention": "XDS"}), None, "up to 60.5 degrees"),
    "D29": (scene(FAINT, {"fluence": 1e24}, sampling={"oversample": 2}), None, f"{7.94079248018965e-6 / 4:.6g} times"),
    "D30": (
        scene(detector={"thickness_um": 100.0, "attenuation_depth_um": 100.0}),
        None,
        "count 0.4773 .* captures 0.6321",
    ),
    "D30/D63": (
        scene(detector={"thickness_um": 100.0, "attenuation_depth_um": 100.0, "thick_steps": 5}),
        None,
        "count 0.4069 .* captures 0.6321 .*1.25 times as thick",
    ),
    "D63": (
        scene(
            detector={"thickness_um": 100.0, "attenuation_depth_um": 100.0, "thick_steps": 2},
            sampling={"oversample_thick": True},
        ),
        None,
        "count 0.8647 .* captures 0.6321 .*2 times as thick",
    ),
    "D34": (scene(), WEIGHTED, "1 to 3"),
    "D46": (scene(detector={"point_pixel": True}), None, "6.25e\\+06 times"),
    "D54": (scene(FAINT, sampling={"dmin_A": 20.0}), None, "reaches 13.36 A"),
}


@pytest.mark.parametrize("identifier", CASES)
def test_a_defect_that_takes_part_is_named_with_its_numbers(identifier):
    config, sources, numbers = CASES[identifier]
    found, _ = announced(config, sources=sources)
    assert list(found) == [identifier]
    text = found[identifier]
    assert re.search(numbers, text), text
    assert text.startswith(f"{identifier}: ")
    assert "-physics exact" in text
    assert text.endswith("to avoid it")
    assert "\n" not in text


@pytest.mark.parametrize("identifier", CASES)
def test_the_exact_mode_announces_nothing(identifier):
    config, sources, _ = CASES[identifier]
    assert announced(config, "exact", sources)[0] == {}


QUIET = {
    "plain": scene(),
    "monoclinic": scene(crystal={"cell_beta": 103.0}),
    "hexagonal": scene(crystal={"cell_gamma": 120.0}),
    "triclinic matrix": scene(
        crystal={"cell_a": None, "orientation_matrix": [[0.03, 0.01, 0], [0, 0.02, 0.003], [0, 0, 0.02]]}
    ),
    "round crystal": scene(crystal={"shape": "round"}),
    "misset": scene(crystal={"misset_deg": (1.0, 2.0, 3.0)}),
    "water in one step": scene(FAINT),
    "layers per term": scene(detector={"thickness_um": 100.0}, sampling={"oversample_thick": True}),
    "sensor switched off": scene(detector={"thickness_um": 100.0, "attenuation_depth_um": float("inf")}),
    "dmin without water": scene(sampling={"dmin_A": 20.0}),
    "dmin beyond the corners": scene(FAINT, sampling={"dmin_A": 3.0}),
    "dmin beyond the region": scene(FAINT, sampling={"dmin_A": 20.0, "roi": (8, 12, 6, 10)}),
    "dmin without polarization": scene(FAINT, {"polarization": False}, sampling={"dmin_A": 20.0}),
}


@pytest.mark.parametrize("name", QUIET)
def test_nothing_is_named_where_nothing_takes_part(name):
    assert announced(QUIET[name])[0] == {}


def test_equal_weights_are_not_named():
    assert announced(scene(), sources=WEIGHTED * [1, 1, 1, 0, 1] + [0, 0, 0, 2, 0])[0] == {}
    assert announced(scene(beam={"use_source_weights": True}), sources=WEIGHTED)[0] == {}
    assert announced(scene(beam={"use_source_weights": False}), "exact", sources=WEIGHTED)[0] == {}


def test_several_defects_are_named_side_by_side():
    config = scene(
        {**TRICLINIC, **FAINT, "shape": "tophat"},
        detector={"thickness_um": 100.0, "curved": True, "point_pixel": True},
        sampling={"oversample": 2},
    )
    assert set(announced(config)[0]) == {"D26", "D27", "D28", "D29", "D30", "D46"}


def sums(config, sources=None):
    values = []
    for physics in ("nanobragg", "exact"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NanobragWarning)
            experiment = settle(config, physics, None if sources is None else Inputs(sources=sources))
        values.append(float(Simulator(experiment).run().array.sum()))
    return values


@pytest.mark.parametrize("sensor", [{}, {"thickness_um": 200.0, "attenuation_depth_um": 150.0, "thick_steps": 3}])
def test_background_factor_is_that_of_the_images(sensor):
    config = scene(FAINT, {"fluence": 1e28}, {"distance_mm": 6000.0, **sensor}, {"oversample": 2, "phi_steps": 3})
    factor = float(re.search(r"background is (\S+) times", announced(config)[0]["D29"])[1])
    faithful, exact = sums(config)
    assert faithful / exact == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize("more", [{}, {"thick_steps": 1}, {"thick_steps": 4}])
@pytest.mark.parametrize("per_term", [False, True])
def test_captured_fractions_are_those_of_the_images(more, per_term):
    sensor = {"thickness_um": 200.0, "attenuation_depth_um": 150.0, "distance_mm": 60000.0, **more}
    config = scene({"Na": 1, "Nb": 1, "Nc": 1}, detector=sensor, sampling={"oversample_thick": per_term})
    bare = sums(scene({"Na": 1, "Nb": 1, "Nc": 1}, detector={"distance_mm": 60000.0}))
    found = [value / without for value, without in zip(sums(config), bare, strict=True)]
    texts = list(announced(config)[0].values())
    if not texts:
        assert found[0] == pytest.approx(found[1], rel=1e-5)
        return
    counted, captured = re.search(r"count (\S+) of .* captures (\S+) ", texts[0]).groups()
    assert found == pytest.approx([float(counted), float(captured)], rel=2e-4)


def test_panels_of_a_detector_are_looked_at_too():
    panel = PanelConfig((60.0, 3.0, -4.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 20, 16, 0.4, 100.0, 80.0)
    config = scene(detector={"panels": (panel, panel), "pixels_f": None, "pixels_s": None, "point_pixel": True})
    assert set(announced(config)[0]) == {"D30", "D46"}


def test_curved_detector_exchanges_directions_along_x_too():
    """The corner at (3, -3) mm is drawn at (-3, 3) mm: the transverse directions change places."""
    square = {"convention": "DENZO", "pixels_f": 16, "Xbeam_mm": 3.2, "Ybeam_mm": 3.2}
    text = announced(scene(detector={"curved": True, **square}))[0]["D28"]
    moved = np.degrees(2.0 * np.hypot(3.0, 3.0) / 60.0)
    assert float(re.search(r"up to (\S+) degrees", text)[1]) == pytest.approx(moved, rel=2e-3)
