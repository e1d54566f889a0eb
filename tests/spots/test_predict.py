"""Predictions held to brute force: fine rotation, sampled mosaic crystals, and DIALS where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.expt_models import (
    BeamModel,
    CrystalModel,
    DetectorModel,
    GoniometerModel,
    Measured,
    PanelModel,
    ScanModel,
)
from nanobrag_torch.io.expt_write import write_expt_list
from nanobrag_torch.io.refl import read_refl, write_refl
from nanobrag_torch.io.reflection_table import Flag
from nanobrag_torch.io.scene import ScenePanel, rotation
from nanobrag_torch.spots import Spread, indices_within, predict, predict_all, regions
from nanobrag_torch.spots.rays import excitation, finest

X, Y, Z = np.eye(3)
CELL = np.diag([30.0, 38.0, 47.0]) @ rotation([1, 2, 3], 40.0).T


def experiment(**changes) -> Measured:
    """Ten images about a tilted spindle on two tilted panels with thick sensors."""
    turn = rotation([1, 1, 0], 3.0)
    panels = tuple(
        PanelModel(
            ScenePanel(
                700, 900, 2e-4, turn @ np.array([-0.15 + 0.15 * i, 0.09, -0.2]), turn @ X, -turn @ Y, 4e-4, 2000.0
            ),
            (0.2, 0.2),
            parallax=True,
        )
        for i in range(2)
    )
    axis = np.array([0.9, 0.1, -0.2]) / np.linalg.norm([0.9, 0.1, -0.2])
    what = Measured(
        beam=BeamModel(np.array([0.01, -0.02, -1.0]) / np.linalg.norm([0.01, -0.02, 1.0]), 1.1),
        detector=DetectorModel(panels),
        goniometer=GoniometerModel(axis, rotation(Y, 12.0), rotation(X, -7.0)),
        scan=ScanModel(first=5, images=10, start=20.0, width=0.3),
        crystal=CrystalModel(CELL, " P 2ac 2ab"),
        identifier="made",
    )
    return replace(what, **changes)


def still(**changes) -> Measured:
    return experiment(goniometer=None, scan=None, **changes)


def test_every_reflection_of_a_scan_is_where_a_fine_rotation_finds_it():
    """Signs of the excitation of every index at angles 0.01° apart, refined by bisection."""
    what = experiment()
    table = predict(what, 2.5)
    hkl = indices_within(what.crystal, 2.5)
    reciprocal, s0 = np.linalg.inv(what.crystal.cell), what.beam.s0

    def outside(indices, degrees):
        return excitation(s0, indices @ (what.goniometer.at(degrees) @ reciprocal).T)

    angles = np.linspace(20.0, 23.0, 301)
    signs = np.array([outside(hkl, a) > 0 for a in angles])
    step, which = np.nonzero(signs[1:] != signs[:-1])
    found = set()
    for i, j in zip(step, which, strict=True):
        low, high = angles[i], angles[i + 1]
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if (outside(hkl[[j]], middle)[0] > 0) == signs[i, j] else (low, middle)
        s1 = s0 + hkl[j] @ (what.goniometer.at(low) @ reciprocal).T
        for number, panel in enumerate(what.detector.panels):
            px = panel.pixels(s1[None])[0][0]
            if (px >= 0).all() and (px < (700, 900)).all():
                found.add(
                    (*hkl[j].tolist(), number, *np.round(px, 5), round((low - 20.0) / 0.3 + 4, 5), bool(signs[i, j]))
                )
    mine = {
        (*h, int(p), *np.round(x, 5), bool(e))
        for h, p, x, e in zip(table.indices.tolist(), table.panel, table.predicted, table["entering"], strict=True)
    }
    assert len(mine) > 100
    assert mine == found
    np.testing.assert_allclose(table.phi, np.radians(20.0 + 0.3 * (table.predicted[:, 2] - 4)), rtol=1e-12)
    assert table.flagged(Flag.PREDICTED).all()
    assert (table["d"] >= 2.5).all()


def test_a_crystal_that_varies_is_where_its_own_cell_meets_the_sphere():
    what = experiment()
    points = np.array([what.crystal.cell @ rotation([0, 1, 0], 0.05 * i).T * (1 + 1e-4 * i) for i in range(11)])
    varying = replace(what, crystal=replace(what.crystal, points=points))
    table = predict(varying, 2.5)
    assert len(table) > 100
    for h, place in zip(table.indices[::7], table.predicted[::7, 2], strict=True):
        r = h @ np.linalg.inv(varying.cell(place)).T
        assert abs(excitation(what.beam.s0, r)) < 1e-9
    still_there = {tuple(h) for h in predict(what, 2.5).indices.tolist()}
    assert len(still_there & {tuple(h) for h in table.indices.tolist()}) > 0.5 * len(table)
    same = predict(replace(what, crystal=replace(what.crystal, points=np.array([what.crystal.cell] * 11))), 2.5)
    np.testing.assert_allclose(
        np.sort(same.predicted, axis=0), np.sort(predict(what, 2.5).predicted, axis=0), atol=1e-9
    )


def test_reflections_that_a_scan_catches_by_their_tails():
    spread = Spread(mosaicity_deg=0.3)
    inside, wide = (predict(experiment(), 2.5, spread, beyond_deg=beyond) for beyond in (0.0, 0.6))
    longer = predict(experiment(scan=ScanModel(first=3, images=14, start=19.4, width=0.3)), 2.5)
    assert len(wide) == len(longer) > len(inside)
    np.testing.assert_allclose(np.sort(wide.predicted[:, 2]), np.sort(longer.predicted[:, 2]), atol=1e-9)
    outside = (wide.predicted[:, 2] < 4) | (wide.predicted[:, 2] > 14)
    assert (wide["partiality"][outside] < 0.5).all()
    assert (wide["partiality"][outside] > 0).any()
    made = regions(wide, experiment(), spread=spread)
    assert (made.table.boxes[:, 4] >= 4).all()
    assert (made.table.boxes[:, 5] <= 14).all()
    assert len(made) > len(inside)


def test_turns_beyond_a_whole_one_meet_reflections_again():
    once = predict(experiment(scan=ScanModel(1, 360, 0.0, 1.0)), 5.0)
    twice = predict(experiment(scan=ScanModel(1, 720, 0.0, 1.0)), 5.0)
    assert len(twice) == 2 * len(once)
    assert np.ptp(twice.predicted[:, 2]) > 360


def test_a_scan_backwards_meets_the_same():
    there = predict(experiment(), 2.5)
    back = predict(experiment(scan=ScanModel(first=5, images=10, start=23.0, width=-0.3)), 2.5)
    assert {tuple(h) for h in there.indices.tolist()} == {tuple(h) for h in back.indices.tolist()}
    np.testing.assert_allclose(np.sort(18.0 - there.predicted[:, 2]), np.sort(back.predicted[:, 2]), atol=1e-9)


@pytest.mark.parametrize(
    "hall", [" P 1", " P 2ac 2ab", " C 2 2", " I 4bw 2bw", " P 41 2", " P 65 2 (0 0 1)", " F 4 2 3"]
)
def test_absences_are_those_of_gemmi(hall):
    crystal = CrystalModel(np.diag([20.0, 20.0, 20.0]), hall)
    mine = {tuple(h) for h in indices_within(crystal, 3.0).tolist()}
    ops = gemmi.symops_from_hall(hall)
    n = 7
    every = [(h, k, l) for h in range(-n, n + 1) for k in range(-n, n + 1) for l in range(-n, n + 1) if h or k or l]
    assert mine == {
        x for x in every if 20.0 / np.sqrt(np.dot(x, x)) >= 3.0 and not ops.is_systematically_absent(list(x))
    }


@pytest.mark.parametrize(
    "spread",
    [
        Spread(mosaicity_deg=0.1),
        Spread(divergence_deg=0.1),
        Spread(bandwidth=0.003),
        Spread(domain_A=800.0),
        Spread(0.06, 0.05, 0.001, 1500.0),
    ],
    ids=["mosaic", "divergence", "bandwidth", "domains", "all"],
)
def test_rays_of_a_still_are_those_of_a_sampled_crystal(spread):
    """Many perturbed crystals and beams: the mean ray of those that fulfil Bragg's law, and how many they are."""
    what = still()
    table = predict(what, 3.0, spread, within=2.0)
    assert len(table) >= 5
    rng, count = np.random.default_rng(5), 400_000
    s0 = what.beam.s0
    order = np.argsort(table["partiality"])
    for row in order[[len(order) // 3, -1]]:
        r = table.indices[row] @ np.linalg.inv(what.crystal.cell).T
        turn = rng.normal(scale=np.radians(spread.mosaicity_deg), size=(count, 3))
        tilt = rng.normal(scale=np.radians(spread.divergence_deg), size=(count, 3))
        shift = rng.normal(scale=spread.size, size=(count, 3))
        points = r + np.cross(turn, r) + shift
        beams = (s0 + np.cross(tilt, s0)) * (1 + rng.normal(scale=spread.bandwidth, size=(count, 1)))
        s1 = points + beams
        error = np.linalg.norm(s1, axis=1) - np.linalg.norm(beams, axis=1)
        width = error.std()
        np.testing.assert_allclose(spread.of_excitation(s0, (s0 + r)[None])[0], width, rtol=0.01)
        met = np.abs(error) < 0.02 * width
        direction = s1[met] / np.linalg.norm(s1[met], axis=1, keepdims=True)
        mean = direction.mean(axis=0)
        pixel = what.detector.panels[int(table.panel[row])].pixels(mean[None])[0][0]
        sigma = direction.std(axis=0).max() * 0.2 / 2e-4 / np.sqrt(met.sum())
        assert np.abs(pixel - table.predicted[row, :2]).max() < 5 * sigma + 0.02
        expected = np.exp(-0.5 * (excitation(s0, r) / width) ** 2)
        assert table["partiality"][row] == pytest.approx(expected, abs=0.01)


def test_a_turn_to_the_sphere_is_the_smallest():
    what = still()
    table = predict(what, 3.0, Spread(mosaicity_deg=0.1))
    r = table.indices @ np.linalg.inv(what.crystal.cell).T
    on = table["s1"] - what.beam.s0
    cosine = np.einsum("ni,ni->n", r, on) / np.linalg.norm(r, axis=1) / np.linalg.norm(on, axis=1)
    np.testing.assert_allclose(np.abs(table["delpsical.rad"]), np.arccos(np.clip(cosine, -1, 1)), atol=3e-8)
    np.testing.assert_allclose(np.linalg.norm(on, axis=1), np.linalg.norm(r, axis=1), rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(table["s1"], axis=1), 1 / 1.1, rtol=1e-12)


def test_partiality_of_a_scan_is_the_part_that_it_covers():
    """Two halves of a scan share what the whole has, and a narrow reflection is whole."""
    spread = Spread(mosaicity_deg=0.3)
    whole = predict(experiment(scan=ScanModel(1, 40, 0.0, 0.25)), 3.0, spread)
    middle = np.abs(whole.predicted[:, 2] - 20) < 4
    zeta = np.abs(whole["zeta"]) > 0.7
    assert (whole["partiality"][middle & zeta] > 0.999).all()
    edge = predict(experiment(scan=ScanModel(1, 20, 0.0, 0.25)), 3.0, spread)
    near = 20 - edge.predicted[:, 2] < 0.02
    assert near.any()
    np.testing.assert_allclose(edge["partiality"][near], 0.5, atol=0.02)
    assert (predict(experiment(), 3.0, Spread())["partiality"] == 1.0).all()


def test_the_rocking_width_is_that_of_kabsch():
    """sigma = mosaicity / |zeta| for mosaicity alone."""
    what = experiment()
    table = predict(what, 3.0)
    s0, s1 = what.beam.s0, table["s1"]
    rate = np.abs(np.cross(s0, s1) @ what.goniometer.spindle) / np.linalg.norm(s0)
    width = Spread(mosaicity_deg=0.2).of_excitation(s0, s1) / rate
    np.testing.assert_allclose(width, np.radians(0.2) / np.abs(table["zeta"]), rtol=1e-9)


def test_lists_of_experiments():
    table = predict_all([experiment(), replace(experiment(), crystal=None), still(identifier="s")], 4.0)
    assert set(table.experiment) == {0, 2}
    assert table.identifiers == {0: "made", 2: "s"}
    with pytest.raises(InputError, match="none of them has a crystal"):
        predict_all([replace(experiment(), crystal=None)])


def test_chosen_indices_and_resolution_of_the_detector():
    what = experiment()
    every = predict(what)
    some = predict(what, indices=every.indices[:5])
    assert {tuple(h) for h in some.indices.tolist()} == {tuple(h) for h in every.indices[:5].tolist()}
    assert finest(what.beam, what.detector) <= every["d"].min() < 1.1 * finest(what.beam, what.detector)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: predict(replace(experiment(), crystal=None)), "crystal: the experiment has none"),
        (lambda: predict(experiment(), 0.0), "d_min: 0 Å is not positive"),
        (lambda: predict(experiment(), 0.01), "d_min: 0.01 Å gives more than"),
        (lambda: predict(experiment(crystal=CrystalModel(CELL, "nonsense")), 3.0), "is no Hall symbol"),
        (lambda: Spread(mosaicity_deg=-1.0), "mosaicity_deg: -1 is not a width"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(InputError, match=words):
        call()


needs_dials = pytest.mark.skipif(shutil.which("dials.predict") is None, reason="DIALS is not installed")


PROGRAM = """
import sys
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory
from dials.algorithms import spot_prediction as p
experiments = ExperimentListFactory.from_json_file("a.expt", check_format=False)
e, mine = experiments[0], flex.reflection_table.from_file("c.refl")
assert mine.are_experiment_identifiers_consistent(experiments)
assert mine.get_flags(mine.flags.predicted).count(True) == len(mine)
if e.scan is None:
    t = p.StillsReflectionPredictor(e, dmin=3.0).for_ub(e.crystal.get_A())
elif e.crystal.num_scan_points:
    A = [e.crystal.get_A_at_scan_point(i) for i in range(e.crystal.num_scan_points)]
    t = p.ScanVaryingReflectionPredictor(e, dmin=3.0, margin=1).for_ub(flex.mat3_double(A))
else:
    t = p.ScanStaticReflectionPredictor(e, dmin=3.0).for_ub(e.crystal.get_A())
t.as_file("b.refl")
print(len(mine))
"""


def varying() -> Measured:
    crystal = experiment().crystal
    points = np.array([crystal.cell @ rotation([0, 1, 0], 0.02 * i).T * (1 + 1e-5 * i) for i in range(11)])
    return experiment(crystal=replace(crystal, points=points))


@needs_dials
@pytest.mark.parametrize(
    ("what", "bound"), [(experiment(), 1e-6), (varying(), 0.02), (still(), 1e-6)], ids=["scan", "varying", "still"]
)
def test_dials_predicts_the_same_and_reads_ours(tmp_path, what, bound):
    """DIALS takes a crystal that varies as steps within an image, hence the wider bound."""
    write_expt_list(tmp_path / "a.expt", [what])
    mine = predict(read_expt_list(tmp_path / "a.expt")[0], 3.0, Spread(mosaicity_deg=0.05))
    write_refl(tmp_path / "c.refl", mine)
    python = Path(shutil.which("dials.import")).read_text().splitlines()[0].removeprefix("#!").strip()
    said = subprocess.run([python, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr[-2000:]
    assert said.stdout.split()[-1] == str(len(mine))
    theirs = read_refl(tmp_path / "b.refl")
    axes = 2 if what.still else 3

    def places(table):
        rows = zip(
            table.indices.tolist(), table["entering"] if "entering" in table else [False] * len(table), strict=True
        )
        return {(*h, bool(e) and not what.still): x[:axes] for (h, e), x in zip(rows, table.predicted, strict=True)}

    ours, others = places(mine), places(theirs)
    both = sorted(set(ours) & set(others))
    # DIALS keeps some a little beyond d_min, and has a width of its own for stills.
    assert len(both) >= (5 if what.still else 0.97 * len(mine))
    np.testing.assert_allclose([ours[x] for x in both], [others[x] for x in both], atol=bound)
