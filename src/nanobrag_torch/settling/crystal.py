"""The crystal: cell, orientation, size, shape, mosaicity (specs: crystal, sources 5, structure_factors 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nanobrag_torch.config import BeamConfig, CrystalConfig
from nanobrag_torch.errors import InputError
from nanobrag_torch.geometry.cell import Lattice, cell_parameters
from nanobrag_torch.geometry.orientation import lattice_at_rest
from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.legacy_random import LegacyRandom, Stream, random_misset
from nanobrag_torch.models import Crystal
from nanobrag_torch.models.experiment import Note
from nanobrag_torch.numerics import norm
from nanobrag_torch.settling.check_settled import check_matrix
from nanobrag_torch.settling.crystal_form import (
    settle_blocks,
    settle_coupling,
    settle_diffuse,
    settle_mosaic,
    settle_others,
)
from nanobrag_torch.settling.values import number, tensor
from nanobrag_torch.units import (
    degrees_from_radians,
    metres_from_angstrom,
    metres_from_mm,
    metres_from_water_um,
    radians_from_degrees,
)

if TYPE_CHECKING:
    from nanobrag_torch.settling.inputs import Inputs

DEFAULT_BEAMSIZE_MM = 0.1
DEFAULT_SHAPE = "square"


@dataclass(frozen=True)
class SettledCrystal:
    """The crystal, the lattice at rest, and what was noticed on the way."""

    crystal: Crystal
    lattice: Lattice
    notes: tuple[Note, ...]
    facts: dict[str, Any]


def settle_crystal(
    said: CrystalConfig,
    beam: BeamConfig,
    inputs: Inputs,
    wavelength: Tensor,
    generator: LegacyRandom,
    exact: bool,
) -> SettledCrystal:
    """Settle the crystal; random draws are taken from `generator`, misset first (specs: rng 3).

    Raises:
        InputError: neither cell nor matrix, or no structure factors.
    """
    notes: list[Note] = []
    facts: dict[str, Any] = {}
    cell = _cell(said)
    reciprocal = _matrix(said, inputs, wavelength)
    if cell is None and reciprocal is None:
        raise InputError("cell_a", "neither a unit cell nor an orientation matrix is given", "give one of them")
    misset = _misset(said, generator, exact, notes, facts)
    lattice = lattice_at_rest(cell, reciprocal, misset, exact)
    notes += _cell_notes(cell, reciprocal, lattice, exact)
    table = _structure_factors(said, inputs)
    N, sample_notes = _counts(said, beam, lattice)
    crystal = Crystal(
        cell=cell,
        reciprocal=reciprocal,
        misset=misset,
        N=N,
        shape=said.shape or DEFAULT_SHAPE,
        fudge=tensor(said.fudge, 1.0),
        mosaic=settle_mosaic(said, inputs, generator, notes),
        structure_factors=table,
        interpolate=_interpolate(said, table),
        water=tensor(said.water_um, 0.0, metres_from_water_um),
        coupling=settle_coupling(said),
        blocks=settle_blocks(said),
        others=settle_others(said),
        diffuse=settle_diffuse(said, inputs, lattice),
    )
    facts["extents"] = (norm(lattice.direct) * N).detach()
    return SettledCrystal(crystal, lattice, (*sample_notes, *notes), facts)


def _cell(said: CrystalConfig) -> Tensor | None:
    if said.cell_a is None or number(said.cell_a, 0.0) == 0.0:
        return None
    lengths = [said.cell_a]
    for length in (said.cell_b, said.cell_c):
        lengths.append(said.cell_a if length is None or number(length, 0.0) <= 0 else length)
    angles = [
        real(90.0 if number(angle, 0.0) <= 0 else angle) for angle in (said.cell_alpha, said.cell_beta, said.cell_gamma)
    ]
    return torch.cat([vector(lengths), radians_from_degrees(torch.stack(angles))])


def _matrix(said: CrystalConfig, inputs: Inputs, wavelength: Tensor) -> Tensor | None:
    if said.orientation_matrix is not None:
        matrix = real(said.orientation_matrix)
    elif inputs.matrix is not None:
        matrix = real(inputs.matrix)
    else:
        return None
    check_matrix(matrix, "matrix_file" if said.orientation_matrix is None else "orientation_matrix")
    return matrix.transpose(0, 1) / wavelength


def _misset(
    said: CrystalConfig, generator: LegacyRandom, exact: bool, notes: list[Note], facts: dict[str, Any]
) -> Tensor:
    if not said.misset_random:
        return radians_from_degrees(vector(said.misset_deg if said.misset_deg is not None else (0.0, 0.0, 0.0)))
    seed = said.misset_seed
    if seed is None:
        raise InputError("misset_seed", "a random misset needs a seed", "give one")
    angles = real(random_misset(generator, Stream.from_seed(seed), uniform=exact))
    degrees = degrees_from_radians(angles)
    facts["misset_deg"], facts["misset_seed"] = tuple(degrees.tolist()), seed
    if not exact:
        notes.append(
            Note(
                "defect",
                "random orientations are drawn by rotations of up to 90 radians instead of uniformly; "
                "use -physics exact to avoid it",
                True,
                "D25",
            )
        )
    return angles


def _cell_notes(cell: Tensor | None, reciprocal: Tensor | None, lattice: Lattice, exact: bool) -> list[Note]:
    notes = []
    parameters = cell_parameters(lattice.direct, lattice.reciprocal, lattice.volume).detach()
    if cell is not None and reciprocal is not None and torch.linalg.det(reciprocal.detach()) < 0:
        text = "the orientation matrix is left-handed: with a unit cell given too, a, b, c are reversed"
        notes.append(Note("cell", f"{text} (reflections become their Friedel mates)", True, "D55"))
    if cell is None:
        return notes
    asked, got = degrees_from_radians(cell.detach()[3:]), degrees_from_radians(parameters[3:])
    if bool(((asked - got).abs() > 0.001).any()):
        angles = "/".join(f"{float(x):g}" for x in got)
        wanted = "/".join(f"{float(x):g}" for x in asked)
        if reciprocal is not None:
            text = f"lengths and volume are taken from the cell, angles from the matrix: {angles}, not {wanted}"
            notes.append(Note("cell", text, True, "D56"))
        elif not exact:
            text = f"the cell has angles {angles} instead of {wanted}"
            advice = "use an orientation matrix or -physics exact to avoid it"
            notes.append(Note("defect", f"{text}; {advice}", True, "D26"))
    return notes


def _counts(said: CrystalConfig, beam: BeamConfig, lattice: Lattice) -> tuple[Tensor, list[Note]]:
    """Cell counts [3] from counts and sample sizes, and the clipping messages (specs: crystal 7)."""
    beamsize = metres_from_mm(number(beam.beamsize_mm, DEFAULT_BEAMSIZE_MM))
    sizes = [metres_from_mm(number(s, 0.0)) for s in (said.sample_x_mm, said.sample_y_mm, said.sample_z_mm)]
    notes = []
    for axis, word in ((1, "high"), (2, "wide")):
        if beamsize >= 0 and beamsize < sizes[axis]:
            text = f"WARNING: clipping sample ({sizes[axis]:g} m {word}) with beam ({beamsize:g} m)"
            notes.append(Note("clip", text, False, "D31"))
            sizes[axis] = beamsize
    lengths = norm(metres_from_angstrom(lattice.direct)).tolist()
    counts: list[Any] = []
    for given, size, length in zip((said.Na, said.Nb, said.Nc), sizes, lengths, strict=True):
        if size > 0:
            given = math.ceil(size / length)
        counts.append(1.0 if given is None or number(given, 1.0) < 1 else given)
    return vector(counts), notes


def _structure_factors(said: CrystalConfig, inputs: Inputs) -> StructureFactors:
    if said.structure_factors is not None:
        return said.structure_factors
    default_F = tensor(said.default_F, 0.0)
    if inputs.grid is not None:
        grid = inputs.grid
        return StructureFactors(real(grid.values), grid.origin, default_F, grid.count)
    if number(said.default_F, 0.0) == 0.0:
        raise InputError("hkl_file", "there are no structure factors", "give a reflection file or default_F")
    return StructureFactors.constant(default_F)


def _interpolate(said: CrystalConfig, table: StructureFactors) -> bool:
    if table.values is None:
        return False
    return wants_interpolation(said)


def wants_interpolation(said: CrystalConfig) -> bool:
    """Whether amplitudes are interpolated if there is a table (specs: structure_factors 4)."""
    if said.interpolate is not None:
        return said.interpolate
    return min(number(n, 1.0) for n in (said.Na, said.Nb, said.Nc)) <= 2
