"""What files say about the crystal: its cell, and the amplitudes of a model (specs: structure_factors 7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.config import CrystalConfig
from nanobrag_torch.geometry.cell import Lattice, cell_parameters
from nanobrag_torch.geometry.detector import curved_positions, flat_positions, sphere_positions
from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.io.model import Solvent, anomalous_factors, model_sums
from nanobrag_torch.io.reflections import Cell, resolution
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.models import Beam, Detector
from nanobrag_torch.models.experiment import Note
from nanobrag_torch.numerics import normalise
from nanobrag_torch.pipeline.render import panel_frame_of
from nanobrag_torch.settling.colour import coloured_factors
from nanobrag_torch.settling.crystal import wants_interpolation
from nanobrag_torch.settling.model_amplitudes import model_structure_factors
from nanobrag_torch.settling.values import number
from nanobrag_torch.text import format_g
from nanobrag_torch.units import degrees_from_radians

if TYPE_CHECKING:
    from nanobrag_torch.io.model import Model, ModelSums
    from nanobrag_torch.kernels.coloured_factors import ColouredFactors
    from nanobrag_torch.settling.inputs import Inputs

FINEST_DMIN_A = 1.0
"""The finest resolution that is chosen for a model."""
BEYOND_NEAREST, BEYOND_INTERPOLATED = 1.0, 3.0
"""Indices by which a chosen table goes beyond what the detector sees."""
LIKE_LENGTHS, LIKE_ANGLES_DEG = 0.02, 2.0
"""Differences up to which a cell is taken for that of the file."""


class Seen(NamedTuple):
    """The resolution (Å) beyond which there is no intensity, 0 = none, and whether the physics is exact."""

    dmin: float
    exact: bool


@dataclass(frozen=True)
class FromFiles:
    """The crystal as specified, completed from its files; what was noticed; the file's cell if another was given.

    `colours` are the parts of a model's amplitudes at the wavelengths of all sources, if they were asked for.
    """

    crystal: CrystalConfig
    notes: tuple[Note, ...] = ()
    other_cell: Cell | None = None
    colours: ColouredFactors | None = None


def from_files(said: CrystalConfig, inputs: Inputs, detector: Detector, beam: Beam, seen: Seen) -> FromFiles:
    """Fill in the cell of a file where neither cell nor matrix was given, and compute the amplitudes of a model.

    Args:
        said: the crystal as said.
        inputs: the files.
        detector: the settled detector.
        beam: the settled beam, whose wavelength gives f' and f''.
        seen: what else decides which reflections are needed.

    Raises:
        InputError: the resolution is too fine for the cell.
    """
    cell = inputs.cell
    if cell is None:
        return FromFiles(said)
    without_lattice = said.orientation_matrix is None and inputs.matrix is None and not number(said.cell_a, 0.0) > 0
    if without_lattice:
        names = ("cell_a", "cell_b", "cell_c", "cell_alpha", "cell_beta", "cell_gamma")
        said = replace(said, **dict(zip(names, cell, strict=True)))  # type: ignore[arg-type]
    notes = _dump_notes(said)
    colours: ColouredFactors | None = None
    finest = max(seen.dmin, finest_resolution(detector, beam, seen.exact))
    if inputs.model is not None:
        d_min = _chosen_resolution(said, inputs.model, finest)
        sums = model_sums(inputs.model, d_min, solvent=_solvent(said))
        said = replace(said, structure_factors=_model_table(said, sums, beam))
        if said.model_energies:
            default_F = real(0.0 if said.default_F is None else said.default_F)
            colours = coloured_factors(sums, default_F, beam.wavelength * beam.wavelength_ratios)
        text = f"computing Fs of {inputs.model.path} to {format_g(d_min)} A at {format_g(beam.wavelength)} A"
        notes += [_source_note(f"{text}, with solvent" if said.model_solvent else text, inputs.model.space_group, cell)]
        if not inputs.model.ended:
            notes += [Note("model", f"{inputs.model.path} has no END record: it may be truncated", True)]
        notes += _coverage_notes(inputs.model.path, d_min, finest, "; give a smaller -model_dmin")
    elif inputs.reflections is not None:
        found, name = inputs.reflections, str(inputs.grid_file)
        notes += [_source_note(f"reading Fs from {name}, column {found.source}", found.space_group, cell)]
        notes += _coverage_notes(name, resolution(found), finest, "")
    return FromFiles(said, tuple(notes), None if without_lattice else cell, colours)


def finest_resolution(detector: Detector, beam: Beam, exact: bool) -> float:
    """The smallest d (Å) that the corners of a detector see, of any source; λ/2 where it reaches behind the sample."""
    incident = -normalise(beam.source_positions.detach())
    wavelengths = (beam.wavelength * beam.wavelength_ratios).detach()
    finest = torch.tensor(torch.inf, dtype=torch.float64)
    for index in range(len(detector.panels)):
        directions = _corner_directions(detector, index, beam, exact)
        squares = ((directions[None] - incident[:, None]) ** 2).sum(-1).amax(1)
        lengths = torch.where(squares > 2.0, 2.0, squares.sqrt()) / wavelengths
        finest = torch.minimum(finest, (1.0 / lengths).min())
    return float(finest)


def cell_notes(cell: Cell | None, lattice: Lattice) -> list[Note]:
    """A warning when a lattice that was given is not that of the file of structure factors."""
    if cell is None:
        return []
    drawn = cell_parameters(lattice.direct, lattice.reciprocal, lattice.volume).detach().tolist()
    lengths, angles = drawn[:3], [degrees_from_radians(x) for x in drawn[3:]]
    alike = all(abs(a - b) <= LIKE_LENGTHS * b for a, b in zip(lengths, cell[:3], strict=True))
    if alike and all(abs(a - b) <= LIKE_ANGLES_DEG for a, b in zip(angles, cell[3:], strict=True)):
        return []
    text = f"the cell in use, {_gs((*lengths, *angles))}, is not that of the structure factors, {_gs(cell)}"
    return [Note("cell", text, True)]


def _corner_directions(detector: Detector, index: int, beam: Beam, exact: bool) -> Tensor:
    """Unit vectors [4, 3] from the sample to the corners of a panel."""
    panel = detector.panels[index]
    frame = panel_frame_of(panel, beam.direction, exact)
    length_f, length_s = panel.lengths.unbind()
    zero = torch.zeros_like(length_f)
    f, s = torch.stack([zero, length_f, zero, length_f]), torch.stack([zero, zero, length_s, length_s])
    if detector.curved and exact:
        positions = sphere_positions(f, s, frame, beam.direction)[0]
    else:
        positions = flat_positions(f, s, zero, frame)
    if detector.curved and not exact:
        positions = curved_positions(positions, frame, beam.direction)
    return normalise(positions.detach())


def _chosen_resolution(said: CrystalConfig, model: Model, seen: float) -> float:
    if said.model_dmin_A is not None:
        return float(said.model_dmin_A)
    beyond = BEYOND_INTERPOLATED if wants_interpolation(said) else BEYOND_NEAREST
    cell = model.structure.cell.reciprocal()
    return max(FINEST_DMIN_A, 1.0 / (1.0 / seen + beyond * max(cell.a, cell.b, cell.c)))


def _solvent(said: CrystalConfig) -> Solvent | None:
    return None if said.model_solvent is None else Solvent(*map(float, said.model_solvent))


def _model_table(said: CrystalConfig, sums: ModelSums, beam: Beam) -> StructureFactors:
    f_prime, f_second = map(real, anomalous_factors(sums.elements, float(beam.wavelength.detach())))
    return model_structure_factors(sums, f_prime, f_second, real(0.0 if said.default_F is None else said.default_F))


def _source_note(text: str, space_group: str, cell: Cell) -> Note:
    return Note("amplitudes", f"{text}, space group {space_group}, cell {_gs(cell)}")


def _coverage_notes(name: str, d_min: float, seen: float, advice: str) -> list[Note]:
    if d_min <= seen * (1.0 + 1e-6):
        return []
    text = f"the structure factors of {name} end at {format_g(d_min)} A, the detector sees to {format_g(seen)} A"
    return [Note("coverage", f"{text}; default_F is used beyond them{advice}", True)]


def _dump_notes(said: CrystalConfig) -> list[Note]:
    if not (said.use_dump and said.dump_file is not None):
        return []
    text = f"{said.dump_file} is neither read nor written: a dump cannot keep the cell of a model or reflection file"
    return [Note("dump", text, True)]


def _gs(values: Cell | tuple[float, ...]) -> str:
    return " ".join(map(format_g, values))
