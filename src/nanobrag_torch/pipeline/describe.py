"""From a settled experiment to the plain description that the modern formats carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nanobrag_torch.io.scene import GAP, MASKED, Floats, Scene, SceneBeam, ScenePanel
from nanobrag_torch.models import Experiment
from nanobrag_torch.pipeline.render import lattice_of, panel_frame_of
from nanobrag_torch.units import degrees_from_radians, metres_from_mm

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

DEFAULT_EXPOSURE_S = 1.0
DEFAULT_BEAMSIZE_MM = 0.1


def describe(experiment: Experiment) -> Scene:
    """The scene of an experiment as plain numbers; tensors are taken by value."""
    exact = experiment.physics == "exact"
    detector, scan = experiment.detector, experiment.scan
    panels = []
    for panel in detector.panels:
        frame = panel_frame_of(panel, experiment.beam.direction, exact)
        thickness = panel.layers * _float(panel.layer_step)
        panels.append(
            ScenePanel(
                pixels_f=panel.pixels_f,
                pixels_s=panel.pixels_s,
                pixel_size=_float(panel.pixel_size),
                origin=_array(frame.origin),
                fast=_array(frame.fast),
                slow=_array(frame.slow),
                thickness=thickness,
                attenuation=max(_float(panel.attenuation), 0.0) if thickness > 0 else 0.0,
                name=panel.name,
            )
        )
    first = detector.panels[0]
    return Scene(
        panels=tuple(panels),
        beam=_beam(experiment),
        spindle=_array(scan.axis),
        phi=degrees_from_radians(_float(scan.start)),
        osc=degrees_from_radians(_float(scan.range)),
        cell=_array(lattice_of(experiment.crystal, exact).direct),
        twotheta=degrees_from_radians(_float(first.twotheta)),
        twotheta_axis=_array(first.twotheta_axis),
        curved=detector.curved,
    )


def pixel_masks(experiment: Experiment) -> tuple[NDArray[np.int32], ...]:
    """Per panel, NeXus mask bits [slow, fast]: 0 = rendered, `GAP` outside the region, `MASKED` by the user's mask."""
    xmin, xmax, ymin, ymax = experiment.sampling.roi
    masks = []
    for index, panel in enumerate(experiment.detector.panels):
        bits = np.full((panel.pixels_s, panel.pixels_f), GAP, dtype=np.int32)
        bits[max(ymin, 0) : ymax + 1, max(xmin, 0) : xmax + 1] = 0
        if experiment.sampling.masks is not None:
            bits[~experiment.sampling.masks[index]] |= MASKED
        masks.append(bits)
    return tuple(masks)


def _beam(experiment: Experiment) -> SceneBeam:
    beam, config = experiment.beam, experiment.facts.get("config")
    exposure = beamsize = None
    if config is not None:
        exposure, beamsize = config.beam.exposure_s, config.beam.beamsize_mm
    exposure_s = DEFAULT_EXPOSURE_S if exposure is None else float(exposure)
    size_mm = DEFAULT_BEAMSIZE_MM if beamsize is None else float(beamsize)
    wavelength = _float(beam.wavelength)
    ratios, place = np.unique(_array(beam.wavelength_ratios), return_inverse=True)
    weights = np.bincount(place.ravel(), weights=_array(beam.weights), minlength=len(ratios))
    return SceneBeam(
        direction=_array(beam.direction),
        wavelength=wavelength,
        wavelengths=wavelength * ratios,
        weights=weights / weights.sum(),
        polarization_axis=_array(beam.polarization_axis),
        polarization_factor=_float(beam.polarization_factor),
        fluence=_float(beam.fluence),
        exposure=exposure_s if exposure_s > 0 else DEFAULT_EXPOSURE_S,
        size=metres_from_mm(size_mm if size_mm > 0 else DEFAULT_BEAMSIZE_MM),
    )


def _array(tensor: Tensor) -> Floats:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)


def _float(tensor: Tensor) -> float:
    return float(tensor.detach())
