"""Lists of several experiments refined together: stills that share a camera and a cell, and two sweeps."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pytest
import torch

from nanobrag_torch import Experiment, Simulator
from nanobrag_torch.errors import InputError
from nanobrag_torch.io.cbf import write_cbf
from nanobrag_torch.io.expt import write_expt
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.expt_models import DetectorModel, ImagesModel, Measured
from nanobrag_torch.io.expt_write import write_expt_list
from nanobrag_torch.io.refl import read_refl, write_refl
from nanobrag_torch.io.reflection_table import Flag, joined
from nanobrag_torch.io.scene import cell_constants
from nanobrag_torch.pipeline.describe import describe
from nanobrag_torch.refine.asked import Job, own_names, same_detector
from nanobrag_torch.refine.centroids import refine_all_centroids, strained, with_mean_cell
from nanobrag_torch.refine.gather import Choice
from nanobrag_torch.refine.job import run
from nanobrag_torch.refine.likelihood import Noise
from nanobrag_torch.refine.main import main
from nanobrag_torch.refine.result import Result
from nanobrag_torch.refine.starting import CrystalStart
from nanobrag_torch.spots import Spread, predict
from nanobrag_torch.units import radians_from_degrees

MODEL = CrystalStart(cells=12.0, mosaic_deg=0.2)
COUNT, SCALES, SPREAD_DEG = 3, (1.0, 0.6, 1.7), 0.16
OFF_MM = (0.15, -0.1, 0.4)
"""How far the detector of the list stands beside the true one."""
Sweep = Any
"""`Sweep` of conftest.py, which cannot be imported."""


@dataclass(frozen=True)
class Stills:
    """Files of a list of stills, and the true experiments; those of `off` start from a wrong place."""

    folder: Path
    off: Path
    refl: Path
    true: tuple[Measured, ...]


def still(true: Experiment, number: int) -> Experiment:
    """The crystal of the sweep in another orientation, standing, with one mosaic spread and a scale of its own."""
    crystal, beam, scan = true.crystal, true.beam, true.scan
    misset = radians_from_degrees(torch.tensor([40.0 * number, 10.0 - 25.0 * number, 15.0 * number**2]).double())
    spread = radians_from_degrees(torch.tensor(SPREAD_DEG).double())
    zero = torch.zeros((), dtype=torch.float64)
    return true.replace(
        crystal=crystal.replace(misset=misset, mosaic=replace(crystal.mosaic, spreads=None, spread=spread)),
        beam=beam.replace(fluence=beam.fluence * SCALES[number]),
        scan=replace(scan, start=zero, step=zero, range=zero, steps=1),
    )


@pytest.fixture(scope="module")
def stills(sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Stills:
    folder = tmp_path_factory.mktemp("stills")
    generator = torch.Generator().manual_seed(5)
    true, tables = [], []
    panel = sweep.experiment.detector.panels[0]
    size = panel.pixels_s, panel.pixels_f
    for number in range(COUNT):
        experiment = still(sweep.experiment, number)
        image = Simulator(experiment).run().array.reshape(*size)
        counts = torch.poisson(image + 0.4, generator=generator).numpy().astype(np.int32)
        name = f"still_{number}.cbf"
        write_cbf(folder / name, counts, describe(experiment), saturation=1_000_000)
        write_expt(folder / "plain.expt", describe(experiment), images=[name])
        (plain,) = read_expt_list(folder / "plain.expt")
        assert plain.crystal is not None
        crystal = replace(plain.crystal, hall=gemmi.SpaceGroup("P 21 21 21").hall)
        measured = replace(plain, identifier=f"still {number}", crystal=crystal, goniometer=None, scan=None)
        true.append(measured)
        spots = predict(measured, 2.2, Spread(mosaicity_deg=SPREAD_DEG, domain_A=420.0))
        place = np.floor(spots.predicted[:, :2]).astype(int)
        bright = np.array([image[y - 1 : y + 2, x - 1 : x + 2].sum() > 60.0 for x, y in place], dtype=bool)
        spots = spots.select(bright)
        seen = spots.predicted + np.random.default_rng(number).normal(0.0, 0.1, (len(spots), 3)) * (1, 1, 0)
        flags = spots.flags | np.uint64(Flag.OBSERVED | Flag.INDEXED | Flag.STRONG)
        own = np.full(len(spots), number, dtype=np.int32)
        tables.append(spots.with_columns({"xyzobs.px.value": seen, "flags": flags, "id": own}))
    off = [wrong(one, number) for number, one in enumerate(true)]
    write_expt_list(folder / "off.expt", off)
    identifiers = {number: one.identifier for number, one in enumerate(true)}
    table = joined([replace(table, identifiers={}) for table in tables])
    write_refl(folder / "stills.refl", replace(table, identifiers=identifiers))
    return Stills(folder, folder / "off.expt", folder / "stills.refl", tuple(true))


def wrong(measured: Measured, number: int) -> Measured:
    """Each crystal with a cell of its own that is up to 0.3 % wrong, the detector of all moved by as much."""
    assert measured.crystal is not None
    change = np.array([0.003, -0.002, 0.001, 0.0, 0.0, 0.0]) * (number - 0.5)
    panels = tuple(
        replace(panel, plane=replace(panel.plane, origin=panel.plane.origin + 1e-3 * np.array(OFF_MM)))
        for panel in measured.detector.panels
    )
    return replace(
        measured,
        crystal=replace(measured.crystal, cell=strained(measured.crystal.cell, change)),
        detector=DetectorModel(panels, measured.detector.raw),
    )


def job(stills: Stills, sweep: Sweep, **changes: object) -> Job:
    asked = Job(str(stills.off), str(stills.refl), str(sweep.amplitudes), noise=Noise(), model=MODEL)
    return replace(asked, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result(stills: Stills, sweep: Sweep) -> Result:
    return run(job(stills, sweep))


def test_stills_share_camera_cell_and_blocks(stills: Stills, sweep: Sweep, result: Result) -> None:
    """And have their own orientation and scale; the truth lies within the reported deviations."""
    assert result.refined.converged
    assert 0.8 < result.refined.chi_square < 1.3
    first, *others = result.refined.shots
    names = {(name, index): i for i, (name, index) in enumerate(first.columns)}
    truth = {("cell_lengths", i): length for i, length in enumerate(sweep.cell[:3])}
    truth |= {("N", i): cells for i, cells in enumerate((14.0, 12.0, 10.0))}
    truth[("mosaic_spread", 0)] = float(np.radians(SPREAD_DEG))
    for key, value in truth.items():
        row = names[key]
        assert abs(float(first.values[row]) - value) < 4.0 * float(first.sigma[row]) * result.sigma_factor, key
        assert all(float(other.values[row]) == float(first.values[row]) for other in others)
    origins = [one.detector.panels[0].plane.origin for one in result.measured]
    assert all(np.array_equal(origin, origins[0]) for origin in origins)
    np.testing.assert_allclose(origins[0], stills.true[0].detector.panels[0].plane.origin, atol=1e-4)
    scales = [float(shot.values[names["fluence", 0]]) for shot in result.refined.shots]
    np.testing.assert_allclose(np.array(scales) / scales[0], SCALES, rtol=0.03)


def test_every_orientation_comes_back(stills: Stills, result: Result) -> None:
    for found, true in zip(result.measured, stills.true, strict=True):
        assert found.crystal is not None
        assert true.crystal is not None
        turn = np.linalg.solve(found.crystal.cell, true.crystal.cell)
        assert np.abs(turn - np.eye(3)).max() < 1e-3


def test_the_files_name_every_still(stills: Stills, result: Result, tmp_path: Path) -> None:
    result.write(tmp_path / "out")
    again, table = read_expt_list(tmp_path / "out/refined.expt"), read_refl(tmp_path / "out/refined.refl")
    assert [one.identifier for one in again] == [one.identifier for one in stills.true]
    assert all(one.images is not None and Path(one.images.names[0]).exists() for one in again)
    assert set(table.experiment.tolist()) == set(range(COUNT))
    assert len(json.loads((tmp_path / "out/refined.json").read_text())["shots"]) == COUNT


def test_a_still_without_a_usable_spot_is_left_out(
    stills: Stills, sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its number and the reason; the others are refined and keep their identifiers."""
    damaged = tmp_path / "damaged.refl"
    table = read_refl(stills.refl)
    indices = table.indices.copy()
    indices[table.experiment == 1] = (60, 60, 60)
    write_refl(damaged, table.with_columns({"miller_index": indices}))
    words = [str(stills.off), str(damaged), "--amplitudes", str(sweep.amplitudes), "-o", str(tmp_path / "out")]
    words += ["--cells", "12", "--mosaic", "0.2", "--no-centroids", "--refine", "misset,scale", "--steps", "3"]
    assert main(words) == 0
    assert "left out: experiment 1: of" in capsys.readouterr().out
    assert [one.identifier for one in read_expt_list(tmp_path / "out/refined.expt")] == ["still 0", "still 2"]
    assert set(read_refl(tmp_path / "out/refined.refl").experiment.tolist()) == {0, 1}


def test_a_list_without_any_usable_spot_is_refused(stills: Stills, sweep: Sweep) -> None:
    with pytest.raises(InputError, match="no experiment has a spot that can be used"):
        run(job(stills, sweep, choice=Choice(most=0, significance=1e9), refl=None, refine=("misset",)))


def test_centroids_move_a_shared_detector(stills: Stills) -> None:
    """One shift and one cell for all; with cells of their own, each keeps what its spots say."""
    table, off = read_refl(stills.refl), read_expt_list(stills.off)
    tables = [table.select(table.experiment == number) for number in range(COUNT)]
    found = refine_all_centroids(off, tables, shared_cell=True, shared_detector=True)
    cells = [cell_constants(one.measured.crystal.cell) for one in found if one.measured.crystal is not None]
    np.testing.assert_allclose(cells, [cells[0]] * COUNT, atol=1e-9)
    np.testing.assert_allclose(cells[0][:3], (31.0, 37.0, 43.0), rtol=2e-3)
    assert same_detector([one.measured for one in found])
    assert max(one.rms[0] for one in found) < 0.2
    alone = refine_all_centroids(off, tables, shared_cell=False, shared_detector=False)
    assert not same_detector([one.measured for one in alone])
    few = [tables[0], tables[1].select(np.arange(3)), tables[2]]
    with pytest.raises(InputError, match="experiment 1: 3 indexed spots are too few"):
        refine_all_centroids(off, few, shared_cell=True, shared_detector=True)


def test_the_mean_cell_keeps_orientations(stills: Stills) -> None:
    off = read_expt_list(stills.off)
    for one, before in zip(with_mean_cell(off), off, strict=True):
        assert one.crystal is not None
        assert before.crystal is not None
        np.testing.assert_allclose(cell_constants(one.crystal.cell)[:3], (31.0465, 36.963, 43.0215), rtol=1e-4)
        a, b = (rows / np.linalg.norm(rows, axis=1)[:, None] for rows in (one.crystal.cell, before.crystal.cell))
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_sweeps_have_their_own_crystals(sweep: Sweep, tmp_path: Path) -> None:
    """Two sweeps of one camera in one list: cell, N and spreads are their own, the detector is one."""
    raw = dict(sweep.measured.images.raw)
    raw["template"] = str(sweep.folder / raw["template"])
    images = ImagesModel(sweep.measured.images.names, None, raw)
    both = [replace(sweep.measured, identifier=name, images=images) for name in ("one", "other")]
    write_expt_list(tmp_path / "both.expt", both)
    table = read_refl(sweep.refl)
    tables = [
        replace(table.with_columns({"id": np.full(len(table), number, dtype=np.int32)}), identifiers={})
        for number in range(2)
    ]
    write_refl(tmp_path / "both.refl", replace(joined(tables), identifiers={0: "one", 1: "other"}))
    asked = Job(str(tmp_path / "both.expt"), str(tmp_path / "both.refl"), str(sweep.amplitudes), noise=Noise())
    asked = replace(asked, model=replace(MODEL, phi_steps=4), refine=("misset", "cell", "scale", "detector"))
    names = ["misset", "cell_lengths", "fluence", "detector_shift"]
    first = sweep.experiment
    assert own_names(asked, names, first, both) == ["misset", "cell_lengths", "fluence"]
    assert own_names(replace(asked, shared=("cell", "detector")), names, first, both) == ["misset", "fluence"]
    found = run(asked)
    one, other = found.refined.shots
    shared = [i for i, (name, _) in enumerate(one.columns) if name == "detector_shift"]
    assert torch.equal(one.values[shared], other.values[shared])
    # The same frames twice: the same crystal twice.
    torch.testing.assert_close(one.values, other.values, rtol=1e-6, atol=1e-9)
