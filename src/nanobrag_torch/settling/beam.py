"""The beam: wavelength, sources, polarization, fluence (specs: sources, intensity 5 and 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.config import BeamConfig
from nanobrag_torch.errors import InputError
from nanobrag_torch.geometry.conventions import Convention
from nanobrag_torch.geometry.sources import SOURCE_DISTANCE, Divergence, kept_directions, source_position
from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.models import Beam
from nanobrag_torch.models.experiment import Note
from nanobrag_torch.numerics import normalise
from nanobrag_torch.settling.check_settled import check_weights
from nanobrag_torch.settling.steps import ONE, Steps, dispersion_steps, divergence_steps
from nanobrag_torch.settling.values import number, tensor
from nanobrag_torch.units import (
    DEFAULT_FLUENCE,
    fraction_from_percent,
    metres_from_angstrom,
    metres_from_mm,
    radians_from_mrad,
)

if TYPE_CHECKING:
    from nanobrag_torch.io.spectrum import Spectrum
    from nanobrag_torch.settling.inputs import Inputs

DEFAULT_WAVELENGTH_A = 1.0
DEFAULT_POLARIZATION_FACTOR = 0.0
DEFAULT_BEAMSIZE_MM = 0.1
DEFAULT_EXPOSURE_S = 1.0
ONE_RADIAN_MRAD = 1000.0


@dataclass(frozen=True)
class SettledBeam:
    """The beam and what was noticed on the way."""

    beam: Beam
    notes: tuple[Note, ...]
    facts: dict[str, Any]


@dataclass(frozen=True)
class _Sources:
    positions: Tensor
    ratios: Tensor
    weights: Tensor


def settled_wavelength(said: BeamConfig, inputs: Inputs) -> Tensor:
    """The central wavelength [] in Å: as given, or the mean of the photons of a spectrum."""
    return tensor(said.wavelength_A, DEFAULT_WAVELENGTH_A if inputs.spectrum is None else inputs.spectrum.mean)


def settle_beam(said: BeamConfig, inputs: Inputs, convention: Convention, exact: bool) -> SettledBeam:
    """Settle the beam; `convention` holds the vectors in force."""
    direction, axis = normalise(vector(convention.beam)), normalise(vector(convention.polarization_axis))
    wavelength = settled_wavelength(said, inputs)
    notes: list[Note] = []
    facts: dict[str, Any] = {"generated_sources": inputs.sources is None}
    if inputs.sources is None:
        sources = _generated(said, direction, axis, notes, facts)
        if inputs.spectrum is not None:
            sources = _with_spectrum(sources, inputs.spectrum, wavelength)
    else:
        sources = _listed(inputs.sources, direction, wavelength, facts)
    differ = bool((sources.weights != sources.weights[0]).any())
    weighted = inputs.sources is not None and (exact if said.use_source_weights is None else said.use_source_weights)
    weighted = weighted or inputs.spectrum is not None
    if differ and not weighted and not exact:
        lowest, highest = float(sources.weights.min()), float(sources.weights.max())
        text = f"the weights of the source file, {lowest:g} to {highest:g}, are not used: every source counts the same"
        notes.append(Note("defect", f"{text}; use -source_weights or -physics exact to avoid it", True, "D34"))
    if weighted:
        check_weights(sources.weights, "spectrum_file" if inputs.sources is None else "source_file")
    weights = sources.weights * (len(sources.weights) / sources.weights.sum()) if weighted else None
    beam = Beam(
        direction=direction,
        wavelength=wavelength,
        source_positions=sources.positions,
        wavelength_ratios=sources.ratios,
        weights=torch.ones_like(sources.weights) if weights is None else weights,
        polarization_axis=axis,
        polarization_factor=tensor(said.polarization_factor, DEFAULT_POLARIZATION_FACTOR),
        polarized=said.polarization is not False,
        fluence=_fluence(said),
    )
    facts["source_weights"] = sources.weights.detach()
    return SettledBeam(beam, tuple(notes), facts)


def _fluence(said: BeamConfig) -> Tensor:
    exposure, beamsize = (
        number(said.exposure_s, DEFAULT_EXPOSURE_S),
        number(said.beamsize_mm, DEFAULT_BEAMSIZE_MM),
    )
    if number(said.flux, 0.0) != 0.0 and exposure > 0.0 and beamsize >= 0.0:
        size = tensor(said.beamsize_mm, DEFAULT_BEAMSIZE_MM, metres_from_mm)
        return real(said.flux) * tensor(said.exposure_s, DEFAULT_EXPOSURE_S) / size / size
    return tensor(said.fluence, DEFAULT_FLUENCE)


def _generated(said: BeamConfig, direction: Tensor, axis: Tensor, notes: list[Note], facts: dict[str, Any]) -> _Sources:
    horizontal = _divergence(said.hdiv_steps, said.hdiv_range_mrad, said.hdiv_step_mrad, "hdiv", notes)
    vertical = _divergence(said.vdiv_steps, said.vdiv_range_mrad, said.vdiv_step_mrad, "vdiv", notes)
    dispersion = dispersion_steps(said.dispersion_steps, fraction_from_percent(number(said.dispersion_percent, 0.0)))
    kept = kept_directions(
        Divergence(*_in_order(horizontal)),
        Divergence(*_in_order(vertical)),
        said.round_divergence is not False,
    )
    if not kept:
        problem = "the elliptical trimming leaves no direction of the divergence"
        raise InputError("hdiv_steps", problem, "give ranges as well as counts, or -square_div")
    positions = [source_position(direction, axis, h, v) for h, v in kept]
    ratios = _spectrum(said, dispersion)
    facts |= {"divergence": tuple(kept), "hdiv": horizontal, "vdiv": vertical, "dispersion": dispersion}
    count = len(kept) * len(ratios)
    return _Sources(
        torch.stack(positions).repeat_interleave(len(ratios), dim=0),
        ratios.repeat(len(kept)),
        torch.full((count,), 1.0 / count, dtype=torch.float64),
    )


def _spectrum(said: BeamConfig, steps: Steps) -> Tensor:
    """Wavelengths [n] over the central one, in the graph of the dispersion (specs: sources 2)."""
    width, step = real(steps.range), real(steps.step)
    dispersion = tensor(said.dispersion_percent, 0.0, fraction_from_percent)
    if steps.count > 1 and number(dispersion, 0.0) == steps.range:
        width, step = dispersion, dispersion / (steps.count - 1)
    return torch.stack([1.0 + step * k - width / 2.0 for k in range(steps.count)])


def _with_spectrum(directions: _Sources, spectrum: Spectrum, wavelength: Tensor) -> _Sources:
    """Every wavelength of a spectrum from every one of [Q] directions, wavelengths innermost (specs: sources 9)."""
    n, q = len(spectrum.wavelengths), len(directions.positions)
    return _Sources(
        directions.positions.repeat_interleave(n, dim=0),
        (real(spectrum.wavelengths) / wavelength).repeat(q),
        real(spectrum.weights / q).repeat(q),
    )


def _in_order(steps: Steps) -> tuple[int, float, float]:
    return steps.count, steps.range, steps.step


def _divergence(count: int | None, range_: float | None, step: float | None, name: str, notes: list[Note]) -> Steps:
    in_radians = [None if x is None else radians_from_mrad(float(x)) for x in (range_, step)]
    steps = divergence_steps(count, *in_radians)
    if steps.range == 1.0 and (range_ is None or range_ < 0) and not (step is not None and step > 0):
        text = f"-{name}steps without a range means a range of {ONE_RADIAN_MRAD:g} mrad; give -{name}range too"
        notes.append(Note("divergence", text, True, "D43"))
    return steps


def _listed(rows: np.ndarray, direction: Tensor, wavelength: Tensor, facts: dict[str, Any]) -> _Sources:
    """Sources of a file [Q, 5]: x y z (m), weight, wavelength (m); NaN = missing (specs: sources 7)."""
    table = real(rows)
    missing = torch.isnan(table)
    default = (-SOURCE_DISTANCE * direction).expand(len(table), 3)
    positions = torch.where(missing[:, :3], default, table[:, :3])
    weights = torch.where(missing[:, 3], torch.ones_like(table[:, 3]), table[:, 3])
    in_angstrom = torch.where(missing[:, 4], 1.0, table[:, 4] / metres_from_angstrom(1.0))
    ratios = torch.where(missing[:, 4], 1.0, in_angstrom / wavelength)
    facts |= {"divergence": (), "hdiv": ONE, "vdiv": ONE, "dispersion": ONE}
    return _Sources(positions, ratios, weights)
