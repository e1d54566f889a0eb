"""Refusing crystals, materials and bodies that cannot be; free of torch (specs: deviations, D)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from nanobrag_torch.config import Amorphous, BackgroundConfig, CrystalConfig, Incoherent, PathConfig
from nanobrag_torch.errors import InputError
from nanobrag_torch.materials.composition import composition

LAWS = ("cap", "gauss", "lorentz")
BODIES = ("box", "ellipsoid")
BEAM_FORMS = ("gauss", "flat")
LARGEST_SPREAD_DEG = 180.0
MOST_BLOCKS = 64
LARGEST_SIGMA_A, SMALLEST_GAMMA_A, LARGEST_GAMMA_A = 10.0, 0.1, 1e6
MOST_POINTS = 10**6
_LAW_TERM = re.compile(r"([+-]?)(\d+/[1-9]\d*|\d*\.?\d+)?\*?([hkl])")


def check_crystal_form(said: CrystalConfig) -> None:
    """Refuse a spread, a size or shares that no crystal has.

    Raises:
        InputError: naming the field and the range that works.
    """
    _check_spread(said)
    if said.N_off is not None:
        _check_matrix_of_size(said)
    if said.block_spread is not None and not 0 <= _number(said.block_spread) <= 1:
        raise InputError("block_spread", f"{_number(said.block_spread):g} is not a width of ln N", "give 0 to 1")
    if said.block_sizes is not None:
        if said.block_spread is None:
            raise InputError("block_sizes", "the blocks have no spread of sizes", "give -block_spread")
        if not 1 <= said.block_sizes <= MOST_BLOCKS:
            raise InputError("block_sizes", f"{said.block_sizes} sizes", f"give 1 to {MOST_BLOCKS}")
    if said.lattices is not None:
        _check_lattices(said)
    _check_diffuse(said)


def _check_spread(said: CrystalConfig) -> None:
    law = said.mosaic_law
    if law is not None and law not in LAWS:
        raise InputError("mosaic_law", f"{law!r} is not known", f"use one of {', '.join(LAWS)}")
    spreads = [] if said.mosaic_abc_deg is None else [_number(x) for x in said.mosaic_abc_deg]
    if spreads and law == "cap":
        raise InputError("mosaic_abc_deg", "the law `cap` has one spread", "use -mosaic_law gauss or lorentz")
    if spreads and said.mosaic_spread_deg is not None:
        raise InputError("mosaic_abc_deg", "there is one spread for all axes already", "leave -mosaic out")
    for spread in spreads:
        if not 0 <= spread <= LARGEST_SPREAD_DEG:
            raise InputError("mosaic_abc_deg", f"{spread:g} degrees are no spread", f"give 0 to {LARGEST_SPREAD_DEG:g}")
    if law in ("gauss", "lorentz") and not spreads:
        if said.mosaic_spread_deg is None:
            raise InputError("mosaic_law", "there is no spread for this law", "give -mosaic or -mosaic_abc")
        if not 0 <= _number(said.mosaic_spread_deg) <= LARGEST_SPREAD_DEG:
            problem = f"{_number(said.mosaic_spread_deg):g} degrees are no spread"
            raise InputError("mosaic_spread_deg", problem, f"give 0 to {LARGEST_SPREAD_DEG:g}")
    listed = said.orientation_file is not None or said.orientations is not None
    if listed and (spreads or said.mosaic_spread_deg is not None):
        field = "orientation_file" if said.orientation_file is not None else "orientations"
        raise InputError(field, "the domains have a mosaic spread already", "leave one of the two out")


def _check_diffuse(said: CrystalConfig) -> None:
    sigma, gamma, group = said.diffuse_sigma_A, said.diffuse_gamma_A, said.diffuse_group
    for own, other, name, flag in (
        (sigma, gamma, "diffuse_sigma_A", "-diffuse_gamma"),
        (gamma, sigma, "diffuse_gamma_A", "-diffuse_sigma"),
        (group, sigma, "diffuse_group", "-diffuse_sigma"),
    ):
        if own is not None and other is None:
            raise InputError(name, "displacements need an amplitude and a correlation length", f"give {flag} too")
    for value in sigma or ():
        if not 0 <= _number(value) <= LARGEST_SIGMA_A:
            raise InputError("diffuse_sigma_A", f"{_number(value):g} A", f"give 0 to {LARGEST_SIGMA_A:g} A")
    for value in gamma or ():
        if not SMALLEST_GAMMA_A <= _number(value) <= LARGEST_GAMMA_A:
            advice = f"give {SMALLEST_GAMMA_A:g} to {LARGEST_GAMMA_A:g} A"
            raise InputError("diffuse_gamma_A", f"{_number(value):g} A", advice)
    if group is not None:
        laue_operations(group)


def laue_operations(name: str) -> np.ndarray:
    """The rotations W [K, 3, 3], h' = h W, of the point group of a space group or point group.

    Raises:
        InputError: there is no such group.
    """
    import gemmi

    found = gemmi.find_spacegroup_by_name(name) or gemmi.find_spacegroup_by_name(f"P{name}")
    if found is None:
        raise InputError("diffuse_group", f"{name!r} is no space group", "write it like P43212, or P422")
    turns = {tuple(map(tuple, operation.rot)) for operation in found.operations().sym_ops}
    matrices = np.array(sorted(turns), dtype=np.float64) / gemmi.Op.DEN
    signs = np.sign(np.linalg.det(matrices))[:, None, None]
    return np.unique(matrices * signs, axis=0)


def _check_matrix_of_size(said: CrystalConfig) -> None:
    if said.shape != "gauss":
        raise InputError("N_off", f"the shape {said.shape or 'square'} has no matrix of sizes", "use -gauss_xtal")
    ab, ac, bc = (_number(x) for x in said.N_off or ())
    a, b, c = (max(_number(n), 1.0) for n in (said.Na, said.Nb, said.Nc))
    smallest = float(np.linalg.eigvalsh([[a, ab, ac], [ab, b, bc], [ac, bc, c]]).min())
    if smallest <= 0:
        problem = f"with {ab:g} {ac:g} {bc:g} beside {a:g} {b:g} {c:g} the crystal has no size along some direction"
        raise InputError("N_off", problem, "give smaller ones: the matrix must be positive definite")


def _check_lattices(said: CrystalConfig) -> None:
    lattices = said.lattices or ()
    shares = [_number(lattice.share) for lattice in lattices]
    for share in shares:
        if not 0 <= share <= 1:
            raise InputError("lattices", f"a share of {share:g}", "give 0 to 1")
    if sum(shares) > 1 + 1e-12:
        raise InputError("lattices", f"the shares add up to {sum(shares):g}", "give at most 1 in all")
    for lattice in lattices:
        _check_numbers("lattices", lattice.misset_deg)
        if lattice.law is not None:
            twin_law(lattice.law)


def twin_law(text: str) -> np.ndarray:
    """The matrix [3, 3] of a law such as `k,h,-l` or `1/2h-3/2k,...`: h' = T h.

    Raises:
        InputError: it is no law, or not one of rotations.
    """
    rows = [_law_row(text, part) for part in text.replace(" ", "").split(",")]
    if len(rows) != 3:
        raise InputError("lattices", f"{text!r} is no twin law", "write it like k,h,-l")
    matrix = np.array(rows)
    if abs(np.linalg.det(matrix) - 1.0) > 1e-9:
        problem = f"{text!r} has the determinant {np.linalg.det(matrix):g}"
        raise InputError("lattices", problem, "a twin law of rotations has 1, as k,h,-l does")
    return matrix


def _law_row(text: str, part: str) -> list[float]:
    row = dict.fromkeys("hkl", 0.0)
    end = 0
    for match in _LAW_TERM.finditer(part):
        sign, number, index = match.groups()
        end = match.end() if match.start() == end and (sign or not end) else -1
        row[index] += (-1.0 if sign == "-" else 1.0) * (1.0 if number is None else float(Fraction(number)))
    if end != len(part) or not part:
        raise InputError("lattices", f"{text!r} is no twin law", "write it like k,h,-l")
    return [row[index] for index in "hkl"]


def check_background(said: BackgroundConfig) -> None:
    """Refuse materials that cannot be.

    Raises:
        InputError: naming the field and the range that works.
    """
    for slab in said.materials or ():
        _check_slab("materials", slab, (slab.thickness_mm, slab.density))
        if _number(slab.molar_mass) <= 0:
            raise InputError("materials", f"a molar mass of {_number(slab.molar_mass):g}", "give g/mol above 0")
        if not isinstance(slab.table, str):
            _check_table("materials", slab.table)
    for powder in said.compton or ():
        _check_slab("compton", powder, (powder.thickness_mm, powder.density))
        try:
            composition(powder.formula)
        except ValueError as error:
            raise InputError("compton", str(error), "write it like H2O") from error
    for name in ("ice_um", "air_mm", "measured_scale"):
        value = getattr(said, name)
        if value is not None and _number(value) < 0:
            raise InputError(name, f"{_number(value):g} is negative", "give 0 or more")
    _check_ice_width(said)
    if said.measured_scale is not None and said.measured_file is None and said.measured_image is None:
        raise InputError("measured_scale", "there is no measured background", "give -background_image")
    if said.curve is not None:
        _check_table("curve", said.curve)


def _check_ice_width(said: BackgroundConfig) -> None:
    if said.ice_width_invA is not None:
        if said.ice_um is None:
            raise InputError("ice_width_invA", "there is no ice", "give -ice")
        if not 1e-5 <= _number(said.ice_width_invA) <= 0.1:
            raise InputError(
                "ice_width_invA", f"{_number(said.ice_width_invA):g} is no width", "give 1e-5 to 0.1 (1/A)"
            )


def _check_slab(field: str, slab: Amorphous | Incoherent, values: Sequence[Any]) -> None:
    for value, unit in zip(values, ("mm", "g/cm3"), strict=True):
        if not (_number(value) >= 0 and np.isfinite(_number(value))):
            raise InputError(field, f"{_number(value):g} {unit} is negative or not finite", "give 0 or more")


def _check_table(field: str, table: Any) -> None:
    values = np.asarray(table, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 2 or len(values) < 2:
        raise InputError(field, f"a table of shape {list(values.shape)}", "give [K, 2] with at least two rows")
    if not np.isfinite(values).all() or (values < 0).any() or (np.diff(values[:, 0]) <= 0).any():
        raise InputError(field, "the table is not finite, positive and rising in its first column", "correct it")


def check_path(said: PathConfig) -> None:
    """Refuse bodies and beams that cannot be.

    Raises:
        InputError: naming the field and the range that works.
    """
    for name in ("sample_mu_invmm", "air_mu_invm"):
        value = getattr(said, name)
        if value is not None and _number(value) < 0:
            raise InputError(name, f"{_number(value):g} is negative", "give 0 or more")
    _check_material(said)
    _check_body(said)
    if said.sample_form_mm is not None:
        _check_above("sample_form_mm", said.sample_form_mm)
    if said.beam_form is not None and said.beam_form not in BEAM_FORMS:
        raise InputError("beam_form", f"{said.beam_form!r} is not known", f"use one of {', '.join(BEAM_FORMS)}")
    if said.beam_form_mm is not None:
        _check_above("beam_form_mm", said.beam_form_mm)
        if said.beam_form is None:
            raise InputError("beam_form_mm", "the beam has no form", "give -beam_form")
    if said.path_points is not None and not 1 <= said.path_points <= MOST_POINTS:
        raise InputError("path_points", f"{said.path_points} points", f"give 1 to {MOST_POINTS}")


def _check_material(said: PathConfig) -> None:
    """A formula with a density, and no coefficient beside them."""
    if said.sample_formula is None:
        if said.sample_density is not None:
            raise InputError("sample_density", "the sample has no formula", "give one")
        return
    if said.sample_mu_invmm is not None:
        raise InputError("sample_formula", "the sample has a coefficient already", "leave one of the two out")
    if not _number(said.sample_density) > 0:
        raise InputError("sample_formula", "the material has no density above 0", "give it in g/cm3")
    try:
        composition(said.sample_formula)
    except ValueError as error:
        raise InputError("sample_formula", str(error), "write it like H2O") from error


def _check_body(said: PathConfig) -> None:
    """A form, and what it is needed for."""
    form = said.sample_form
    absorbs = said.sample_mu_invmm is not None or said.sample_formula is not None
    wants_body = absorbs or said.beam_form is not None
    if form is None and said.sample_form_mm is not None:
        raise InputError("sample_form_mm", "the sample has no form", "give -absorb_form")
    if form is None and wants_body:
        names = ("sample_mu_invmm", "sample_formula", "beam_form")
        field = next(name for name in names if getattr(said, name) is not None)
        raise InputError(field, "the sample has no form", "give -absorb_form")
    if form is not None and not wants_body:
        raise InputError(
            "sample_form", "nothing depends on the form", "give -absorb_sample, -absorb_material or -beam_form too"
        )
    if form in BODIES and said.sample_form_mm is None:
        raise InputError("sample_form_mm", f"the {form} has no size", "give three full lengths in mm")
    if form is not None and form not in BODIES:
        if said.sample_form_mm is not None:
            raise InputError("sample_form_mm", f"{form} has its own size", "leave the lengths out")
        if not os.path.exists(form):
            raise InputError("sample_form", f"{form!r} is no file", "give box, ellipsoid or an OBJ file")


def _check_above(field: str, values: Sequence[Any]) -> None:
    for value in values:
        if not _number(value) > 0:
            raise InputError(field, f"{_number(value):g} is not positive", "give lengths above 0")


def _check_numbers(field: str, values: Sequence[Any]) -> None:
    if len(values) != 3 or not np.isfinite([_number(x) for x in values]).all():
        raise InputError(field, f"{values!r} is not three finite angles", "give three")


def _number(value: Any) -> float:
    """A plain float of a number or 0-d tensor; 0 when nothing was said."""
    if value is None:
        return 0.0
    return float(value.detach() if hasattr(value, "detach") else value)
