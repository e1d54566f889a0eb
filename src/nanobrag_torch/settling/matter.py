"""Background and path: materials, bodies and beams from what was said."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.config import BackgroundConfig, BeamConfig, PathConfig
from nanobrag_torch.config.values import Real
from nanobrag_torch.errors import InputError
from nanobrag_torch.geometry.bodies import Body, Box, Ellipsoid, Mesh
from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.io.stol import TWOTHETA, Q
from nanobrag_torch.materials.amorphous import Table
from nanobrag_torch.materials.composition import composition
from nanobrag_torch.materials.compton import Compton
from nanobrag_torch.materials.ready import AIR_DENSITY, AIR_FORMULA, LARGEST_STOL, air_table, ice_rings
from nanobrag_torch.materials.rings import Rings
from nanobrag_torch.models import Background, Beam, BeamForm, Curve, Detector, Measured, Path, Sample
from nanobrag_torch.settling.values import number, tensor
from nanobrag_torch.text import format_g
from nanobrag_torch.units import (
    ANGSTROM_PER_METRE,
    metres_from_mm,
    metres_from_um,
    per_cubic_metre,
    per_metre_from_per_mm,
    radians_from_degrees,
)

if TYPE_CHECKING:
    from nanobrag_torch.settling.inputs import Inputs

DEFAULT_BEAMSIZE_MM = 0.1
DEFAULT_ICE_WIDTH = 0.005
DEFAULT_POINTS = 216


def settle_background(
    said: BackgroundConfig, beam_said: BeamConfig, inputs: Inputs, detector: Detector, beam: Beam, finest: float
) -> Background:
    """The materials in the beam, the measured image and the curve; `finest` is the smallest d (Å) of any pixel.

    Raises:
        InputError: a table that ends before the detector does, a beam without a cross-section, an image of another
            size.
    """
    reach = 0.5 / finest  # sin θ/λ of the corners
    elastic: list[Table | Rings] = []
    for slab, rows in zip(said.materials or (), inputs.materials or (), strict=True):
        name = slab.table if isinstance(slab.table, str) else "the table"
        _check_reach("materials", name, float(rows[-1, 0]), reach)
        column = tensor(slab.thickness_mm, 0.0, metres_from_mm)
        column = column * per_cubic_metre(real(slab.density), real(slab.molar_mass))
        elastic.append(Table(real(rows[:, 0].copy()), real(rows[:, 1].copy()), column))
    if number(said.air_mm, 0.0) != 0 or isinstance(said.air_mm, Tensor):
        rows, air = air_table(), composition(AIR_FORMULA)
        _check_reach("air_mm", "the table of air", LARGEST_STOL, reach)
        column = tensor(said.air_mm, 0.0, metres_from_mm) * per_cubic_metre(AIR_DENSITY, air.mass)
        elastic.append(Table(real(rows[:, 0].copy()), real(rows[:, 1].copy()), column))
    if number(said.ice_um, 0.0) != 0 or isinstance(said.ice_um, Tensor):
        elastic.append(_ice(said, min(reach + 0.05, LARGEST_STOL)))
    background = Background(
        elastic=tuple(elastic),
        compton=tuple(_compton(powder.formula, powder.thickness_mm, powder.density) for powder in said.compton or ()),
        measured=_measured(said, inputs, detector),
        curve=_curve(said, inputs, beam, reach),
    )
    if not background.scatters:
        return background
    size = tensor(beam_said.beamsize_mm, DEFAULT_BEAMSIZE_MM, metres_from_mm)
    if not number(size, 0.0) > 0:
        problem = f"a beam of {number(beam_said.beamsize_mm, 0.0):g} mm has no cross-section to light a material with"
        raise InputError("beamsize_mm", problem, "give a size above 0")
    return background.replace(area=size * size)


def _check_reach(field: str, name: str, last: float, reach: float) -> None:
    if last < reach * (1.0 - 1e-9):
        problem = f"{name} ends at sin(theta)/lambda {format_g(last)}, the detector sees to {format_g(reach)} 1/A"
        raise InputError(field, problem, f"give a table to {format_g(reach)} 1/A, or a smaller detector")


def _ice(said: BackgroundConfig, reach: float) -> Rings:
    radii, strengths, volume = ice_rings(reach)
    per_metre_cubed = ANGSTROM_PER_METRE**3 / volume
    column = tensor(said.ice_um, 0.0, metres_from_um) * per_metre_cubed
    return Rings(real(radii), real(strengths), tensor(said.ice_width_invA, DEFAULT_ICE_WIDTH), column)


def _compton(formula: str, thickness_mm: Real, density: Real) -> Compton:
    atoms = composition(formula)
    a, b, c = map(real, atoms.form_factor_terms())
    per_volume: Tensor = per_cubic_metre(real(density), real(atoms.mass))
    column = tensor(thickness_mm, 0.0, metres_from_mm) * per_volume
    return Compton(a, b, c, real(atoms.atoms), real(atoms.numbers()), column)


def _measured(said: BackgroundConfig, inputs: Inputs, detector: Detector) -> Measured | None:
    given = said.measured_image if said.measured_image is not None else inputs.measured
    if given is None:
        return None
    field = "measured_image" if said.measured_image is not None else "measured_file"
    images = list(given) if isinstance(given, tuple) else [given]
    sizes = [(panel.pixels_s, panel.pixels_f) for panel in detector.panels]
    if len(images) == len(sizes) == 1 and np.ndim(images[0]) == 1 and np.size(images[0]) == sizes[0][0] * sizes[0][1]:
        images = [np.reshape(images[0], sizes[0])]
    if [tuple(np.shape(image)) for image in images] != sizes:
        found = ", ".join(" x ".join(map(str, np.shape(image)[::-1])) for image in images)
        wanted = ", ".join(f"{f} x {s}" for s, f in sizes)
        raise InputError(field, f"the background has {found} pixels, the detector {wanted}", "make them equal")
    return Measured(tuple(real(image) for image in images), tensor(said.measured_scale, 1.0))


def _curve(said: BackgroundConfig, inputs: Inputs, beam: Beam, reach: float) -> Curve | None:
    if said.curve is not None:
        rows, kind = np.asarray(said.curve, dtype=np.float64), "stol"
    elif inputs.curve is not None:
        rows, kind = inputs.curve
    else:
        return None
    stol = real(rows[:, 0].copy())
    if kind == Q:
        stol = stol / (4.0 * math.pi)
    elif kind == TWOTHETA:
        stol = torch.sin(0.5 * radians_from_degrees(stol)) / beam.wavelength.detach()
    _check_reach("curve_file" if said.curve is None else "curve", "the curve", float(stol[-1]), reach)
    return Curve(stol, real(rows[:, 1].copy()))


def settle_path(said: PathConfig, inputs: Inputs, beam: Beam) -> Path:
    """The body that absorbs, the beam that lights it, and the air."""
    return Path(sample=_sample(said, inputs, beam), air=_air(said, beam))


def _sample(said: PathConfig, inputs: Inputs, beam: Beam) -> Sample | None:
    if said.sample_form is None:
        return None
    attenuation = tensor(said.sample_mu_invmm, 0.0, per_metre_from_per_mm)
    if said.sample_formula is not None:
        per_density = composition(said.sample_formula).attenuation(1.0, float(beam.wavelength.detach()))
        attenuation = tensor(said.sample_density, 0.0) * per_density
    points = DEFAULT_POINTS if said.path_points is None else said.path_points
    body: Body
    if inputs.surface is not None:
        body = Mesh(real(metres_from_mm(inputs.surface)))
    else:
        lengths = metres_from_mm(vector(said.sample_form_mm or (1.0, 1.0, 1.0)))
        body = Box(lengths) if said.sample_form == "box" else Ellipsoid(lengths)
    places, shares = body.volume_points(points, even=said.beam_form == "flat")
    if not len(places):
        raise InputError("path_points", f"none of {points} points lies in the mesh", "give more")
    form = None
    if said.beam_form is not None:
        widths = said.beam_form_mm or (DEFAULT_BEAMSIZE_MM, DEFAULT_BEAMSIZE_MM)
        form = BeamForm(said.beam_form, metres_from_mm(vector(widths)))
    return Sample(body, attenuation, places, shares, form)


def _air(said: PathConfig, beam: Beam) -> Tensor | None:
    if said.air_mu_invm is not None:
        return tensor(said.air_mu_invm, 0.0)
    if not said.air_absorption:
        return None
    return real(composition(AIR_FORMULA).attenuation(AIR_DENSITY, float(beam.wavelength.detach())))
