"""Judging a settled scene: cell, vectors, beam, detector and counts are finite and can be.

What the words alone do not show is found here: matrices whose cell has no volume, wavelengths that a dispersion makes
negative, weights that add up to nothing, a detector at an infinite distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError, NanobragError
from nanobrag_torch.geometry.cell import Lattice
from nanobrag_torch.models import Beam, Crystal, Detector, Experiment, Panel

LARGEST_COUNT = 2**31 - 1
SMALLEST_VOLUME_A3, LARGEST_VOLUME_A3 = 1e-9, 1e24
LONGEST_AXIS_A, SHORTEST_AXIS_A = 1e8, 1e-4
SMALLEST_SINE = 1e-14
"""Volume of three vectors over the product of their lengths below which nothing but rounding is left."""


@contextmanager
def arithmetic_refused() -> Iterator[None]:
    """Turn what breaks the arithmetic of settling into a refusal.

    Raises:
        InputError: something overflowed, was divided by zero or had no inverse.
    """
    try:
        yield
    except NanobragError:
        raise
    except (ArithmeticError, ValueError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
        text = " ".join(str(error).split())
        raise InputError("scene", f"its numbers cannot be worked out ({text})", _ADVICE) from error


_ADVICE = "look for a value that is far too large or too small, or for vectors that are parallel"


def check_lattice(lattice: Lattice, field: str) -> None:
    """Refuse a lattice that is no crystal's.

    Raises:
        InputError: naming `field`, what the cell comes from.
    """
    vectors = torch.cat([lattice.direct.reshape(-1), lattice.reciprocal.reshape(-1)]).detach()
    volume = float(abs(lattice.volume.detach()))
    lengths = [math.hypot(*row) for row in lattice.direct.detach().tolist()]
    if not bool(torch.isfinite(vectors).all()) or not math.isfinite(volume):
        raise InputError(field, "the unit cell is not finite; the matrix or the cell is singular", _ADVICE)
    if not SMALLEST_VOLUME_A3 <= volume <= LARGEST_VOLUME_A3:
        raise InputError(field, f"a unit cell of {volume:g} cubic Angstrom cannot be meant", _ADVICE)
    if min(lengths) < SHORTEST_AXIS_A or max(lengths) > LONGEST_AXIS_A:
        text = " ".join(f"{length:g}" for length in lengths)
        raise InputError(field, f"cell edges of {text} Angstrom cannot be meant", _ADVICE)


def check_matrix(matrix: Tensor, field: str) -> None:
    """Refuse an orientation matrix [3, 3] without an inverse, also where a cell gives the lengths (deviations, D19).

    Raises:
        InputError: naming `field`.
    """
    values = matrix.detach()
    scale = float(torch.linalg.vector_norm(values, dim=0).prod())
    if not abs(float(torch.linalg.det(values))) > SMALLEST_SINE * scale:
        raise InputError(field, "the orientation matrix is singular", _ADVICE)


def check_settled(experiment: Experiment) -> None:
    """Refuse a scene that no image can come from; plain numbers and tensors in a graph alike.

    Raises:
        InputError: with the configuration field.
    """
    with torch.no_grad():
        _check_beam(experiment.beam)
        _check_crystal(experiment.crystal)
        _check_detector(experiment.detector)
        scan = experiment.scan
        _finite("spindle_axis", "the spindle axis", scan.axis)
        _finite("osc_deg", "the rotation", torch.stack([scan.start, scan.step, scan.range]))
    if experiment.sampling.oversample > LARGEST_COUNT:
        problem = f"{experiment.sampling.oversample}-fold oversampling is needed, which nothing can do"
        raise InputError("oversample", problem, "give -oversample, or a smaller crystal")


def check_weights(weights: Tensor, field: str) -> None:
    """Refuse weights of sources that are not weights.

    Raises:
        InputError: one is negative or not finite, or they add up to nothing.
    """
    values = weights.detach()
    if not bool(torch.isfinite(values).all()) or bool((values < 0).any()):
        raise InputError(field, "a weight is negative or not finite", "give weights of 0 or more")
    if not 0.0 < float(values.sum()) < math.inf:
        raise InputError(field, f"the weights add up to {float(values.sum()):g}", "give at least one above 0")


def _finite(field: str, what: str, values: Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise InputError(field, f"{what} is not finite", _ADVICE)


def _check_beam(beam: Beam) -> None:
    _finite("beam_vector", "the direction of the beam", beam.direction)
    _finite("polar_vector", "the direction of polarization", beam.polarization_axis)
    _finite("source_file", "the place of a source", beam.source_positions)
    wavelengths = beam.wavelength * beam.wavelength_ratios
    _finite("wavelength_A", "a wavelength", wavelengths)
    smallest = float(wavelengths.min())
    if smallest <= 0.0:
        problem = f"the spectrum reaches down to {smallest:g} Angstrom"
        raise InputError("dispersion_percent", problem, "give less than 200 %, or other wavelengths")
    check_weights(beam.weights, "source_file")
    _finite("fluence", "the fluence", beam.fluence)
    _finite("polarization_factor", "the polarization", beam.polarization_factor)


def _check_crystal(crystal: Crystal) -> None:
    _finite("Na", "the number of cells", crystal.N)
    _finite("mosaic_spread_deg", "the mosaic spread", crystal.mosaic.spread)
    _finite("water_um", "the water", crystal.water)


def _check_detector(detector: Detector) -> None:
    for number, panel in enumerate(detector.panels):
        _check_panel(panel, f"panels[{number}]" if len(detector.panels) > 1 else "distance_mm")


def _check_panel(panel: Panel, field: str) -> None:
    for name in panel.__dataclass_fields__:
        value = getattr(panel, name)
        if isinstance(value, Tensor) and value.is_floating_point() and name != "attenuation":
            _finite(field, f"the {name.replace('_', ' ')} of the detector", value)
