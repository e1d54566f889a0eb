"""Size, convention, beam centre, pivot, normal, distances and sensor (specs: geometry 1 to 7; sources 3; cli 5)."""

from __future__ import annotations

import warnings

import pytest
import torch

from nanobrag_torch import Config, CrystalConfig, DetectorConfig, Experiment, PanelConfig, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.geometry.conventions import CONVENTIONS
from nanobrag_torch.models import Panel
from nanobrag_torch.pipeline.render import panel_frame_of

COMMON = "-cell 40 -N 2 -default_F 1 -oversample 1 -dump none.bin "
SMALL = "-detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 "


def experiment(line: str, physics: str = "nanobragg") -> Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(parse((COMMON + line).split()), physics)


def panel(line: str, physics: str = "nanobragg") -> Panel:
    return experiment(SMALL + line, physics).detector.panel


def frame(line: str, physics: str = "nanobragg"):
    scene = experiment(SMALL + line, physics)
    return panel_frame_of(scene.detector.panel, scene.beam.direction, physics == "exact")


# -- size (geometry 1)


@pytest.mark.parametrize(
    ("line", "pixels", "lengths_mm"),
    [
        ("", (1024, 1024), (102.4, 102.4)),
        ("-pixel 0.2", (512, 512), (102.4, 102.4)),
        ("-detsize 10", (100, 100), (10.0, 10.0)),
        ("-detsize_f 10 -detsize_s 5", (100, 50), (10.0, 5.0)),
        ("-detpixels 7", (7, 7), (0.7, 0.7)),
        ("-detpixels_x 7 -detpixels_y 5", (7, 5), (0.7, 0.5)),
        ("-detpixels_f 7 -pixel 0.4 -detsize 10", (7, 25), (2.8, 10.0)),
        ("-detsize 10 -detpixels_s 3", (100, 3), (10.0, 0.3)),
        ("-detpixels_f 0 -detsize 10", (100, 100), (10.0, 10.0)),
        ("-detsize 1 -pixel 0.4", (2, 2), (1.0, 1.0)),  # 2.5 pixels: half a pixel rounds down, the length stays
        ("-detsize 1.04 -pixel 0.4", (3, 3), (1.04, 1.04)),
    ],
)
def test_counts_override_lengths_per_axis_and_lengths_stay_as_given(line, pixels, lengths_mm):
    found = experiment(line).detector.panel
    assert (found.pixels_f, found.pixels_s) == pixels
    assert (1000 * found.lengths).tolist() == pytest.approx(lengths_mm, rel=1e-14)


def test_defaults():
    scene = experiment("")
    assert 1000 * float(scene.detector.panel.distance) == 100.0
    assert 1000 * float(scene.detector.panel.pixel_size) == pytest.approx(0.1)
    assert scene.detector.panel.layers == 1
    assert not scene.detector.curved
    assert not scene.detector.point_pixel


# -- convention and pivot (geometry 3, 5)


@pytest.mark.parametrize("name", ["ADXV", "MOSFLM", "DENZO", "XDS", "DIALS"])
def test_a_named_convention_overwrites_every_vector_that_was_given_before(name):
    vectors = "-fdet_vector 0 1 0 -sdet_vector 1 0 0 -odet_vector 0 1 0 -beam_vector 0 1 0 -polar_vector 0 1 0 "
    vectors += "-spindle_axis 0 1 0 -twotheta_axis 0 1 0 "
    scene = experiment(f"{vectors} -{name.lower()}")
    row, found = CONVENTIONS[name], scene.detector.panel
    assert tuple(scene.beam.direction.tolist()) == row.beam
    assert tuple(found.fast.tolist()) == row.fast
    assert tuple(found.slow.tolist()) == row.slow
    assert tuple(found.normal.tolist()) == row.normal
    assert tuple(found.twotheta_axis.tolist()) == row.twotheta_axis
    assert tuple(scene.beam.polarization_axis.tolist()) == row.polarization_axis
    assert tuple(scene.scan.axis.tolist()) == row.spindle_axis
    assert found.pivot.upper() == row.pivot


VECTOR_FLAGS = ("fdet_vector", "sdet_vector", "odet_vector", "beam_vector", "polar_vector", "spindle_axis",
                "twotheta_axis", "pix0_vector", "pix0_vector_mm")  # fmt: skip


@pytest.mark.parametrize("flag", VECTOR_FLAGS)
def test_a_vector_flag_makes_the_convention_custom_with_its_own_initial_values(flag):
    """Also behind -xds: the beam is [1 0 0] again, and the two-theta axis [0 1 0], not that of MOSFLM."""
    given = {"fdet_vector": "0 0 1", "sdet_vector": "0 -1 0", "odet_vector": "1 0 0", "beam_vector": "1 0 0"}
    given |= {"polar_vector": "0 0 1", "spindle_axis": "0 0 1", "twotheta_axis": "0 1 0"}
    scene = experiment(f"-xds -{flag} {given.get(flag, '9 9 9')}")
    row, found = CONVENTIONS["CUSTOM"], scene.detector.panel
    assert tuple(scene.beam.direction.tolist()) == row.beam
    assert tuple(found.fast.tolist()) == row.fast
    assert tuple(found.twotheta_axis.tolist()) == (0.0, 1.0, 0.0)
    assert found.pivot == "sample"


@pytest.mark.parametrize(
    ("line", "pivot"),
    [
        ("", "beam"),
        ("-pivot sample", "beam"),
        ("-twotheta 10", "beam"),
        ("-close_distance 50", "beam"),
        ("-ORGX 5", "beam"),
        ("-Xclose 1", "beam"),
        ("-Xbeam 1", "beam"),
        ("-xds", "sample"),
        ("-xds -pivot beam", "sample"),
        ("-dials", "sample"),
        ("-dials -Xbeam 1", "sample"),
        ("-adxv -twotheta 10", "beam"),
        ("-denzo -ORGX 3", "beam"),
        ("-fdet_vector 0 0 1", "beam"),
        ("-fdet_vector 0 0 1 -pivot sample", "sample"),
        ("-fdet_vector 0 0 1 -twotheta 10", "sample"),
        ("-fdet_vector 0 0 1 -twotheta 10 -distance 60", "beam"),
        ("-fdet_vector 0 0 1 -mosflm", "beam"),
        ("-fdet_vector 0 0 1 -Xbeam 1 -Xclose 1", "sample"),
        ("-fdet_vector 0 0 1 -Xclose 1 -Xbeam 1", "beam"),
        ("-fdet_vector 0 0 1 -ORGX 5", "sample"),
        ("-fdet_vector 0 0 1 -Yclose 1 -Ybeam 1", "beam"),
        ("-fdet_vector 0 0 1 -close_distance 50", "sample"),
        ("-fdet_vector 0 0 1 -twotheta 10 -pivot beam", "beam"),
        ("-twotheta_axis 0 1 0 -twotheta 10", "sample"),
        ("-twotheta_axis 0 1 0", "beam"),
    ],
)
def test_pivots_as_verified_on_the_binary(line, pivot):
    """specs: geometry 5; the last row as decided in deviations D10."""
    assert experiment(line).detector.panel.pivot == pivot


def test_behind_xds_a_vector_flag_keeps_the_pivot_of_xds():
    scene = experiment("-xds -fdet_vector 1 0 0 -sdet_vector 0 1 0")
    assert scene.detector.panel.pivot == "sample"
    assert scene.beam.direction.tolist() == [1.0, 0.0, 0.0]


# -- beam centre (geometry 2, 4, 5)

L_f, L_s, p = 8.0, 6.4, 0.4


@pytest.mark.parametrize(
    ("line", "beam_centre_mm", "header_mm"),
    [
        ("-adxv", ((L_f + p) / 2, L_s - (L_s - p) / 2), ((L_f + p) / 2, (L_s - p) / 2)),
        ("-mosflm", (L_f / 2 + p, L_s / 2 + p), ((L_s + p) / 2, (L_f + p) / 2)),
        ("-denzo", ((L_f + p) / 2, (L_s + p) / 2), ((L_s + p) / 2, (L_f + p) / 2)),
        ("-xds", (L_f / 2, L_s / 2), (L_f / 2, L_s / 2)),
        ("-dials", (L_f / 2, L_s / 2), (L_f / 2, L_s / 2)),
        ("-fdet_vector 0 0 1", (L_f / 2, L_s / 2), (L_f / 2, L_s / 2)),
        ("-adxv -Xbeam 1 -Ybeam 2", (1.0, L_s - 2.0), (1.0, 2.0)),
        ("-mosflm -Xbeam 1 -Ybeam 2", (2.0 + p / 2, 1.0 + p / 2), (1.0, 2.0)),
        ("-denzo -Xbeam 1 -Ybeam 2", (2.0, 1.0), (1.0, 2.0)),
        ("-xds -Xbeam 1 -Ybeam 2", (1.0, 2.0), (1.0, 2.0)),
        ("-fdet_vector 0 0 1 -Xbeam 1 -Ybeam 2", (1.0, 2.0), (1.0, 2.0)),
        ("-mosflm -Xbeam 1", (L_f / 2 + p, 1.0 + p / 2), (1.0, (L_f + p) / 2)),
        ("-adxv -Ybeam 2", ((L_f + p) / 2, L_s - 2.0), ((L_f + p) / 2, 2.0)),
    ],
)
def test_beam_centre_mapping(line, beam_centre_mm, header_mm):
    scene = experiment(SMALL + line)
    assert (1000 * scene.detector.panel.beam_centre).tolist() == pytest.approx(beam_centre_mm, rel=1e-14)
    printed = 1000 * scene.facts["Xbeam"], 1000 * scene.facts["Ybeam"]
    assert printed == pytest.approx(header_mm, rel=1e-14)


def test_the_default_of_mosflm_is_one_pixel_off_the_middle():
    """64 pixels of 0.1 mm: Xbeam 3.25 mm, Fbeam 3.3 mm."""
    scene = experiment("-detpixels 64 -pixel 0.1")
    assert f"{1000 * scene.facts['Xbeam']:g} {1000 * float(scene.detector.panel.beam_centre[0]):g}" == "3.25 3.3"


INPUTS = {"beam": "-Xbeam 1 -Ybeam 1.5", "org": "-ORGX 4 -ORGY 7", "close": "-Xclose 1 -Yclose 1.5"}
MOVES = {
    "-adxv": {"beam"},
    "-mosflm": {"beam"},
    "-denzo": {"beam"},
    "-xds": {"org"},
    "-dials": {"org"},
    "-pivot sample -fdet_vector 0 0 1": {"beam", "org", "close"},
    "-pivot beam -fdet_vector 0 0 1": {"beam", "org", "close"},
}


@pytest.mark.parametrize("given", INPUTS)
@pytest.mark.parametrize("convention", MOVES)
def test_which_input_moves_the_image(convention, given):
    rest = frame(convention).origin
    pivot = " -pivot beam" if convention.startswith("-pivot beam") else " -pivot sample"
    moved = frame(f"{convention} {INPUTS[given]}{pivot}").origin
    assert torch.equal(rest, moved) == (given not in MOVES[convention])


@pytest.mark.parametrize("pivot", ["beam", "sample"])
def test_in_custom_xbeam_beats_xclose_beats_orgx_beats_the_centre(pivot):
    for given, expected in (
        ("-ORGX 4 -Xclose 1 -Xbeam 2", 2.0),
        ("-Xbeam 2 -Xclose 1 -ORGX 4", 2.0),
        ("-ORGX 4 -Xclose 1", 1.0),
        ("-ORGX 4", 3.5 * p),
        ("", L_f / 2),
    ):
        found = panel(f"-fdet_vector 0 0 1 {given} -pivot {pivot}")
        at = found.beam_centre if pivot == "beam" else found.near_point
        assert 1000 * float(at[0]) == pytest.approx(expected)
        assert 1000 * float(at[1]) == pytest.approx(L_s / 2)


def test_orgx_counts_pixel_centres_from_one():
    assert (1000 * panel("-xds -ORGX 4 -ORGY 7").near_point).tolist() == pytest.approx([3.5 * p, 6.5 * p])


# -- vectors (geometry 6)


def test_axes_are_normalised_but_not_the_two_theta_axis():
    found = panel("-fdet_vector 0 0 2 -sdet_vector 0 -3 0 -twotheta_axis 0 2 0")
    assert found.fast.tolist() == [0.0, 0.0, 1.0]
    assert found.slow.tolist() == [0.0, -1.0, 0.0]
    assert found.twotheta_axis.tolist() == [0.0, 2.0, 0.0]


def test_axes_are_not_made_orthogonal():
    found = panel("-fdet_vector 0 0.1 1 -sdet_vector 0 -1 0")
    assert float(found.fast @ found.slow) == pytest.approx(-0.1 / 1.01**0.5)


def test_a_normal_of_any_other_length_than_one_is_made_from_the_axes():
    """Deviation D51: -odet_vector 0.9 0.1 0 → 1 0 0."""
    scene = experiment("-odet_vector 0.9 0.1 0")
    assert scene.detector.panel.normal.tolist() == [1.0, 0.0, 0.0]
    assert "WARNING: auto-generating odet_vector" in [note.text for note in scene.notes]
    kept = experiment("-odet_vector 0.8 0.6 0")
    assert kept.detector.panel.normal.tolist() == [0.8, 0.6, 0.0]
    assert not [note for note in kept.notes if "odet" in note.text]


def test_left_handed_axes_then_turn_the_normal_to_the_source():
    """Deviation D51: the distance becomes negative (-0.06)."""
    found = frame("-fdet_vector 0 0 1 -sdet_vector 0 1 0 -odet_vector 0.9 0.1 0")
    assert found.normal.tolist() == [-1.0, 0.0, 0.0]
    assert float(found.distance) == pytest.approx(-0.06)


# -- distances (geometry 7)


def test_a_close_distance_beats_the_distance_in_any_order():
    for line in ("-close_distance 50", "-close_distance 50 -distance 60", "-distance 60 -close_distance 50"):
        found = frame(line + " -detector_roty 30")
        assert float(found.close_distance) == pytest.approx(0.05)
        assert float(found.distance) == pytest.approx(0.05 / 0.75**0.5)
    assert any(note.identifier == "D35" for note in experiment("-distance 60 -close_distance 50").notes)


def test_the_close_distance_follows_from_the_distance_and_the_rotations():
    found = frame("-detector_roty 30")
    assert float(found.distance) == pytest.approx(0.06)
    assert float(found.close_distance) == pytest.approx(0.06 * 0.75**0.5)


def test_two_theta_shortens_what_is_reported():
    assert f"{1000 * float(frame('-twotheta 10').distance):g}" == "59.0885"
    assert 1000 * float(frame("-twotheta 10", "exact").distance) == pytest.approx(60.0)


def test_an_explicit_origin_changes_neither_convention_nor_pivot():
    scene = experiment(SMALL + "-pix0_override_mm 60 3 -4")
    assert scene.detector.panel.pivot == "beam"
    assert tuple(scene.detector.panel.twotheta_axis.tolist()) == CONVENTIONS["MOSFLM"].twotheta_axis
    assert frame("-pix0_override_mm 60 3 -4 -detector_roty 10").origin.tolist() == pytest.approx([0.06, 0.003, -0.004])


def test_pix0_vector_has_no_values():
    """Deviation D05."""
    for pivot in ("sample", "beam"):
        plain = frame(f"-fdet_vector 0 0 1 -pivot {pivot}")
        for flag in ("pix0_vector", "pix0_vector_mm"):
            assert torch.equal(frame(f"-{flag} 123 -456 789 -pivot {pivot}").origin, plain.origin)


# -- sensor (sources 3; cli 5)


@pytest.mark.parametrize(
    ("line", "layers", "step_um", "attenuation"),
    [
        ("", 1, 0.0, -1.0),
        ("-detector_thick 100 -detector_abs 300", 2, 50.0, 1 / 300e-6),
        ("-detector_thick 100 -detector_abs 300 -detector_thicksteps 5", 5, 25.0, 1 / 300e-6),
        ("-detector_thick 100 -detector_abs 300 -thicksteps 1", 2, 100.0, 1 / 300e-6),
        ("-detector_thick 100", 2, 50.0, 1 / 100e-6),
        ("-detector_thick 100 -detector_abs -300", 2, 50.0, 1 / 100e-6),
        ("-detector_abs 300", 1, 0.0, 1 / 300e-6),
        ("-detector_thick 100 -detector_abs inf", 1, 0.0, 0.0),
        ("-detector_abs inf -detector_thick 100", 1, 0.0, 0.0),
        ("-detector_abs 0 -detector_thick 100 -thicksteps 4", 1, 0.0, 0.0),
    ],
)
def test_sensor(line, layers, step_um, attenuation):
    """The order of -detector_abs inf and -detector_thick does not matter (deviations, D09)."""
    found = panel(line)
    assert found.layers == layers
    assert 1e6 * float(found.layer_step) == pytest.approx(step_um)
    assert float(found.attenuation) == pytest.approx(attenuation)


def test_an_unsaid_attenuation_is_announced_with_the_coefficient():
    notes = [note.text for note in experiment("-detector_thick 100").notes]
    assert "WARNING: setting detector attenuation depth to 10000 m" in notes


# -- several panels


def test_panels_are_placed_by_their_own_vectors():
    given = PanelConfig((100.0, 5.0, -5.0), (0.0, 0.0, 2.0), (0.0, -1.0, 0.0), 10, 8, 0.5, 100.0, 300.0, "left")
    away = PanelConfig((100.0, 5.0, -5.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0), 10, 8, 0.5)
    crystal = CrystalConfig(cell_a=40.0, Na=2, Nb=2, Nc=2, default_F=1.0)
    scene = settle(Config(crystal=crystal, detector=DetectorConfig(panels=(given, away))))
    first, second = scene.detector.panels
    assert (first.pixels_f, first.pixels_s, first.layers, first.name) == (10, 8, 2, "left")
    assert first.origin.tolist() == [0.1, 0.005, -0.005]
    assert first.fast.tolist() == [0.0, 0.0, 1.0]
    for found in (first, second):  # whatever the hand of the axes, the normal points away from the sample
        assert found.normal.tolist() == [1.0, 0.0, 0.0]
        assert float(found.distance) == pytest.approx(0.1)
    assert first.lengths.tolist() == pytest.approx([0.005, 0.004])
