"""From an experiment list and amplitudes to the experiment at which a refinement starts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.config import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig
from nanobrag_torch.errors import InputError, NanobragWarning
from nanobrag_torch.geometry.cell import cell_parameters, direct_lattice, reciprocal_vectors
from nanobrag_torch.io.amplitude_files import MTZ, amplitude_format
from nanobrag_torch.io.apart import read_mtz_apart
from nanobrag_torch.io.expt import config_fields, scene_of
from nanobrag_torch.io.expt_models import Measured
from nanobrag_torch.io.reflection_cif import read_reflection_cif
from nanobrag_torch.io.reflections import Reflections
from nanobrag_torch.io.scene import cell_constants
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.models import Experiment
from nanobrag_torch.pipeline.render import lattice_of
from nanobrag_torch.refine.symmetry import space_group
from nanobrag_torch.settling import settle

if TYPE_CHECKING:
    from nanobrag_torch.io.files import PathLike

ALIKE = 0.03
"""Part of a cell's length, and 0.01 of it in degrees, by which amplitudes may be of another crystal."""
SPREAD_LIMITS = (1e-3, 10.0)
"""Mosaic spreads (degrees) between which a refinement stays, unless it starts outside."""
_START_FLUENCE = 1e24
_PARTS = {"crystal": CrystalConfig, "beam": BeamConfig, "detector": DetectorConfig, "sampling": SamplingConfig}


@dataclass(frozen=True)
class CrystalStart:
    """What an experiment list does not tell about the crystal, and how finely it is rendered.

    Args:
        cells: unit cells along each axis of a block at the start.
        mosaic_deg: standard deviation of orientations at the start, when the list says none.
        anisotropic: three mosaic spreads, about a, c* × a and c*, instead of one; `None`: for a sweep.
        domains: orientations that stand for the spread.
        phi_steps: steps over the rotation of an image.
        oversample: sub-pixels per side.
        shape: of the blocks, as `CrystalConfig.shape`.
    """

    cells: float = 100.0
    mosaic_deg: float = 0.05
    anisotropic: bool | None = None
    domains: int = 30
    phi_steps: int = 4
    oversample: int = 2
    shape: str = "gauss"


def read_amplitudes(path: PathLike, column: str | None = None) -> Reflections:
    """Amplitudes of an MTZ or reflection mmCIF file, expanded to P1.

    Raises:
        FileFormatError, InputError: the file, or the column, cannot be used.
    """
    if amplitude_format(path) == MTZ:
        return read_mtz_apart(path, column)
    return read_reflection_cif(path, column)


def check_amplitudes(measured: Measured, amplitudes: Reflections, name: str) -> None:
    """Refuse amplitudes of another cell or Laue class.

    Raises:
        InputError: names the file.
    """
    import gemmi

    assert measured.crystal is not None
    here = space_group(measured.crystal.hall)
    there = gemmi.SpaceGroup(amplitudes.space_group)
    # A list that has not been given a symmetry yet is P 1 and fits all.
    if here.number != 1 and here.laue_str() != there.laue_str():
        text = f"its space group {there.hm} is not of the Laue class of {here.hm}, which the crystal has"
        raise InputError(name, text, "give amplitudes of this crystal, or reindex one of them")
    own = cell_constants(measured.crystal.cell)
    wrong = [abs(a - b) > ALIKE * b for a, b in zip(own[:3], amplitudes.cell[:3], strict=True)]
    wrong += [abs(a - b) > 100.0 * ALIKE for a, b in zip(own[3:], amplitudes.cell[3:], strict=True)]
    if any(wrong):
        shown = (" ".join(f"{x:.4g}" for x in cell) for cell in (amplitudes.cell, own))
        text = "its cell {} is not that of the crystal, {}".format(*shown)
        raise InputError(name, text, "give amplitudes of this crystal")


def table_of(amplitudes: Reflections) -> StructureFactors:
    """The table that kernels look amplitudes up in; reflections without a value have none."""
    grid = amplitudes.grid
    zero = torch.zeros((), dtype=torch.float64)
    values = torch.from_numpy(np.nan_to_num(grid.values.astype(np.float64)))
    return StructureFactors(values, grid.origin, zero, grid.count)


def start_of(measured: Measured, table: StructureFactors, model: CrystalStart) -> Experiment:
    """The experiment of a still, or of the first image of a sweep, with a cell and an orientation that can be refined.

    Sensors are cut into layers whose terms stand for their middles, and spindle steps for theirs.

    Raises:
        InputError: no crystal, or pixels that are not square.
    """
    if measured.crystal is None:
        raise InputError("experiment", "it has no crystal", "index it first")
    for number, panel in enumerate(measured.detector.panels):
        if panel.pixel_mm[0] != panel.pixel_mm[1]:
            raise InputError(f"panel {number}", "its pixels are not square", "only square ones can be rendered")
    spread = measured.crystal.mosaicity or model.mosaic_deg
    anisotropic = not measured.still if model.anisotropic is None else model.anisotropic
    if measured.still:
        measured = replace(measured, goniometer=None, scan=None)
    parts: dict[str, dict[str, Any]] = {name: {} for name in _PARTS}
    for name, value in config_fields(scene_of(measured)).items():
        part, field = name.split(".")
        parts[part][field] = value
    spreads = {"mosaic_abc_deg": (spread,) * 3} if anisotropic else {"mosaic_spread_deg": spread}
    parts["crystal"] |= dict.fromkeys(("Na", "Nb", "Nc"), model.cells) | spreads
    parts["crystal"] |= {"mosaic_domains": model.domains, "mosaic_law": "gauss", "shape": model.shape}
    parts["crystal"] |= {"structure_factors": table, "interpolate": False}
    parts["beam"]["fluence"] = _START_FLUENCE
    parts["sampling"]["oversample"] = model.oversample
    # A number of steps alone would make the program turn a still by a degree.
    if "osc_deg" in parts["sampling"]:
        parts["sampling"]["phi_steps"] = model.phi_steps
    known = {name: {f.name for f in fields(kind)} for name, kind in _PARTS.items()}
    assert all(set(said) <= known[name] for name, said in parts.items())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        experiment = settle(
            Config(
                CrystalConfig(**parts["crystal"]),
                BeamConfig(**parts["beam"]),
                DetectorConfig(**parts["detector"]),
                SamplingConfig(**parts["sampling"]),
            )
        )
    return _middles(free_cell(experiment))


def free_cell(experiment: Experiment) -> Experiment:
    """The same crystal as a cell, a rotation and no misset, where it was an orientation matrix."""
    crystal = experiment.crystal
    if crystal.reciprocal is None:
        return experiment
    exact = experiment.physics == "exact"
    lattice = direct_lattice(crystal.reciprocal, None)
    cell = cell_parameters(lattice.direct, lattice.reciprocal, lattice.volume)
    turned = lattice_of(crystal, exact).reciprocal
    orientation = torch.linalg.solve(reciprocal_vectors(cell, exact), turned).transpose(0, 1)
    zero = torch.zeros(3, dtype=torch.float64)
    return experiment.replace(crystal=crystal.replace(cell=cell, reciprocal=None, orientation=orientation, misset=zero))


def _middles(experiment: Experiment) -> Experiment:
    """Layers and steps begin where they stand for: half a layer deeper, half a step later."""
    scan = experiment.scan
    panels = []
    for panel in experiment.detector.panels:
        assert panel.origin is not None
        panels.append(panel.replace(origin=panel.origin + depth_of(panel.layer_step, panel.normal)))
    return experiment.replace(
        scan=scan.replace(start=scan.start + 0.5 * scan.step),
        detector=experiment.detector.replace(panels=tuple(panels)),
    )


def depth_of(layer_step: Tensor, normal: Tensor) -> Tensor:
    """How far [3] (m) the layers of a start stand behind those of the settled sensor."""
    return 0.5 * layer_step * normal
