"""Experiment lists with several sweeps, stills and crystals: read, written, and damage refused in a line."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanobrag_torch.errors import FileFormatError, InputError, NanobragWarning
from nanobrag_torch.io.expt import read_expt
from nanobrag_torch.io.expt_list import by_identifier, read_expt_list
from nanobrag_torch.io.expt_write import write_expt_list
from nanobrag_torch.io.scene import rotation

IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def panel(**changes: Any) -> dict[str, Any]:
    return {
        "name": "p",
        "type": "SENSOR_PAD",
        "fast_axis": [1.0, 0.0, 0.0],
        "slow_axis": [0.0, -1.0, 0.0],
        "origin": [-5.0, 4.0, 0.0],
        "raw_image_offset": [0, 0],
        "image_size": [100, 80],
        "pixel_size": [0.1, 0.1],
        "trusted_range": [-1.0, 65535.0],
        "thickness": 0.32,
        "material": "Si",
        "mu": 3.0,
        "identifier": "",
        "mask": [[10, 0, 12, 80]],
        "gain": 2.0,
        "pedestal": 5.0,
        "px_mm_strategy": {"type": "ParallaxCorrectedPxMmStrategy"},
    } | changes


BEAM = {
    "__id__": "monochromatic",
    "direction": [0.0, 0.02, 1.0],
    "wavelength": 0.98,
    "divergence": 0.0,
    "sigma_divergence": 0.01,
    "polarization_normal": [0.0, 1.0, 0.0],
    "polarization_fraction": 0.99,
    "flux": 0.0,
    "transmission": 1.0,
}
SCANS = [
    {
        "image_range": [4, 6],
        "batch_offset": 0,
        "oscillation": [20.0, 0.5],
        "exposure_time": [0.1] * 3,
        "epochs": [0.0] * 3,
        "valid_image_ranges": {},
    },
    {
        "image_range": [1, 3],
        "batch_offset": 0,
        "properties": {
            "oscillation": [7.0, 7.25, 7.5],
            "exposure_time": [0.1] * 3,
            "epochs": [0.0] * 3,
            "oscillation_width": [0.25] * 3,
        },
        "valid_image_ranges": {},
    },
]


def full() -> dict[str, Any]:
    """Two sweeps of two crystals, one varying, on a detector of two panels in a turned group; and a still."""
    group = {"fast_axis": [0.8, 0.6, 0.0], "slow_axis": [-0.6, 0.8, 0.0], "origin": [1.0, 2.0, -100.0]}
    group["children"] = [{"panel": 0}, {"panel": 1}]
    root = {"fast_axis": [1.0, 0.0, 0.0], "slow_axis": [0.0, 1.0, 0.0], "origin": [0.0, 0.0, 0.0]}
    cell = np.array([[40.0, 1.0, 2.0], [3.0, 45.0, 4.0], [5.0, 6.0, 50.0]])
    points = [np.linalg.inv(cell @ rotation([0, 0, 1], 0.1 * i).T).ravel().tolist() for i in range(4)]
    vectors = {f"real_space_{x}": row.tolist() for x, row in zip("abc", cell, strict=True)}
    sweep = {"__id__": "Experiment", "beam": 0, "detector": 0}
    return copy.deepcopy(
        {
            "__id__": "ExperimentList",
            "experiment": [
                {**sweep, "identifier": "one", "goniometer": 0, "scan": 0, "crystal": 0, "imageset": 0},
                {**sweep, "identifier": "two", "goniometer": 1, "scan": 1, "crystal": 1, "imageset": 1},
                {**sweep, "identifier": "still", "crystal": 0, "imageset": 2},
            ],
            "imageset": [
                {"__id__": "ImageSequence", "template": "a_###.cbf", "mask": None, "params": {}},
                {"__id__": "ImageSequence", "template": "b.nxs", "single_file_indices": None},
                {"__id__": "ImageSet", "images": ["c.cbf"], "single_file_indices": [0]},
            ],
            "beam": [BEAM],
            "detector": [
                {"panels": [panel(), panel(origin=[6.0, 4.0, 0.0])], "hierarchy": {**root, "children": [group]}}
            ],
            "goniometer": [
                {"axes": [[1, 0, 0], [0.6, 0, 0.8]], "angles": [10, 20], "names": ["PHI", "OMEGA"], "scan_axis": 1},
                {"rotation_axis": [1.0, 0.0, 0.0], "fixed_rotation": IDENTITY, "setting_rotation": IDENTITY},
            ],
            "scan": SCANS,
            "crystal": [
                {
                    "__id__": "crystal",
                    **vectors,
                    "space_group_hall_symbol": " P 2ac 2ab",
                    "B_covariance": [0.0] * 81,
                    "mosaicity": 0.1,
                },
                {
                    "__id__": "crystal",
                    **vectors,
                    "space_group_hall_symbol": " P 1",
                    "A_at_scan_points": points,
                },
            ],
            "profile": [],
            "scaling_model": [],
        }
    )


def test_everything_is_read(write_experiments):
    one, two, still = read_expt_list(write_experiments(full()))
    assert (one.identifier, two.identifier, still.identifier) == ("one", "two", "still")
    assert one.detector is two.detector
    assert one.beam is still.beam
    assert one.crystal is still.crystal
    assert one.crystal is not two.crystal
    assert (one.still, two.still, still.still) == (False, False, True)
    np.testing.assert_allclose(one.beam.s0, -np.array([0, 0.02, 1]) / np.hypot(0.02, 1) / 0.98)
    assert (one.scan.first, one.scan.images, one.scan.start, one.scan.width) == (4, 3, 20.0, 0.5)
    assert (two.scan.first, two.scan.images, two.scan.start, two.scan.width) == (1, 3, 7.0, 0.25)
    assert one.scan.angle(3.0) == 20.0
    assert one.scan.place(20.75) == 4.5
    assert one.images.names == ("a_004.cbf", "a_005.cbf", "a_006.cbf")
    assert two.images.names == ("b.nxs",)
    assert (still.images.names, still.images.indices) == (("c.cbf",), (0,))
    first = one.detector.panels[0]
    assert (first.gain, first.pedestal, first.trusted, first.masked) == (2.0, 5.0, (-1.0, 65535.0), ((10, 0, 12, 80),))
    assert (first.shape, first.parallax, one.crystal.mosaicity) == ((80, 100), True, 0.1)


def test_a_cell_turns_with_the_goniometer_and_varies_with_the_scan(write_experiments):
    one, two, still = read_expt_list(write_experiments(full()))
    inside = rotation([1, 0, 0], 10.0)
    for place, degrees in ((3.0, 20.0), (4.5, 20.75)):
        turned = rotation([0.6, 0, 0.8], degrees) @ inside
        np.testing.assert_allclose(one.cell(place), one.crystal.cell @ turned.T, atol=1e-12)
    for place, twist in ((0.0, 0.0), (1.0, 0.1), (3.0, 0.3)):
        turned = rotation([1, 0, 0], 7.0 + 0.25 * place) @ rotation([0, 0, 1], twist)
        np.testing.assert_allclose(two.cell(place), one.crystal.cell @ turned.T, atol=1e-10)
    np.testing.assert_allclose(two.crystal.at(0.5), two.crystal.cell @ rotation([0, 0, 1], 0.05).T, atol=1e-4)
    np.testing.assert_array_equal(still.cell(0.0), one.crystal.cell)


def test_parallax_is_the_mean_of_an_exponential_law(write_experiments):
    """The depth at which a photon is taken, by drawing a hundred thousand of them."""
    plate = read_expt_list(write_experiments(full()))[0].detector.panels[0]
    ray = np.array([[0.3, -0.2, -1.0]])
    ray /= np.linalg.norm(ray)
    path = plate.plane.thickness / abs(float(ray[0] @ plate.plane.normal))
    taken = 1.0 - np.exp(-path * plate.plane.attenuation)
    depths = -np.log1p(-np.linspace(0, 1, 200_001)[:-1] * taken) / plate.plane.attenuation
    # DIALS weighs with what is not taken at depth 0, so its mean is short by the share that goes through.
    assert plate.depth(ray)[0] == pytest.approx(depths.mean() * taken, rel=1e-4)


def test_pixels_and_directions_are_each_others_reverse(write_experiments):
    plate = read_expt_list(write_experiments(full()))[0].detector.panels[1]
    wanted = np.array([[0.5, 0.5], [33.2, 71.9], [100.0, 80.0]])
    np.testing.assert_allclose(plate.pixels(plate.directions(wanted))[0], wanted, atol=1e-9)


def test_rays_that_miss_the_plane_have_no_place(write_experiments):
    plate = read_expt_list(write_experiments(full()))[0].detector.panels[0]
    assert np.isnan(plate.pixels(np.array([[0.0, 0.0, 1.0]]))[0]).all()


def same(mine, theirs) -> None:
    for a, b in zip(mine, theirs, strict=True):
        for p, q in zip(a.detector.panels, b.detector.panels, strict=True):
            np.testing.assert_allclose(p.plane.corners(), q.plane.corners(), rtol=0, atol=1e-15)
            assert (p.gain, p.pedestal, p.trusted, p.masked) == (q.gain, q.pedestal, q.trusted, q.masked)
        np.testing.assert_allclose(a.beam.s0, b.beam.s0, rtol=1e-15)
        place = 0.0 if a.scan is None else a.scan.first + 0.3
        np.testing.assert_allclose(a.cell(place), b.cell(place), atol=1e-10)
        assert a.identifier == b.identifier
        assert (a.scan and a.scan.width) == (b.scan and b.scan.width)
        assert (a.images and a.images.names) == (b.images and b.images.names)


def test_written_and_read(write_experiments, tmp_path):
    before = read_expt_list(write_experiments(full()))
    write_expt_list(tmp_path / "b.expt", before)
    same(before, read_expt_list(tmp_path / "b.expt"))
    content = json.loads((tmp_path / "b.expt").read_text())
    assert {kind: len(content[kind]) for kind in ("beam", "detector", "goniometer", "scan", "crystal")} == {
        "beam": 1, "detector": 1, "goniometer": 2, "scan": 2, "crystal": 2,
    }  # fmt: skip
    assert content["detector"][0]["hierarchy"] == full()["detector"][0]["hierarchy"]
    assert content["crystal"][0] == full()["crystal"][0]
    assert content["goniometer"] == full()["goniometer"]


def test_refined_models_are_written_and_stale_precision_is_not(write_experiments, tmp_path):
    one, two, still = read_expt_list(write_experiments(full()))
    plate = replace(one.detector.panels[1].plane, origin=one.detector.panels[1].plane.origin + [1e-4, 2e-4, 3e-4])
    moved = replace(one.detector, panels=(one.detector.panels[0], replace(one.detector.panels[1], plane=plate)))
    cell = one.crystal.cell @ rotation([0, 1, 0], 0.2).T
    after = (
        replace(
            one,
            detector=moved,
            beam=replace(one.beam, wavelength=0.981),
            crystal=replace(one.crystal, cell=cell),
            goniometer=replace(one.goniometer, axis=rotation([0, 0, 1], 0.1) @ one.goniometer.axis),
        ),
        replace(two, detector=moved, crystal=replace(two.crystal, points=two.crystal.points * 1.01)),
        still,
    )
    write_expt_list(tmp_path / "b.expt", after)
    same(after, read_expt_list(tmp_path / "b.expt"))
    content = json.loads((tmp_path / "b.expt").read_text())
    assert "B_covariance" not in content["crystal"][0]
    assert len(content["detector"]) == 2
    assert content["goniometer"][0]["names"] == ["PHI", "OMEGA"]
    turned = replace(one, goniometer=replace(one.goniometer, setting=rotation([0, 1, 0], 3.0)))
    write_expt_list(tmp_path / "c.expt", [turned])
    same([turned], read_expt_list(tmp_path / "c.expt"))


def test_models_made_here_are_complete(write_experiments, tmp_path):
    """Without what a file said, everything that a reader needs is still written."""

    def bare(model):
        return model and replace(model, raw={})

    made = []
    for old in read_expt_list(write_experiments(full())):
        panels = tuple(bare(p) for p in old.detector.panels)
        detector = replace(old.detector, panels=panels, raw={})
        parts = {"goniometer": bare(old.goniometer), "scan": bare(old.scan), "crystal": bare(old.crystal)}
        made.append(replace(old, beam=bare(old.beam), detector=detector, images=None, raw={}, **parts))
    write_expt_list(tmp_path / "b.expt", made)
    same(made, read_expt_list(tmp_path / "b.expt"))


def test_nothing_to_write(tmp_path):
    with pytest.raises(InputError, match="no experiment to write"):
        write_expt_list(tmp_path / "b.expt", [])
    assert list(tmp_path.iterdir()) == []


def test_which_experiment_a_reflection_belongs_to(write_experiments):
    experiments = read_expt_list(write_experiments(full()))
    assert by_identifier(experiments, {0: "still", 3: "one"}, "x.refl") == {0: 2, 3: 0}
    with pytest.raises(InputError, match="x.refl: its reflections belong to experiment 'other'"):
        by_identifier(experiments, {0: "other"}, "x.refl")


def test_what_is_not_used_is_said(write_experiments):
    what = full()
    what["beam"][0]["s0_at_scan_points"] = [[0, 0, 1]] * 4
    with pytest.warns(NanobragWarning, match="beam 0: s0_at_scan_points is not used"):
        read_expt_list(write_experiments(what))


def test_uneven_scans_are_refused(write_experiments):
    what = full()
    what["scan"][1]["properties"]["oscillation"] = [7.0, 7.25, 7.6]
    with pytest.raises(FileFormatError, match="scan 1: oscillation has images of different widths"):
        read_expt_list(write_experiments(what))


Path_ = tuple[str | int, ...]


def places(node: Any, path: Path_ = ()) -> list[Path_]:
    """Every place of a content."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inside for place in places(value, (*path, key)))]


def put(content: Any, place: Path_, value: Any) -> Any:
    """The content with another value at a place; `...` takes it away."""
    content = copy.deepcopy(content)
    node = content
    for key in place[:-1]:
        node = node[key]
    if value is ...:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return content


DAMAGE = [
    (("detector", 0, "panels", 1, "image_size"), [8.5, 80], "detector 0, panel 1: image_size is .*positive whole"),
    (("detector", 0, "panels", 1, "image_size"), [0, 80], "detector 0, panel 1: image_size"),
    (("detector", 0, "panels", 1, "image_size"), [10**30, 80], "detector 0, panel 1: image_size"),
    (("detector", 0, "panels", 1, "image_size"), ["8", 80], "detector 0, panel 1: image_size"),
    (("detector", 0, "panels", 1, "image_size"), ..., "image_size is missing"),
    (("detector", 0, "panels", 0, "pixel_size"), [0.0, 0.1], "panel 0: pixel_size"),
    (("detector", 0, "panels", 0, "origin"), [float("nan"), 0, 0], "panel 0: origin"),
    (("detector", 0, "panels", 0, "origin"), "here", "panel 0: origin"),
    (("detector", 0, "panels", 0, "slow_axis"), [1, 0, 0], "not perpendicular"),
    (("detector", 0, "panels", 0, "slow_axis"), [0, 0, 0], "not all zero"),
    (("detector", 0, "panels", 0, "trusted_range"), [3, 1], "trusted_range"),
    (("detector", 0, "panels", 0, "mask"), [[1, 2, 3]], "mask"),
    (("detector", 0, "panels", 0, "mask"), 4, "mask"),
    (("detector", 0, "panels", 0, "gain"), 0, "gain is 0, expected a positive number"),
    (("detector", 0, "panels", 0, "gain"), True, "gain is True"),
    (("detector", 0, "panels", 0, "pedestal"), "x", "pedestal"),
    (("detector", 0, "panels", 0, "thickness"), -1, "thickness"),
    (("detector", 0, "panels", 0, "mu"), float("inf"), "mu is inf"),
    (("detector", 0, "panels", 0, "px_mm_strategy"), "simple", "px_mm_strategy"),
    (("detector", 0, "panels", 0, "name"), 7, "name is 7, expected text"),
    (("detector", 0, "panels", 0), 5, "panel 0: it is 5, expected an object"),
    (("detector", 0, "panels"), {}, "detector 0: it has no panels"),
    (("detector", 0, "hierarchy", "children", 0, "children", 1, "panel"), 2, "refers to panel 2"),
    (("detector", 0, "hierarchy", "children", 0, "children", 1, "panel"), 0, "panel 0 stands in it twice"),
    (("detector", 0, "hierarchy", "children", 0, "origin"), ..., "hierarchy, child 0: origin is missing"),
    (("detector", 0, "hierarchy", "children"), 3, "children is 3"),
    (("detector", 0), None, "detector 0: it has no panels"),
    (("detector",), {}, "detector: it is {}, expected a list"),
    (("detector",), ..., "experiment 0: it refers to detector 0"),
    (("beam", 0, "direction"), [0, 0], "beam 0: direction is"),
    (("beam", 0, "direction"), ..., "beam 0: direction is missing"),
    (("beam", 0, "wavelength"), 0, "beam 0: wavelength is 0"),
    (("beam", 0, "wavelength"), "1.0", "beam 0: wavelength is '1.0'"),
    (("beam", 0, "wavelength"), ..., "beam 0: wavelength is missing"),
    (("beam", 0, "divergence"), -0.1, "divergence"),
    (("beam", 0, "sigma_divergence"), [], "sigma_divergence"),
    (("beam", 0, "polarization_fraction"), 1.5, "polarization_fraction"),
    (("beam", 0, "polarization_normal"), [0, 0.02, 1], "lies along the beam"),
    (("beam", 0), [1], "beam 0: it is"),
    (("goniometer", 0, "axes"), [], "axes is"),
    (("goniometer", 0, "axes", 1), [0, 0, 0], "goniometer 0: axes"),
    (("goniometer", 0, "angles"), [10], "angles is .*expected 2"),
    (("goniometer", 0, "angles", 0), "10", "angles"),
    (("goniometer", 0, "scan_axis"), 2, "scan_axis is 2"),
    (("goniometer", 0, "scan_axis"), 0.5, "scan_axis is 0.5"),
    (("goniometer", 1, "rotation_axis"), ..., "rotation_axis is missing"),
    (("goniometer", 1, "fixed_rotation", 0), 2.5, "the 9 numbers of a rotation"),
    (("scan", 0, "image_range"), [5, 4], "scan 0: image_range"),
    (("scan", 0, "image_range"), [1.5, 4], "scan 0: image_range"),
    (("scan", 0, "oscillation"), [1], "scan 0: oscillation"),
    (("scan", 1, "properties", "oscillation"), [7.0], "1 values, expected 3"),
    (("scan", 1, "properties", "oscillation", 1), "x", "oscillation"),
    (("scan", 1, "properties"), 3, "properties"),
    (("crystal", 0, "real_space_b"), ..., "crystal 0: real_space_b is missing"),
    (("crystal", 0, "real_space_b"), [40.0, 1.0, 2.0], "lie in a plane"),
    (("crystal", 0, "real_space_c"), [1e308, 1e308, 1e308], "crystal 0"),
    (("crystal", 0, "space_group_hall_symbol"), 19, "space_group_hall_symbol"),
    (("crystal", 0, "B_covariance"), [0.0] * 80, "81 finite numbers"),
    (("crystal", 1, "A_at_scan_points", 2), [0.0] * 9, "lie in a plane at point 2"),
    (("crystal", 1, "A_at_scan_points", 2), [0.0] * 8, "A_at_scan_points"),
    (("imageset", 0, "template"), 5, "imageset 0: template"),
    (("imageset", 2, "images"), "c.cbf", "imageset 2: images"),
    (("imageset", 2, "single_file_indices"), [0, 1], "2 values, expected 1"),
    (("experiment", 1, "crystal"), 2, "experiment 1: it refers to crystal 2"),
    (("experiment", 1, "crystal"), -1, "experiment 1: crystal is -1"),
    (("experiment", 1, "beam"), ..., "experiment 1: it has no beam"),
    (("experiment", 1, "identifier"), 3, "experiment 1: identifier"),
    (("experiment", 1), "x", "experiment 1: it is 'x'"),
    (("experiment",), [], "it holds no experiment"),
    (("__id__",), "Other", "not an experiment list"),
]


@pytest.mark.parametrize(("place", "value", "words"), DAMAGE)
def test_damage_is_refused_with_its_place(write_experiments, place, value, words):
    with pytest.raises(FileFormatError, match=f"a.expt: .*{words}") as caught:
        read_expt_list(write_experiments(put(full(), place, value)))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@given(
    place=st.sampled_from(places(full())[1:]),
    value=st.one_of(
        st.just(...),
        st.sampled_from([None, True, "x", "", -1, 0, 8.5, 1e308, 10**400, float("nan"), float("inf"), [], {}, [[]]]),
        st.lists(st.floats(), max_size=10),
        st.dictionaries(st.sampled_from(["panel", "children", "oscillation"]), st.integers(-2, 2)),
    ),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_refused_in_one_line_or_read(write_experiments, place, value):
    path = write_experiments(put(full(), place, value))
    for read in (read_expt_list, read_expt):
        message = refusal(read, path)
        assert message is None or ("\n" not in message and str(path) in message)


def refusal(read, path: Path) -> str | None:
    """How a file is refused, or `None`; any other exception comes through."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            read(path)
    except FileFormatError as error:
        return str(error)
    return None


PROGRAM = """
import sys, json
from dxtbx.model.experiment_list import ExperimentListFactory
found = []
for e in ExperimentListFactory.from_json_file(sys.argv[1], check_format=False):
    crystal = e.crystal
    A = crystal.get_A_at_scan_point(1) if crystal.num_scan_points else crystal.get_A()
    found.append({
        "identifier": e.identifier, "s0": e.beam.get_s0(), "A": A,
        "origins": [p.get_origin() for p in e.detector],
        "axis": e.goniometer.get_rotation_axis() if e.goniometer else None,
        "oscillation": e.scan.get_oscillation() if e.scan else None,
    })
print(json.dumps(found))
"""


@pytest.mark.skipif(shutil.which("dials.import") is None, reason="DIALS is not installed")
def test_dials_reads_what_is_written(write_experiments, tmp_path):
    one, two, still = read_expt_list(write_experiments(full()))
    crystal = replace(one.crystal, cell=one.crystal.cell @ rotation([0, 1, 0], 0.2).T)
    after = (replace(one, crystal=crystal), two, still)
    write_expt_list(tmp_path / "b.expt", after)
    content = json.loads((tmp_path / "b.expt").read_text())
    scan = content["scan"][1]
    scan["oscillation"] = [7.0, 0.25]  # DIALS 3.12 knows nothing of `properties`
    scan.update(exposure_time=[0.1] * 3, epochs=[0.0] * 3)
    (tmp_path / "b.expt").write_text(json.dumps(content))
    python = Path(shutil.which("dials.import")).read_text().splitlines()[0].removeprefix("#!").strip()
    said = subprocess.run([python, "-c", PROGRAM, str(tmp_path / "b.expt")], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr[-2000:]
    found = json.loads(said.stdout.splitlines()[-1])
    for mine, theirs in zip(after, found, strict=True):
        assert theirs["identifier"] == mine.identifier
        np.testing.assert_allclose(theirs["s0"], mine.beam.s0, rtol=1e-12, atol=1e-15)
        cell = mine.crystal.at(1.0)
        np.testing.assert_allclose(theirs["A"], np.linalg.inv(cell).ravel(), rtol=1e-9, atol=1e-12)
        for panel_, origin in zip(mine.detector.panels, theirs["origins"], strict=True):
            np.testing.assert_allclose(origin, 1e3 * panel_.plane.origin, atol=1e-9)
        if mine.scan is not None:
            np.testing.assert_allclose(theirs["axis"], mine.goniometer.spindle, atol=1e-9)
            np.testing.assert_allclose(theirs["oscillation"], [mine.scan.start, mine.scan.width])
