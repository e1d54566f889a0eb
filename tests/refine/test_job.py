"""A whole refinement of a sweep that was drawn here, from a wrong start, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pytest
import torch

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.expt_write import write_expt_list
from nanobrag_torch.io.refl import read_refl, write_refl
from nanobrag_torch.io.reflection_table import Flag
from nanobrag_torch.pipeline.render import lattice_of
from nanobrag_torch.refine.asked import Job
from nanobrag_torch.refine.centroids import refine_centroids, strained
from nanobrag_torch.refine.gather import Choice
from nanobrag_torch.refine.job import run
from nanobrag_torch.refine.likelihood import Noise
from nanobrag_torch.refine.main import main
from nanobrag_torch.refine.result import OUTPUTS, Result
from nanobrag_torch.refine.starting import (
    CrystalStart,
    check_amplitudes,
    free_cell,
    read_amplitudes,
    start_of,
    table_of,
)
from nanobrag_torch.refine.symmetry import cell_freedom, space_group, unique_indices

MODEL = CrystalStart(cells=12.0, mosaic_deg=0.15, phi_steps=8)


Sweep = Any
"""`Sweep` of conftest.py, which cannot be imported."""


def job(sweep: Sweep, **changes: object) -> Job:
    said = Job(str(sweep.off), str(sweep.refl), str(sweep.amplitudes), noise=Noise(), model=MODEL)
    return replace(said, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result(sweep: Sweep) -> Result:
    return run(job(sweep, choice=Choice(leave_out=3)))


def test_a_turned_crystal_and_a_distant_detector_come_back(sweep: Sweep, result: Result) -> None:
    (shot,) = result.refined.shots
    assert result.refined.converged
    assert 0.8 < result.refined.chi_square < 1.5
    names = {(name, index): i for i, (name, index) in enumerate(shot.columns)}
    for quantity, truth in (("cell_lengths", sweep.cell[:3]), ("N", (14.0, 12.0, 10.0))):
        for i, value in enumerate(truth):
            row = names[quantity, i]
            assert abs(float(shot.values[row]) - value) < 4.0 * float(shot.sigma[row]) * result.sigma_factor
    spreads = torch.rad2deg(torch.stack([shot.values[names["mosaic_spreads", i]] for i in range(3)]))
    np.testing.assert_allclose(spreads, sweep.spreads, atol=0.05)
    # The misset is that of the refined crystal against the one that drew the frames.
    drawn = lattice_of(sweep.experiment.crystal, True).reciprocal.numpy()
    cell = result.measured[0].crystal
    assert cell is not None
    found = np.linalg.inv(cell.cell).T
    turn = np.linalg.solve(
        drawn / np.linalg.norm(drawn, axis=1)[:, None], found / np.linalg.norm(found, axis=1)[:, None]
    )
    assert np.degrees(np.abs(turn - np.eye(3)).max()) < 0.05
    origin = result.measured[0].detector.panels[0].plane.origin
    away = origin - sweep.measured.detector.panels[0].plane.origin
    assert np.abs(away).max() < 3e-4


def test_images_left_out_are_predicted_as_well(result: Result) -> None:
    (found,) = result.summaries
    before, after, left = found["before"], found["after"], found["left_out"]
    assert before is not None
    assert after is not None
    assert left is not None
    assert after.correlation > 0.99
    assert max(after.fast, after.slow) < 0.1
    assert left.chi_square < 1.3 * after.chi_square
    assert len(result.gathered[0].numbers) == 4


def test_the_files_can_be_read_again(sweep: Sweep, result: Result, tmp_path: Path) -> None:
    names = result.write(tmp_path / "out", {"command": "nb-refine"})
    assert [path.name for path in names] == list(OUTPUTS)
    (refined,) = read_expt_list(names[0])
    assert refined.crystal is not None
    np.testing.assert_allclose(refined.crystal.cell, result.measured[0].crystal.cell)  # type: ignore[union-attr]
    assert refined.images is not None
    assert all(Path(name).exists() for name in refined.images.names)
    table = read_refl(names[1])
    assert table.flagged(Flag.USED_IN_REFINEMENT).all()
    np.testing.assert_allclose(table.observed[:, :2], table.predicted[:, :2], atol=0.6)
    content = json.loads(names[2].read_text())
    assert content["converged"]
    assert {row["name"] for row in content["shots"][0]["parameters"]} >= {"misset", "cell_lengths", "fluence"}
    assert len(content["shots"][0]["correlations"]) == len(content["shots"][0]["parameters"])
    page = names[3].read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "left out" in page


def test_amplitudes_are_refined_with_the_rest(sweep: Sweep, tmp_path: Path) -> None:
    """Every third amplitude of the start is 20 % too small; refined, they come closer to the truth."""
    mtz = gemmi.read_mtz_file(str(sweep.amplitudes))
    data = np.array(mtz.array, copy=True)
    wrong = np.arange(len(data)) % 3 == 0
    data[wrong, 3] *= 0.8
    mtz.set_data(data)
    mtz.write_to_file(str(tmp_path / "wrong.mtz"))
    truth = read_amplitudes(sweep.amplitudes)
    asked = job(sweep, amplitudes=str(tmp_path / "wrong.mtz"), refine=("scale", "amplitudes"), expt=str(sweep.expt))
    asked = replace(asked, centroids=False, model=replace(MODEL, mosaic_deg=0.16), amplitude_width=0.2)
    found = run(asked)
    rows = [row for row in found.amplitude_rows() if row["sigma"] < 0.05 * row["F"]]
    assert len(rows) > 5
    exact = table_of(truth)
    wanted = np.array([float(exact.nearest(*(torch.tensor([x]) for x in row["index"]))[0]) for row in rows])
    before, after = (np.array([row[key] for row in rows]) / wanted for key in ("start", "F"))
    assert before.std() > 0.08
    assert after.std() < 0.5 * before.std()
    names = found.write(tmp_path / "out")
    again = gemmi.read_mtz_file(str(names[-1]))
    assert again.nreflections == len(found.unique)


def test_predicted_spots_serve_without_a_table(sweep: Sweep) -> None:
    found = run(job(sweep, expt=str(sweep.expt), refl=None, refine=("misset", "scale")))
    assert found.refined.converged
    assert found.summaries[0]["after"].correlation > 0.98  # type: ignore[union-attr]


def test_a_camera_far_off_is_located_first(sweep: Sweep, tmp_path: Path) -> None:
    """Twenty pixels off, without spots that say where it is."""
    panels = []
    for panel in sweep.measured.detector.panels:
        plane = panel.plane
        away = 1e-3 * panel.pixel_mm[0] * (20.0 * plane.fast - 13.0 * plane.slow)
        panels.append(replace(panel, plane=replace(plane, origin=plane.origin + away)))
    for frame in sweep.folder.glob("*.cbf"):
        shutil.copy(frame, tmp_path)
    off = replace(sweep.measured, detector=replace(sweep.measured.detector, panels=tuple(panels)))
    write_expt_list(tmp_path / "off.expt", [off])
    said: list[str] = []
    asked = job(sweep, expt=str(tmp_path / "off.expt"), refl=None, locate=True, refine=("misset", "scale", "detector"))
    found = run(asked, said.append)
    assert any(line.startswith("located by the camera") for line in said)
    origin = found.measured[0].detector.panels[0].plane.origin
    away = (origin - sweep.measured.detector.panels[0].plane.origin) / (1e-3 * panels[0].pixel_mm[0])
    assert np.abs(away[:2]).max() < 0.3


def test_the_command_says_what_it_does(sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    words = [str(sweep.off), str(sweep.refl), "--amplitudes", str(sweep.amplitudes), "-o", str(folder)]
    words += ["--refine", "misset,scale,detector", "--cells", "12", "--mosaic", "0.15", "--steps", "15"]
    words += ["--restrain", "detector_shift=0:0.5"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "geometry from centroids" in said
    assert "converged" in said
    assert "misset[0]" in said
    assert {path.name for path in folder.iterdir()} == set(OUTPUTS)
    assert json.loads((folder / "refined.json").read_text())["words"] == words


def test_an_interrupted_run_goes_on(sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    words = [str(sweep.expt), str(sweep.refl), "--amplitudes", str(sweep.amplitudes), "-o", str(folder)]
    words += ["--refine", "misset,scale", "--cells", "12", "--mosaic", "0.15"]
    state = {"words": words, "values": [{"misset": [1e-4, 0.0, 0.0], "fluence": 1.5e26}]}
    (folder / "progress.json").write_text(json.dumps(state))
    assert main([*words, "--resume"]) == 0
    assert not (folder / "progress.json").exists()
    assert "geometry from centroids" not in capsys.readouterr().out
    (folder / "progress.json").write_text(json.dumps(state))
    assert main([*words, "--steps", "9", "--resume"]) == 9
    assert "of another command" in capsys.readouterr().err
    (folder / "progress.json").write_text("{")
    assert main([*words, "--resume"]) == 9
    assert "delete it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--refine", "missset"], "choose among cell, scale, detector"),
        (["--refine", ","], "names nothing"),
        (["--restrain", "N=1"], "NAME=MEAN:WIDTH"),
        (["--restrain", "N=1:-2"], "positive width"),
        (["--restrain", "wavelength=1:2"], "not refined"),
        (["--experiments", "3"], "the list has 1"),
        (["--experiments", "b"], "FIRST:LAST"),
        (["--leave-out", "1"], "every image"),
        (["--gain", "0"], "give a positive number"),
        (["--domains", "0"], "give 1 or more"),
        (["--core", "nan"], "give a positive number"),
        (["--column", "Fobs"], "the columns are"),
        (["--bogus"], ""),
    ],
)
def test_wrong_words_are_refused(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    folder = tmp_path / "out"
    words = [str(sweep.expt), str(sweep.refl), "--amplitudes", str(sweep.amplitudes), "-o", str(folder), *change]
    assert main(words) == 9
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not folder.exists()


def test_what_does_not_belong_together_is_refused(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(expt: Path, refl: Path, amplitudes: Path, message: str) -> None:
        assert main([str(expt), str(refl), "--amplitudes", str(amplitudes), "-o", str(tmp_path / "out")]) == 9
        assert message in capsys.readouterr().err

    other = tmp_path / "other.mtz"
    sweep.write_amplitudes(other, cell=(41.0, 37.0, 43.0, 90.0, 90.0, 90.0))
    refused(sweep.expt, sweep.refl, other, "is not that of the crystal")
    sweep.write_amplitudes(other, "P 4", (31.0, 31.0, 43.0, 90.0, 90.0, 90.0))
    refused(sweep.expt, sweep.refl, other, "Laue class")
    blind = tmp_path / "blind.expt"
    write_expt_list(blind, [replace(sweep.measured, crystal=None)])
    refused(blind, sweep.refl, sweep.amplitudes, "has no crystal")
    for frame in sweep.folder.glob("*.cbf"):
        shutil.copy(frame, tmp_path)
    table = read_refl(sweep.refl)
    lost = tmp_path / "lost.refl"
    write_refl(lost, table.with_columns({"miller_index": np.zeros_like(table.indices)}))
    refused(sweep.expt, lost, sweep.amplitudes, "is indexed")
    write_refl(lost, replace(table, identifiers={0: "another"}))
    refused(sweep.expt, lost, sweep.amplitudes, "'another'")
    full = replace(
        sweep.measured,
        detector=replace(
            sweep.measured.detector,
            panels=tuple(replace(p, trusted=(0.0, 1.0)) for p in sweep.measured.detector.panels),
        ),
    )
    write_expt_list(tmp_path / "full.expt", [full])
    refused(tmp_path / "full.expt", sweep.refl, sweep.amplitudes, "saturated")
    here = tmp_path / "refined.expt"
    shutil.copy(sweep.expt, here)
    assert main([str(here), "--amplitudes", str(sweep.amplitudes), "-o", str(tmp_path)]) == 9
    assert "EXPT" in capsys.readouterr().err
    assert here.read_bytes() == sweep.expt.read_bytes()


def test_centroids_bring_back_what_was_moved(sweep: Sweep) -> None:
    table = read_refl(sweep.refl)
    exact = refine_centroids(sweep.measured, table)
    moved = refine_centroids(sweep.off_by(sweep.measured, 0.4, 0.01), table)
    assert max(moved.rms[:2]) < 0.15
    assert exact.measured.crystal is not None
    assert moved.measured.crystal is not None
    # The weak priors lean towards either start, by less than a scatter of 0.1 pixel leaves open.
    np.testing.assert_allclose(moved.measured.crystal.cell, exact.measured.crystal.cell, atol=5e-3)
    with pytest.raises(InputError, match="too few"):
        refine_centroids(sweep.measured, table.select(np.arange(3)))


def test_a_strained_cell_has_the_lengths_and_angles_it_should() -> None:
    cell = np.array([[20.0, 1.0, 2.0], [-3.0, 25.0, 1.0], [2.0, -4.0, 30.0]])
    lengths = np.linalg.norm(cell, axis=1)

    def angles(rows: np.ndarray) -> np.ndarray:
        size = np.linalg.norm(rows, axis=1)
        return np.array([np.arccos(rows[i] @ rows[j] / size[i] / size[j]) for i, j in ((1, 2), (2, 0), (0, 1))])

    change = np.array([0.01, -0.02, 0.03, 0.01, -0.02, 0.015])
    found = strained(cell, change)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), lengths * (1.0 + change[:3]))
    np.testing.assert_allclose(angles(found), angles(cell) + change[3:])
    np.testing.assert_allclose(strained(cell, np.zeros(6)), cell, atol=1e-12)


def test_the_cell_keeps_its_symmetry() -> None:
    def freedom(name: str) -> tuple[int, int]:
        tied, fixed = cell_freedom(gemmi.SpaceGroup(name))
        return sum(len(group) - 1 for group in tied), len(fixed)

    wanted = {"P 1": (0, 0), "P 21": (0, 2), "P 21 21 21": (0, 3), "P 4": (1, 3), "P 6": (1, 3), "F 2 3": (2, 3)}
    assert {name: freedom(name) for name in wanted} == wanted
    assert freedom("R 3:R") == (4, 0)
    assert freedom("R 3:H") == (1, 3)
    _, fixed = cell_freedom(gemmi.SpaceGroup("P 1 2 1"))
    assert ("cell_angles", 1) not in fixed
    with pytest.raises(InputError, match="Hall symbol"):
        space_group("nonsense")


def test_mates_are_one_reflection() -> None:
    group = gemmi.SpaceGroup("P 21 21 21")
    mates = np.array([[1, 2, 3], [-1, -2, -3], [1, -2, -3], [-1, 2, -3], [-1, -2, 3]], dtype=np.int32)
    assert len(np.unique(unique_indices(mates, group), axis=0)) == 1
    assert len(np.unique(unique_indices(np.array([[1, 2, 3], [2, 1, 3]], dtype=np.int32), group), axis=0)) == 2


def test_a_free_cell_is_the_same_crystal(sweep: Sweep) -> None:
    amplitudes = read_amplitudes(sweep.amplitudes)
    check_amplitudes(sweep.measured, amplitudes, "amplitudes.mtz")
    begun = start_of(sweep.measured, table_of(amplitudes), MODEL)
    assert begun.crystal.orientation is not None
    torch.testing.assert_close(
        begun.crystal.orientation @ begun.crystal.orientation.T, torch.eye(3, dtype=torch.float64)
    )
    torch.testing.assert_close(
        lattice_of(begun.crystal, True).direct, lattice_of(sweep.experiment.crystal, True).direct, rtol=0, atol=1e-9
    )
    turned = sweep.experiment.crystal
    matrix = turned.replace(
        cell=None, reciprocal=lattice_of(turned, True).reciprocal, misset=torch.tensor([0.1, -0.2, 0.3]).double()
    )
    moved = sweep.experiment.replace(crystal=matrix)
    torch.testing.assert_close(
        lattice_of(free_cell(moved).crystal, True).direct, lattice_of(matrix, True).direct, rtol=0, atol=1e-9
    )
