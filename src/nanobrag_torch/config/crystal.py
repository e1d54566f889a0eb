"""The crystal as specified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nanobrag_torch.config.values import Real, Vector

if TYPE_CHECKING:
    from nanobrag_torch.kernels.structure_factors import StructureFactors


SHAPES = {"square": "parallelpiped", "round": "ellipsoidal", "gauss": "gaussian", "tophat": "tophat-spot"}
"""Crystal shapes, and what the C program's report calls them; their laws are in `kernels.shapes`."""


@dataclass(frozen=True)
class OtherLattice:
    """A further lattice with its `share` of the crystal: a twin `law` (`k,h,-l`), then a turn about lab x, y, z."""

    share: Real
    misset_deg: Vector = (0.0, 0.0, 0.0)
    law: str | None = None


@dataclass(frozen=True)
class CrystalConfig:
    """Unit cell, orientation, size, shape, mosaicity and structure factors (specs: crystal, structure_factors).

    Lengths of the cell are in Å, its angles in degrees; `default_F` is in electrons, `Na`, `Nb`, `Nc` count cells.
    `orientation_matrix` holds what a MOSFLM matrix file holds: rows x, y, z, columns a*, b*, c*, times wavelength.
    `structure_factors` is a table made in Python; it takes the place of `hkl_file`, `model_file` and `dump_file`.
    `hkl_file` may be a text table, an MTZ or a reflection mmCIF file; `model_file` is a PDB or mmCIF file, with the
    density (electrons/Å³) and B (Å²) of its flat bulk solvent in `model_solvent`. The cell of such a file is used
    when neither a cell nor a matrix is given.
    `mosaic_law` is `cap` (the C program's), `gauss` or `lorentz`; with the latter two a spread is the standard
    deviation, or half width at half maximum, of the rotation about each axis, and `mosaic_abc_deg` gives three of them,
    about a, about c* × a and about c*. `orientations` [M, 3] (rotation vectors in degrees), [M, 4] (with weights),
    [M, 3, 3] or [M, 10] (a matrix, row by row, and its weight) take the place of a mosaic spread.
    `N_off` holds N_ab, N_ac, N_bc of a symmetric matrix N. `block_spread` is the standard deviation of ln N over the
    blocks of a crystal. `model_energies` computes the amplitudes of a model at the wavelength of every source.
    `diffuse_sigma_A` and `diffuse_gamma_A` are amplitude and correlation length of displacements of whole cells, along
    a, c* × a and c*; `diffuse_group` the space or point group over which they are averaged (default: the file's).
    `amorphous_file` is checked to be readable and has no effect (specs: io_formats 8).
    """

    cell_a: Real | None = None
    cell_b: Real | None = None
    cell_c: Real | None = None
    cell_alpha: Real | None = None
    cell_beta: Real | None = None
    cell_gamma: Real | None = None
    matrix_file: str | None = None
    orientation_matrix: object | None = None
    misset_deg: Vector | None = None
    misset_random: bool = False
    misset_seed: int | None = None
    Na: Real | None = None
    Nb: Real | None = None
    Nc: Real | None = None
    sample_x_mm: Real | None = None
    sample_y_mm: Real | None = None
    sample_z_mm: Real | None = None
    shape: str | None = None
    fudge: Real | None = None
    mosaic_spread_deg: Real | None = None
    mosaic_domains: int | None = None
    mosaic_seed: int | None = None
    mosaic_law: str | None = None
    mosaic_abc_deg: Vector | None = None
    orientation_file: str | None = None
    orientations: object | None = None
    N_off: Vector | None = None
    block_spread: Real | None = None
    block_sizes: int | None = None
    diffuse_sigma_A: Vector | None = None
    diffuse_gamma_A: Vector | None = None
    diffuse_group: str | None = None
    lattices: tuple[OtherLattice, ...] | None = None
    water_um: Real | None = None
    hkl_file: str | None = None
    dump_file: str | None = None
    use_dump: bool = False
    mtz_column: str | None = None
    model_file: str | None = None
    model_dmin_A: float | None = None
    model_solvent: tuple[float, float] | None = None
    model_energies: bool = False
    structure_factors: StructureFactors | None = None
    default_F: Real | None = None
    amorphous_file: str | None = None
    interpolate: bool | None = None
