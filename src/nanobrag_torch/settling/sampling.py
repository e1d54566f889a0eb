"""Rotation, sub-pixels, region and mask (specs: sources 4, crystal 8, intensity 1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from nanobrag_torch.config import SamplingConfig
from nanobrag_torch.errors import InputError
from nanobrag_torch.geometry.conventions import Convention
from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.models import Detector, Sampling, Scan
from nanobrag_torch.models.experiment import Note
from nanobrag_torch.numerics import normalise
from nanobrag_torch.settling.steps import Steps, phi_steps
from nanobrag_torch.settling.values import number, optional, tensor
from nanobrag_torch.units import ANGSTROM_PER_METRE, radians_from_degrees

if TYPE_CHECKING:
    from nanobrag_torch.settling.inputs import Inputs

OVERSAMPLING_FACTOR = 3.0
"""Sub-pixels per coherence length across a pixel (specs: crystal 8)."""


def settle_scan(said: SamplingConfig, convention: Convention) -> Scan:
    """Settle the spindle sweep; the axis is normalised (specs: geometry 6)."""
    osc, step = optional(said.osc_deg), optional(said.phi_step_deg)
    steps = phi_steps(
        said.phi_steps,
        None if osc is None else radians_from_degrees(osc),
        None if step is None else radians_from_degrees(step),
        radians_from_degrees(1.0),
    )
    return Scan(
        axis=normalise(vector(convention.spindle_axis)),
        start=tensor(said.phi_deg, 0.0, radians_from_degrees),
        step=_step(said, steps),
        steps=steps.count,
        range=real(steps.range),
    )


def _step(said: SamplingConfig, steps: Steps) -> Tensor:
    """The step [] (rad) in the graph of what it is made from: a step that was given, or the range over the count."""
    step = tensor(said.phi_step_deg, 0.0, radians_from_degrees)
    share = tensor(said.osc_deg, 0.0, radians_from_degrees) / steps.count
    for made, value in ((step, said.phi_step_deg), (share, said.osc_deg)):
        if value is not None and number(made, 0.0) == steps.step:
            return made
    return real(steps.step)


def recommended_oversample(extents: Tensor, wavelength: Tensor, distance: Tensor, pixel_size: Tensor) -> int:
    """Sub-pixels per side that resolve the crystal's fringes: ceil(3·extent/(λ d/p)), at least 1 (specs: crystal 8).

    Crystal `extents` [3] m, `wavelength` [] Å, `distance` and `pixel_size` [] m. It is worked out in metres, in the
    order of the C program: round numbers often give whole quotients, which rounding takes up or down.
    """
    fringe = float(wavelength) / ANGSTROM_PER_METRE * float(distance) / float(pixel_size)
    return max(1, math.ceil(OVERSAMPLING_FACTOR * float(extents.max()) / fringe))


def settle_sampling(
    said: SamplingConfig, inputs: Inputs, detector: Detector, recommended: int, exact: bool
) -> Sampling:
    """Settle sub-pixels, per-term factors, region and mask.

    Raises:
        InputError: no pixel is left to render, a mask of the wrong size, or a region with several panels.
    """
    oversample = said.oversample if said.oversample is not None and said.oversample > 0 else recommended
    roi = _region(said, detector)
    return Sampling(
        oversample=oversample,
        per_term_omega=said.oversample_omega or exact,
        per_term_polar=said.oversample_polar or exact,
        per_term_thick=said.oversample_thick or exact,
        dmin=number(said.dmin_A, 0.0),
        roi=roi,
        masks=_masks(said, inputs, detector),
    )


def oversample_notes(
    said: SamplingConfig, oversample: int, recommended: int, extent: float, reciprocal_pixel: float
) -> list[Note]:
    """The advice of the C program about sub-pixels (specs: crystal 8); extents in Å."""
    notes = []
    if said.oversample is None or said.oversample <= 0:
        notes.append(Note("oversample", f"auto-selected {oversample}-fold oversampling"))
    if oversample < recommended:
        indent = " " * 9
        lines = [
            f"WARNING: maximum dimension of sample is {extent:g} A",
            f"{indent}but reciprocal pixel size is {reciprocal_pixel:g} A",
            f"{indent}intensity may vary significantly across a pixel!",
            f"{indent}recommend -oversample {recommended} to work around this",
        ]
        notes.append(Note("oversample", "\n".join(lines)))
    return notes


def _region(said: SamplingConfig, detector: Detector) -> tuple[int, int, int, int]:
    if said.roi is None:
        widest = max(panel.pixels_f for panel in detector.panels)
        return 0, widest, 0, max(panel.pixels_s for panel in detector.panels)
    if len(detector.panels) > 1:
        raise InputError("roi", "a region is not defined on several panels", "use a mask")
    panel = detector.panel
    xmin, xmax, ymin, ymax = said.roi
    xmin, ymin = max(xmin, 0), max(ymin, 0)
    xmax = panel.pixels_f if xmax < 0 else xmax
    ymax = panel.pixels_s if ymax < 0 else ymax
    if xmin > min(xmax, panel.pixels_f - 1) or ymin > min(ymax, panel.pixels_s - 1):
        raise InputError(
            "roi",
            f"{xmin} {xmax} {ymin} {ymax} leaves no pixel of {panel.pixels_f} x {panel.pixels_s}",
            "give xmin xmax ymin ymax, inclusive",
        )
    return xmin, xmax, ymin, ymax


def _masks(said: SamplingConfig, inputs: Inputs, detector: Detector) -> tuple[np.ndarray, ...] | None:
    given = said.mask if said.mask is not None else inputs.mask
    if given is None:
        return None
    masks = given if isinstance(given, tuple) else (given,)
    sizes = [(panel.pixels_s, panel.pixels_f) for panel in detector.panels]
    found = [tuple(mask.shape) for mask in masks]
    if found != sizes:
        text = ", ".join(f"{f} x {s}" for s, f in found)
        wanted = ", ".join(f"{f} x {s}" for s, f in sizes)
        raise InputError("mask_file", f"the mask has {text} pixels, the detector {wanted}", "make them equal")
    return tuple(np.asarray(mask) != 0 for mask in masks)


def reciprocal_pixel_size(wavelength: Tensor, distance: Tensor, pixel_size: Tensor) -> float:
    """λ d/p in Å, as the oversampling advice prints it."""
    return float(wavelength) * float(distance) / float(pixel_size)
