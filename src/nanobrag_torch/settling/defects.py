"""Naming the defects of nanoBragg.c that take part in a faithful scene, with numbers (specs: deviations, section F).

D25, D26 and D34 are noticed where orientation, cell and sources are settled; the others, which depend on several
components, here. Nothing is said about a defect that changes no pixel of the scene.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nanobrag_torch.config import Config
from nanobrag_torch.geometry.detector import Frame, curved_positions, flat_positions, sphere_positions
from nanobrag_torch.models import Crystal, Detector, Experiment, Panel
from nanobrag_torch.models.experiment import Note
from nanobrag_torch.numerics import norm, normalise
from nanobrag_torch.pipeline.render import lattice_of, panel_frame_of
from nanobrag_torch.settling.detector import sensor_steps
from nanobrag_torch.units import CLASSICAL_ELECTRON_RADIUS_SQUARED, degrees_from_radians, um_from_metres

NEGLIGIBLE = 1e-12
"""Relative changes that rounding makes."""


def defect_notes(experiment: Experiment, config: Config) -> list[Note]:
    """One note per defect that takes part in a faithful experiment; none in an exact one."""
    if experiment.physics == "exact":
        return []
    texts = {
        "D27": _spot_widths(experiment.crystal),
        "D28": _curvature(experiment),
        "D29": _background(experiment, config),
        **_sensor(experiment, config),
        "D46": _point_pixel(experiment.detector),
        "D54": _resolution_limit(experiment),
    }
    return [Note("defect", text, True, identifier) for identifier, text in texts.items() if text is not None]


def _spot_widths(crystal: Crystal) -> str | None:
    """D27: the width of a spot along each axis over that of a crystal of this size."""
    if crystal.shape not in ("gauss", "tophat"):
        return None
    N = crystal.N.detach()
    ratios = N / (norm(lattice_of(crystal, False).reciprocal.detach()) * N.prod())
    text = "along a*, b*, c* the spots are " + ", ".join(f"{float(x):.3g}" for x in ratios)
    advice = "use -square_xtal, -round_xtal or -physics exact"
    return f"{text} times as wide as {crystal.shape} spots of a crystal of this size; {advice} to avoid it"


def _curvature(experiment: Experiment) -> str | None:
    """D28: how far corners of the curved detector are from their place."""
    if not experiment.detector.curved:
        return None
    beam = experiment.beam.direction.detach()
    largest = 0.0
    for panel in experiment.detector.panels:
        f, s = _coordinates(panel, _corners(experiment, panel), 1)
        true = sphere_positions(f, s, _frame(panel, beam, True), beam)[0]
        angles = _angles(_positions(experiment, panel, f, s), true)
        largest = max(largest, degrees_from_radians(float(angles.max())))
    text = f"corners of the curved detector are up to {largest:.3g} degrees from their true place"
    return f"{text} (pixels are rotated about the wrong axes); use -physics exact to avoid it"


def _background(experiment: Experiment, config: Config) -> str | None:
    """D29: the background over the true one, at normal incidence."""
    if float(experiment.crystal.water.detach()) <= 0.0:
        return None
    factor = CLASSICAL_ELECTRON_RADIUS_SQUARED * float(experiment.beam.fluence.detach()) / experiment.steps
    panel = experiment.detector.panels[0]
    thickness = _thickness(panel, config)
    if thickness > 0.0:
        factor *= _layer_capture(panel, panel.layers - 1) / _capture(panel, thickness)
    if abs(factor - 1.0) < NEGLIGIBLE:
        return None
    text = f"the background is {factor:.6g} times what the water scatters"
    return f"{text} (scaled twice, divided by the number of steps); use -physics exact to avoid it"


def _sensor(experiment: Experiment, config: Config) -> dict[str, str]:
    """D30, D63: the captured fraction at normal incidence, and the true one."""
    for panel in experiment.detector.panels:
        thickness = _thickness(panel, config)
        if panel.layers < 2 or thickness <= 0.0:
            continue
        covered = panel.layers * float(panel.layer_step.detach())
        thicker = abs(covered / thickness - 1.0) > NEGLIGIBLE
        per_term = experiment.sampling.per_term_thick
        if per_term and not thicker:
            continue
        used = _capture(panel, covered) if per_term else panel.layers * _layer_capture(panel, panel.layers - 1)
        reasons = [] if per_term else ["each layer counts as the last one"]
        if thicker:
            reasons.append(f"the layers are {covered / thickness:.4g} times as thick as the sensor")
        text = f"the {panel.layers} sensor layers count {used:.4g} of the photons at normal incidence"
        true = f"a sensor of {um_from_metres(thickness):g} um captures {_capture(panel, thickness):.4g}"
        identifier = "/".join((["D30"] if not per_term else []) + (["D63"] if thicker else []))
        advice = "use -oversample_thick without a number of layers, or -physics exact, to avoid it"
        return {identifier: f"{text}, {true} ({', '.join(reasons)}); {advice}"}
    return {}


def _point_pixel(detector: Detector) -> str | None:
    """D46: the missing factor."""
    if not detector.point_pixel:
        return None
    area = float(detector.panels[0].pixel_size.detach()) ** 2
    text = f"-point_pixel leaves the area of a pixel out: values are {1.0 / area:.6g} times too large"
    return f"{text}; use -physics exact to avoid it"


def _resolution_limit(experiment: Experiment) -> str | None:
    """D54: only where a pixel is cut as a whole; the farthest is one at a corner."""
    dmin = experiment.sampling.dmin
    if dmin <= 0.0 or float(experiment.crystal.water.detach()) <= 0.0 or not experiment.beam.polarized:
        return None
    beam, oversample = experiment.beam, experiment.sampling.oversample
    incident = -normalise(beam.source_positions.detach())
    wavelength = (beam.wavelength * beam.wavelength_ratios).detach()
    smallest = math.inf
    for panel in experiment.detector.panels:
        f, s = _coordinates(panel, _corners(experiment, panel), oversample)
        depth = (panel.layers - 1) * panel.layer_step.detach()
        directions = normalise(_positions(experiment, panel, f, s, depth))
        spacing = wavelength / norm(directions[:, None] - incident)
        smallest = min(smallest, float(spacing.reshape(4, -1).amax(dim=1).min()))
    if smallest >= dmin:
        return None
    text = f"pixels all beyond -dmin {dmin:g} A lose their background too (the detector reaches {smallest:.4g} A)"
    return f"{text}; use -physics exact to avoid it"


def _thickness(panel: Panel, config: Config) -> float:
    """Thickness of the sensor as asked for (m), 0 where nothing absorbs."""
    if config.detector.panels is None:
        return sensor_steps(config.detector, exact=False).range
    return panel.layers * float(panel.layer_step.detach())


def _capture(panel: Panel, thickness: float) -> float:
    return -math.expm1(-float(panel.attenuation.detach()) * thickness)


def _layer_capture(panel: Panel, layer: int) -> float:
    per_layer = float((panel.layer_step * panel.attenuation).detach())
    return math.exp(-layer * per_layer) * -math.expm1(-per_layer)


def _corners(experiment: Experiment, panel: Panel) -> list[tuple[int, int]]:
    """Pixels (fast, slow) at the corners of the rendered region."""
    xmin, xmax, ymin, ymax = experiment.sampling.roi
    across = (xmin, min(xmax, panel.pixels_f - 1))
    return [(x, y) for x in across for y in (ymin, min(ymax, panel.pixels_s - 1))]


def _coordinates(panel: Panel, pixels: list[tuple[int, int]], oversample: int) -> tuple[Tensor, Tensor]:
    """F, S (m) of the outermost sub-pixels of every pixel, pixels outermost."""
    size, ends = float(panel.pixel_size.detach()) / oversample, {0, oversample - 1}
    at = [(x * oversample + i + 0.5, y * oversample + j + 0.5) for x, y in pixels for i in ends for j in ends]
    f, s = torch.tensor(at, dtype=torch.float64).unbind(1)
    return f * size, s * size


def _frame(panel: Panel, beam: Tensor, exact: bool) -> Frame:
    return Frame(*(x.detach() for x in panel_frame_of(panel, beam, exact)))


def _positions(experiment: Experiment, panel: Panel, f: Tensor, s: Tensor, depth: Tensor | None = None) -> Tensor:
    """Positions [P, 3] (m) of detector coordinates, as the faithful mode places them."""
    beam = experiment.beam.direction.detach()
    frame = _frame(panel, beam, False)
    flat = flat_positions(f, s, torch.zeros_like(f[0]) if depth is None else depth, frame)
    return curved_positions(flat, frame, beam) if experiment.detector.curved else flat


def _angles(a: Tensor, b: Tensor) -> Tensor:
    """Angles [P] (rad) between vectors [P, 3]."""
    return 2.0 * torch.asin((norm(normalise(a) - normalise(b)) / 2.0).clamp(max=1.0))
