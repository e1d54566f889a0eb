"""A small sweep as a beamline would send it: frames with Poisson noise, experiment list, spots and amplitudes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import gemmi
import numpy as np
import pytest
import torch

from nanobrag_torch import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    Experiment,
    PanelConfig,
    SamplingConfig,
    Simulator,
    settle,
)
from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.io.cbf import write_cbf
from nanobrag_torch.io.expt import write_expt
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.expt_models import Measured
from nanobrag_torch.io.expt_write import write_expt_list
from nanobrag_torch.io.refl import write_refl
from nanobrag_torch.io.reflection_table import Flag
from nanobrag_torch.io.scene import rotation
from nanobrag_torch.pipeline.describe import describe
from nanobrag_torch.pipeline.render import lattice_of
from nanobrag_torch.refine.centroids import predicted
from nanobrag_torch.spots import Spread, predict

CELL = (31.0, 37.0, 43.0, 90.0, 90.0, 90.0)
GROUP = "P 21 21 21"
FRAMES, WIDTH_DEG, SIZE, PIXEL_MM, DISTANCE_MM = 6, 0.4, 180, 0.4, 90.0
SPREADS = (0.2, 0.12, 0.16)


def write_amplitudes(path: Path, group: str = GROUP, cell: tuple[float, ...] = CELL) -> None:
    """Amplitudes to 2 Å, between 20 and 200."""
    made = gemmi.Mtz(with_base=True)
    made.spacegroup = gemmi.SpaceGroup(group)
    made.set_cell_for_all(gemmi.UnitCell(*cell))
    made.add_dataset("made")
    made.add_column("F", "F")
    indices = gemmi.make_miller_array(gemmi.UnitCell(*cell), made.spacegroup, 2.0)
    values = 20.0 + 180.0 * np.random.default_rng(3).random(len(indices))
    made.set_data(np.column_stack([indices, values]).astype(np.float32))
    made.write_to_file(str(path))


def scene(folder: Path) -> Experiment:
    """The crystal as it is, at the start of the sweep; half a step later than the image begins."""
    half = 0.5 * SIZE * PIXEL_MM
    panel = PanelConfig((-half, half, -DISTANCE_MM), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), SIZE, SIZE, PIXEL_MM)
    return settle(
        Config(
            CrystalConfig(
                hkl_file=str(folder / "amplitudes.mtz"),
                cell_a=CELL[0], cell_b=CELL[1], cell_c=CELL[2],
                misset_deg=(10.0, 25.0, -30.0), Na=14, Nb=12, Nc=10, shape="gauss",
                mosaic_law="gauss", mosaic_abc_deg=SPREADS, mosaic_domains=30,
            ),
            BeamConfig(wavelength_A=1.0, fluence=1.5e26, beam_vector=(0.0, 0.0, -1.0), polar_vector=(1.0, 0.0, 0.0)),
            DetectorConfig(panels=(panel,), convention="CUSTOM"),
            SamplingConfig(
                phi_deg=WIDTH_DEG / 16, osc_deg=WIDTH_DEG, phi_steps=8, oversample=2, spindle_axis=(1.0, 0.0, 0.0)
            ),
        )
    )  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """Files of a sweep, and the truth: `expt` is right, `off` is turned and its detector is too far away."""

    folder: Path
    expt: Path
    off: Path
    refl: Path
    amplitudes: Path
    experiment: Experiment
    measured: Measured
    cell: tuple[float, ...] = CELL
    spreads: tuple[float, ...] = SPREADS
    slip_deg: float = 0.0

    def at(self, place: float) -> np.ndarray:
        """Cell vectors [3, 3] (rows, Å), the spindle at rest, from the beginning (0) to the end (1) of the sweep."""
        return lattice_of(slipped(self.experiment, place * self.slip_deg).crystal, True).direct.numpy()

    @staticmethod
    def off_by(measured: Measured, degrees: float, distance: float) -> Measured:
        """The crystal turned, and the detector farther away by a part of its distance."""
        return off_by(measured, degrees, distance)

    @staticmethod
    def write_amplitudes(path: Path, group: str = GROUP, cell: tuple[float, ...] = CELL) -> None:
        """Amplitudes of any space group and cell."""
        write_amplitudes(path, group, cell)


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """The sweep; nobody writes into its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return make_sweep(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="session")
def slipping(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A sweep whose crystal turns evenly by 0.15 degrees while it is measured, of which its list knows nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return make_sweep(tmp_path_factory.mktemp("slipping"), 0.15)


def slipped(experiment: Experiment, degrees: float) -> Experiment:
    """The crystal turned about its a axis, outside of its misset."""
    crystal = experiment.crystal
    rows = lattice_of(crystal, True).reciprocal
    axis = lattice_of(crystal, True).direct[0].numpy()
    turn = torch.from_numpy(rotation(axis / np.linalg.norm(axis), degrees))
    zero = torch.zeros(3, dtype=torch.float64)
    turned = crystal.replace(cell=None, reciprocal=rows @ turn.T, orientation=None, misset=zero)
    return experiment.replace(crystal=turned)


def make_sweep(folder: Path, slip_deg: float = 0.0) -> Sweep:
    """Draw the frames and write the files."""
    write_amplitudes(folder / "amplitudes.mtz")
    true = scene(folder)
    generator = torch.Generator().manual_seed(11)
    for frame in range(FRAMES):
        start = true.scan.start + true.scan.range * frame
        there = slipped(true, slip_deg * (frame + 0.5) / FRAMES) if slip_deg else true
        image = Simulator(there.replace(scan=true.scan.replace(start=start))).run().array.reshape(SIZE, SIZE)
        counts = torch.poisson(image + 0.4, generator=generator).numpy().astype(np.int32)
        write_cbf(folder / f"frame_{frame + 1:03d}.cbf", counts, describe(true), saturation=1_000_000)
    write_expt(folder / "plain.expt", describe(true), frames=FRAMES, images="frame_###.cbf")
    (plain,) = read_expt_list(folder / "plain.expt")
    assert plain.crystal is not None
    assert plain.scan is not None
    measured = replace(
        plain,
        identifier="sweep",
        crystal=replace(plain.crystal, hall=gemmi.SpaceGroup(GROUP).hall),
        scan=replace(plain.scan, start=0.0),
    )
    write_expt_list(folder / "sweep.expt", [measured])
    spots = predict(measured, 2.2, Spread(mosaicity_deg=0.16, domain_A=420.0))
    inside = (spots.predicted[:, 2] > 0.5) & (spots.predicted[:, 2] < FRAMES - 0.5)
    spots = spots.select(inside)
    boxes = np.column_stack(
        [f(spots.predicted[:, axis] + away) for axis in (0, 1) for f, away in ((np.floor, -3), (np.ceil, 3))]
        + [f(spots.predicted[:, 2] + away).clip(0, FRAMES) for f, away in ((np.floor, -2.5), (np.ceil, 2.5))]
    )
    observed = predicted(measured, spots.with_columns({"xyzobs.px.value": spots.predicted}))
    observed += np.random.default_rng(4).normal(0.0, 0.1, observed.shape)
    spots = spots.with_columns(
        {
            "xyzobs.px.value": observed,
            "bbox": boxes.astype(np.int32),
            "flags": spots.flags | np.uint64(Flag.OBSERVED | Flag.INDEXED | Flag.STRONG),
        }
    )
    write_refl(folder / "sweep.refl", replace(spots, identifiers={0: "sweep"}))
    write_expt_list(folder / "off.expt", [off_by(measured, 0.3, 0.01)])
    return Sweep(
        folder,
        folder / "sweep.expt",
        folder / "off.expt",
        folder / "sweep.refl",
        folder / "amplitudes.mtz",
        true,
        measured,
        slip_deg=slip_deg,
    )


def off_by(measured: Measured, degrees: float, distance: float) -> Measured:
    """The crystal turned, and the detector farther away by a part of its distance."""
    assert measured.crystal is not None
    axis = np.array([1.0, -1.0, 1.0]) / np.sqrt(3.0)
    crystal = replace(measured.crystal, cell=measured.crystal.cell @ rotation(axis, degrees).T)
    panels = []
    for panel in measured.detector.panels:
        away = (panel.plane.origin @ panel.plane.normal) * panel.plane.normal
        panels.append(replace(panel, plane=replace(panel.plane, origin=panel.plane.origin + distance * away)))
    return replace(measured, crystal=crystal, detector=replace(measured.detector, panels=tuple(panels)))
