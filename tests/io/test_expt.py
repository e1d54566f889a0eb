"""Experiment lists of DIALS: frames as dxtbx composes them, refusals, and panels rendered together or alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch import Simulator, settle
from nanobrag_torch.config import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig
from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.expt import config_fields, orientation_matrix, read_expt, write_expt
from nanobrag_torch.io.scene import rotation
from nanobrag_torch.pipeline.describe import describe

EXAMPLE = Path(__file__).parents[2] / "examples" / "multipanel.expt"
X, Y, Z = np.eye(3)
COS, SIN = np.cos(np.radians(20.0)), np.sin(np.radians(20.0))


def panel(**changes) -> dict:
    return {
        "fast_axis": [1.0, 0.0, 0.0],
        "slow_axis": [0.0, COS, SIN],
        "origin": [0.0, 1.0, 2.0],
        "image_size": [50, 40],
        "pixel_size": [0.1, 0.1],
        "thickness": 0.32,
        "mu": 3.0,
        "name": "p",
    } | changes


def content() -> dict:
    """Two panels in a turned group, and a goniometer of three axes of which the second turns."""
    group = {"fast_axis": [COS, SIN, 0], "slow_axis": [-SIN, COS, 0], "origin": [5, 6, 7]}
    group["children"] = [{"panel": 0}, {"panel": 1}]
    root = {"fast_axis": [1, 0, 0], "slow_axis": [0, -1, 0], "origin": [1, 2, -100], "children": [group]}
    kinds = ("beam", "detector", "goniometer", "scan", "crystal")
    return {
        "__id__": "ExperimentList",
        "experiment": [{"__id__": "Experiment", **dict.fromkeys(kinds, 0)}],
        "beam": [
            {
                "direction": [0.01, 0.02, 1.0],
                "wavelength": 0.98,
                "polarization_normal": [0, 1, 0],
                "polarization_fraction": 0.999,
            }
        ],
        "detector": [{"panels": [panel(), panel(origin=[10.0, 1.0, 2.0])], "hierarchy": root}],
        "goniometer": [{"axes": [[1, 0, 0], [0.6, 0, 0.8], [1, 0, 0]], "angles": [10, 20, 30], "scan_axis": 1}],
        "scan": [{"image_range": [1, 5], "oscillation": [3.0, 0.5]}],
        "crystal": [{"real_space_a": [40, 1, 2], "real_space_b": [3, 45, 4], "real_space_c": [5, 6, 50]}],
    }


def test_frames_are_those_of_dxtbx(write_experiments):
    """The expected numbers were printed by dxtbx 3.12 for this file."""
    scene = read_expt(write_experiments(content()))
    first, second = scene.panels
    np.testing.assert_allclose(first.origin, [5.657979856674332e-3, -4.939692620785909e-3, -0.109], rtol=1e-13)
    np.testing.assert_allclose(second.origin, [15.054906064533416e-3, -8.359894054042595e-3, -0.109], rtol=1e-13)
    np.testing.assert_allclose(first.fast, [0.9396926207859084, -0.3420201433256687, 0.0], rtol=1e-13)
    np.testing.assert_allclose(first.slow, [-0.3213938048432697, -0.8830222215594891, -0.3420201433256687], rtol=1e-13)
    np.testing.assert_allclose(scene.spindle, [0.6, -0.4, 0.692820323027551], rtol=1e-13)
    at_start = np.linalg.inv(scene.cell @ rotation(scene.spindle, scene.phi).T)
    expected = [
        [0.02517349822349051, -0.0013746744140720293, -0.0007386006908954411],
        [0.0013685292103715236, 0.018500922223119158, -0.014862686526585707],
        [-0.002181506817247941, 0.012989320880746627, 0.013959276849855153],
    ]
    np.testing.assert_allclose(at_start, expected, rtol=1e-12)


def test_sensor_scan_and_beam(write_experiments):
    scene = read_expt(write_experiments(content()))
    assert (scene.phi, scene.osc) == (3.0, 0.5)
    assert scene.panels[0].thickness == pytest.approx(3.2e-4)
    assert scene.panels[0].attenuation == pytest.approx(3000.0)
    assert scene.beam.polarization_factor == pytest.approx(0.998)
    np.testing.assert_allclose(scene.beam.direction, -np.array([0.01, 0.02, 1.0]) / np.linalg.norm([0.01, 0.02, 1]))
    assert abs(scene.beam.polarization_axis @ Y) < 1e-15


def test_single_axis_goniometers_and_no_hierarchy(write_experiments):
    what = content()
    turn = rotation(Y, 30.0)
    what["goniometer"] = [{"rotation_axis": [1, 0, 0], "setting_rotation": turn.ravel().tolist()}]
    what["detector"] = [{"panels": [panel()]}]
    scene = read_expt(write_experiments(what))
    np.testing.assert_allclose(scene.spindle, turn @ X, atol=1e-15)
    np.testing.assert_allclose(scene.cell[0], turn @ [40, 1, 2])
    np.testing.assert_allclose(scene.panels[0].origin, [0, 1e-3, 2e-3])


def test_newer_scans(write_experiments):
    what = content()
    what["scan"] = [{"image_range": [1, 3], "properties": {"oscillation": [7.0, 7.25, 7.5], "epochs": [0, 0, 0]}}]
    scene = read_expt(write_experiments(what))
    assert (scene.phi, scene.osc) == (7.0, 0.25)


def test_the_micrometre_that_stands_for_no_sensor_absorbs_nothing(write_experiments):
    (plain,) = read_expt(write_experiments(changed(detector=[{"panels": [panel(thickness=0.001)]}]))).panels
    assert (plain.thickness, plain.attenuation) == (0.0, 0.0)


def test_what_may_be_missing(write_experiments):
    what = content()
    what["experiment"] = [{"beam": 0, "detector": 0}]
    scene = read_expt(write_experiments(what))
    assert scene.cell is None
    fields = config_fields(scene)
    assert "crystal.orientation_matrix" not in fields
    assert "sampling.osc_deg" not in fields


def changed(**parts) -> dict:
    what = content()
    for name, value in parts.items():
        what[name] = value
    return what


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("", "line 1, column 1: not JSON, or cut short"),
        (json.dumps(content())[:400], "line 1, column .*cut short"),
        ("[1, 2]", "not an experiment list"),
        ("{}", "not an experiment list"),
        (changed(experiment=[]), "holds no experiment"),
        (
            changed(
                experiment=[{"beam": 0, "detector": 0, "crystal": i} for i in range(3)],
                crystal=content()["crystal"] * 3,
            ),
            "3 experiments with 3 crystals",
        ),
        (changed(experiment=[{"beam": 0}]), "it has no detector"),
        (changed(experiment=[{"detector": 0}]), "it has no beam"),
        (changed(experiment=[{"beam": 0, "detector": 4}]), "refers to detector 4"),
        (changed(detector=[{"panels": []}]), "it has no panels"),
        (changed(detector=[{"panels": [panel(pixel_size=[0.1, 0.2])]}]), "panel 0: its pixels are 0.1 x 0.2 mm"),
        (changed(detector=[{"panels": [panel(origin=[1, 2])]}]), "panel 0: origin is"),
        (
            changed(detector=[{"panels": [panel(fast_axis=[0, 0, 0])]}]),
            r"panel 0: fast_axis is \[0, 0, 0\], expected 3 finite numbers that are not",
        ),
        (changed(detector=[{"panels": [{}]}]), "panel 0: fast_axis is missing"),
        (changed(beam=[{"direction": [0, 0, 1]}]), "beam 0: wavelength is missing"),
        (changed(beam=[{"direction": [0, 0, 1], "wavelength": "x"}]), "beam 0: wavelength is"),
        (
            changed(beam=[{"direction": [0, 0, 1], "wavelength": -1}]),
            "beam 0: wavelength is -1, expected a positive number",
        ),
        (changed(crystal=[{"real_space_a": [1, 0, 0]}]), "crystal 0: real_space_b is missing"),
        (changed(crystal=[{f"real_space_{x}": [1, 0, 0] for x in "abc"}]), "lie in a plane"),
        (changed(goniometer=[{"axes": [[1, 0, 0]], "angles": [0], "scan_axis": 2}]), "scan_axis is 2"),
    ],
)
def test_refusals(write_experiments, what, words):
    with pytest.raises(FileFormatError, match=f"a.expt: .*{words}"):
        read_expt(write_experiments(what))


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.expt").write_bytes(b"\x89HDF\r\n\xff\xfe")
    with pytest.raises(FileFormatError, match="not a text file"):
        read_expt(tmp_path / "a.expt")


def config(scene, **detector) -> Config:
    """A configuration that says a scene, with a light crystal."""
    parts: dict[str, dict] = {}
    for name, value in config_fields(scene).items():
        part, _, own = name.partition(".")
        parts.setdefault(part, {})[own] = value
    return Config(
        CrystalConfig(Na=3, Nb=3, Nc=3, default_F=10.0, **parts["crystal"]),
        BeamConfig(fluence=1e24, **parts["beam"]),
        DetectorConfig(**parts["detector"] | detector),
        SamplingConfig(oversample=1, phi_steps=1, **parts["sampling"]),
    )


@pytest.mark.parametrize("physics", ["exact", "nanobragg"])
def test_several_panels_are_their_panels_one_by_one(physics):
    said = config(read_expt(EXAMPLE))
    whole = Simulator(settle(said, physics)).run().numpy()
    assert len(whole) == 6
    for panel, image in zip(said.detector.panels, whole, strict=True):
        alone = Simulator(settle(replace(said, detector=replace(said.detector, panels=(panel,))), physics)).run()
        np.testing.assert_array_equal(alone.numpy()[0], image)
        assert image.max() > 0


def test_a_scene_survives_the_configuration():
    scene = read_expt(EXAMPLE)
    found = describe(settle(config(scene)))
    for mine, theirs in zip(scene.panels, found.panels, strict=True):
        np.testing.assert_allclose(theirs.corners(), mine.corners(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.cell, scene.cell, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.beam.direction, scene.beam.direction, atol=1e-15)
    np.testing.assert_allclose(found.spindle, scene.spindle, atol=1e-15)
    assert (found.phi, found.osc) == pytest.approx((scene.phi, scene.osc))


def test_writing_and_reading(tmp_path):
    """The example is in the frame of dxtbx already, so nothing turns."""
    scene = read_expt(EXAMPLE)
    write_expt(tmp_path / "b.expt", scene, frames=3, images="image_####.cbf")
    again = read_expt(tmp_path / "b.expt")
    for mine, theirs in zip(scene.panels, again.panels, strict=True):
        np.testing.assert_allclose(theirs.corners(), mine.corners(), rtol=0, atol=1e-15)
        assert theirs.name == mine.name
    np.testing.assert_allclose(again.cell, scene.cell, atol=1e-12)
    assert (again.phi, again.osc) == (scene.phi, scene.osc)
    assert again.beam.polarization_factor == pytest.approx(scene.beam.polarization_factor)
    np.testing.assert_allclose(abs(again.beam.polarization_axis), abs(scene.beam.polarization_axis), atol=1e-15)
    written = json.loads((tmp_path / "b.expt").read_text())
    assert written["imageset"][0]["template"] == "image_####.cbf"
    assert written["scan"][0]["image_range"] == [1, 3]


def test_orientation_matrix_is_what_mosflm_writes():
    matrix = np.array(orientation_matrix(np.diag([10.0, 20.0, 40.0]), 2.0))
    np.testing.assert_allclose(matrix, np.diag([0.2, 0.1, 0.05]))


def test_the_example_is_what_its_script_makes(tmp_path):
    import runpy
    import sys

    script = EXAMPLE.parents[1] / "scripts" / "make_multipanel.py"
    before = sys.argv
    try:
        sys.argv = [str(script), str(tmp_path / "made.expt")]
        runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = before
    assert (tmp_path / "made.expt").read_text() == EXAMPLE.read_text()
