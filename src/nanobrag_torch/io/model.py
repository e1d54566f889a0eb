"""Structure factors of an atomic model (PDB, mmCIF): sums over its atoms, element by element, on the whole cell.

With G_e(h) = Σ occupancy · exp(-h·B·h) · exp(2πi h·x) over the atoms of element e and their symmetry mates,

    F(h) = Σ_e (f0_e(s) + f'_e + i f''_e) G_e(h) + k_sol exp(-B_sol s²/4) M(h),     s = 1/d,

where M is the transform of the solvent region. G_e is what the wavelength does not change, so that F can follow f' and
f'' (and gradients with it). gemmi draws each element's density and transforms it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.hkl import LARGEST_GRID
from nanobrag_torch.io.pdb_lines import check_pdb_lines
from nanobrag_torch.io.reading import PathLike, read_bytes, understood, unpacked
from nanobrag_torch.io.reflections import Cell, Indices, Reflections, cell_and_group, grid_of
from nanobrag_torch.units import ENERGY_WAVELENGTH_EV_A

if TYPE_CHECKING:
    import gemmi

GRID_RATE = 2.0
"""Grid points per d_min/2; with `_CUTOFF` it keeps F within about 1e-6 of the direct sum (root mean square)."""
_CUTOFF = 1e-7
_MASK_SPACING = 0.5
MOST_COPIES = 1000
FARTHEST_A, MOST_OCCUPANCY, LARGEST_B = 99999.0, 100.0, 1e5
"""Position, occupancy and B beyond which an atom is no atom."""
_FAR = "its position {:g} {:g} {:g}, occupancy {:g} and B {:g} cannot all be meant; correct them"


class Solvent(NamedTuple):
    """A flat bulk solvent: `density` in electrons/Å³ and a temperature factor `B` in Å²."""

    density: float = 0.35
    B: float = 46.0


@dataclass(frozen=True)
class Model:
    """The atoms of a file, read and found usable.

    Args:
        path: the model's file.
        cell: a, b, c (Å), alpha, beta, gamma (degrees).
        space_group: Hermann-Mauguin name.
        structure: a `gemmi.Structure`.
        atoms: its atoms by element.
        ended: whether the file says where it ends; a PDB file without END may have been cut off.
    """

    path: str
    cell: Cell
    space_group: str
    structure: gemmi.Structure
    atoms: dict[str, list[gemmi.Atom]]
    ended: bool = True


@dataclass(frozen=True)
class ModelSums:
    """The sums over the atoms of a model, to a resolution.

    Args:
        path: the model's file.
        cell: a, b, c (Å), alpha, beta, gamma (degrees).
        space_group: Hermann-Mauguin name.
        elements: names of the E elements.
        indices: [n, 3] every reflection of the P1 cell to the resolution, 0 0 0 and Friedel mates included.
        sums: complex [E, n] G_e.
        form_factors: [E, n] f0_e (electrons).
        solvent: complex [n] contribution of the bulk solvent.
    """

    path: str
    cell: Cell
    space_group: str
    elements: tuple[str, ...]
    indices: Indices
    sums: NDArray[np.complex128]
    form_factors: NDArray[np.float64]
    solvent: NDArray[np.complex128]

    def amplitudes(self, f_prime: NDArray[np.float64], f_second: NDArray[np.float64]) -> NDArray[np.float64]:
        """abs(F) [n] with the anomalous scattering f' [E] and f'' [E] (electrons)."""
        factors = self.form_factors + (f_prime + 1j * f_second)[:, None]
        return np.asarray(np.abs(np.einsum("en,en->n", factors, self.sums) + self.solvent))


def read_model(
    path: PathLike,
    d_min: float,
    wavelength: float | None = None,
    *,
    solvent: Solvent | None = None,
    default_F: float = 0.0,
) -> Reflections:
    """The P1 grid of amplitudes of a model's crystal, with 0 0 0 and all mates.

    Args:
        path: a PDB or mmCIF file, which may be gzipped.
        d_min: resolution (Å).
        wavelength: of the anomalous scattering f' and f'' (Å); `None` = without.
        solvent: a flat bulk solvent; `None` = without.
        default_F: amplitude beyond the resolution.

    Raises:
        FileFormatError, InputError: as `model_sums`.
    """
    sums = model_sums(path, d_min, solvent=solvent)
    zero = np.zeros(len(sums.elements))
    f_prime, f_second = (zero, zero) if wavelength is None else anomalous_factors(sums.elements, wavelength)
    grid = grid_of(path, sums.indices, sums.amplitudes(f_prime, f_second), default_F)
    return Reflections(grid, sums.cell, sums.space_group, f"atomic model to {d_min:g} A")


def open_model(path: PathLike) -> Model:
    """The atoms of a PDB or mmCIF file, which may be gzipped; of several models the first counts.

    Raises:
        FileFormatError: not a model, truncated, no atoms, no unit cell, no space group, an unknown element.
    """
    with understood(path, "not a model that can be read"):
        return _opened(path)


def _opened(path: PathLike) -> Model:
    structure = _open(path)
    ended = structure.input_format != _pdb_format() or check_pdb_lines(path)
    cell, group = cell_and_group(path, structure.cell, structure.find_spacegroup())
    return Model(str(path), cell, group, structure, _atoms_by_element(path, structure), ended)


def model_sums(model: PathLike | Model, d_min: float, *, solvent: Solvent | None = None) -> ModelSums:
    """The sums over the atoms of a model and its symmetry mates, for every reflection of the P1 cell to `d_min` (Å).

    Isotropic and anisotropic temperature factors and occupancies count; of several models the first does.

    Raises:
        FileFormatError: as `open_model`.
        InputError: the resolution is not positive, or too fine for a grid.
    """
    model = model if isinstance(model, Model) else open_model(model)
    structure, atoms = model.structure, model.atoms
    indices = _indices_to(structure.cell, d_min)
    stol2 = _stol2(structure.cell, indices)
    sums, form_factors = [], []
    for element, members in atoms.items():
        f0 = _form_factor(element, stol2)
        sums.append(_density_transform(structure, members, d_min, indices, stol2) / f0)
        form_factors.append(f0)
    return ModelSums(
        model.path,
        model.cell,
        model.space_group,
        tuple(atoms),
        indices,
        np.array(sums),
        np.array(form_factors),
        _solvent_transform(structure, solvent, d_min, indices, stol2),
    )


def anomalous_factors(elements: tuple[str, ...], wavelength: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """f' [E] and f'' [E] (electrons) of elements at a wavelength (Å), by Cromer and Liberman; 0 for H to He.

    Raises:
        InputError: the wavelength is not positive.
    """
    import gemmi

    if not wavelength > 0:
        raise InputError("wavelength_A", f"{wavelength:g} is not positive")
    energy = ENERGY_WAVELENGTH_EV_A / wavelength
    pairs = [
        gemmi.cromer_liberman(z=z, energy=energy) if (z := gemmi.Element(name).atomic_number) > 2 else (0.0, 0.0)
        for name in elements
    ]
    f_prime, f_second = np.array(pairs, dtype=np.float64).T
    return f_prime, f_second


def _open(path: PathLike) -> gemmi.Structure:
    import gemmi

    unpacked(path, read_bytes(path))
    try:
        structure = gemmi.read_structure(str(path), format=gemmi.CoorFormat.Detect)
    except (RuntimeError, ValueError, OSError, IndexError, TypeError) as error:
        text = " ".join(str(error).split())
        raise FileFormatError(path, "", f"not a model in PDB or mmCIF format, or truncated ({text})") from error
    if not len(structure) or not structure[0].count_atom_sites():
        raise FileFormatError(path, "", "no atoms in the file")
    if len(structure.ncs) > MOST_COPIES:
        raise FileFormatError(path, "", f"{len(structure.ncs)} copies by non-crystallographic symmetry are too many")
    if len(structure.ncs):
        structure.expand_ncs(gemmi.HowToNameCopiedChain.Dup)
    structure.setup_cell_images()
    return structure


def _pdb_format() -> gemmi.CoorFormat:
    import gemmi

    return gemmi.CoorFormat.Pdb


def _atoms_by_element(path: PathLike, structure: gemmi.Structure) -> dict[str, list[gemmi.Atom]]:
    found: dict[str, list[gemmi.Atom]] = {}
    for place in structure[0].all():
        atom = place.atom
        name = atom.element.name
        if name == "X" or not _has_form_factor(atom.element):
            where = f"atom {atom.serial} ({atom.name} of {place.residue.name} {place.residue.seqid})"
            problem = "its element is unknown" if name == "X" else f"element {name} has no form factor"
            raise FileFormatError(path, where, f"{problem}; correct it")
        if not (np.isfinite(atom.pos.tolist()).all() and np.isfinite([atom.occ, atom.b_iso]).all()):
            raise FileFormatError(path, f"atom {atom.serial}", "position, occupancy or B is not a finite number")
        if (
            max(map(abs, atom.pos.tolist())) > FARTHEST_A
            or abs(atom.occ) > MOST_OCCUPANCY
            or abs(atom.b_iso) > LARGEST_B
        ):
            raise FileFormatError(path, f"atom {atom.serial}", _FAR.format(*atom.pos.tolist(), atom.occ, atom.b_iso))
        found.setdefault("H" if name == "D" else name, []).append(atom)
    return dict(sorted(found.items()))


def _has_form_factor(element: gemmi.Element) -> bool:
    return element.it92 is not None


def _indices_to(cell: gemmi.UnitCell, d_min: float) -> Indices:
    """Every h, k, l [n, 3] with d >= d_min, 0 0 0 included."""
    if not (d_min > 0 and np.isfinite(d_min)):
        raise InputError("model_dmin_A", f"a resolution of {d_min:g} A is not positive")
    limits = [int(length / d_min) for length in (cell.a, cell.b, cell.c)]
    if np.prod([2.0 * n + 1 for n in limits]) > LARGEST_GRID / 8:
        raise InputError("model_dmin_A", f"{d_min:g} A is too fine for this cell", "give a coarser resolution")
    axes = [np.arange(-n, n + 1) for n in limits]
    everything = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return everything[_stol2(cell, everything) <= 0.25 / d_min**2 * (1 + 1e-12)]


def _stol2(cell: gemmi.UnitCell, indices: Indices) -> NDArray[np.float64]:
    """(sin θ/λ)² = 1/(2d)² [n] in 1/Å²."""
    vectors = indices @ np.array(cell.frac.mat.tolist())
    return np.asarray(0.25 * np.einsum("ni,ni->n", vectors, vectors))


def _form_factor(element: str, stol2: NDArray[np.float64]) -> NDArray[np.float64]:
    """f0 [n] of the International Tables: Σ a exp(-b (sin θ/λ)²) + c."""
    import gemmi

    table = gemmi.Element(element).it92
    return np.asarray(sum(a * np.exp(-b * stol2) for a, b in zip(table.a, table.b, strict=True)) + table.c)


def _density_transform(
    structure: gemmi.Structure,
    atoms: list[gemmi.Atom],
    d_min: float,
    indices: Indices,
    stol2: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Structure factors [n] of some of the atoms, with f0, by drawing and transforming their density."""
    import gemmi

    drawing = gemmi.DensityCalculatorX()
    drawing.d_min, drawing.rate, drawing.cutoff = d_min, GRID_RATE, _CUTOFF
    drawing.grid.setup_from(structure)
    drawing.set_refmac_compatible_blur(structure[0])
    drawing.initialize_grid()
    for atom in atoms:
        neutral = atom.clone()
        neutral.charge = 0
        if neutral.element.name == "D":
            neutral.element = gemmi.Element("H")
        drawing.add_atom_density_to_grid(neutral)
    drawing.grid.symmetrize_sum()
    return np.asarray(_transform(drawing.grid, indices) * np.exp(drawing.blur * stol2))


def _solvent_transform(
    structure: gemmi.Structure, solvent: Solvent | None, d_min: float, indices: Indices, stol2: NDArray[np.float64]
) -> NDArray[np.complex128]:
    import gemmi

    if solvent is None:
        return np.zeros(len(indices), dtype=np.complex128)
    mask = gemmi.FloatGrid()
    mask.setup_from(structure, spacing=min(_MASK_SPACING, d_min / 3.0))
    gemmi.SolventMasker(gemmi.AtomicRadiiSet.Cctbx).put_mask_on_float_grid(mask, structure[0])
    return np.asarray(solvent.density * np.exp(-solvent.B * stol2) * _transform(mask, indices))


def _transform(grid: gemmi.FloatGrid, indices: Indices) -> NDArray[np.complex128]:
    """∫ ρ exp(2πi h·x) over the cell at h [n]; in single precision."""
    import gemmi

    values = np.asarray(gemmi.transform_map_to_f_phi(grid, half_l=False).array)
    h, k, l = (indices % np.array(values.shape)).T
    return np.asarray(values[h, k, l].astype(np.complex128))
