"""The pipeline: an experiment and a list of pixels become values (specs: intensity 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nanobrag_torch.geometry.cell import Lattice
from nanobrag_torch.geometry.detector import Frame, Placement, panel_frame
from nanobrag_torch.geometry.orientation import domain_cells, lattice_at_rest, phi_angles
from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.kernels.lattice_sum import lattice_sum
from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.models import Crystal, Experiment, Panel
from nanobrag_torch.numerics import normalise
from nanobrag_torch.physics.accumulate import PixelSum, accumulate
from nanobrag_torch.physics.background import background_intensity
from nanobrag_torch.plan import DEFAULT_BUDGET, chunk_pixels
from nanobrag_torch.units import CLASSICAL_ELECTRON_RADIUS_SQUARED


@dataclass(frozen=True)
class Way:
    """How a render is done: device, precision, backend, memory budget (bytes), and who hears of its progress."""

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float64
    backend: str | None = None
    budget: int = DEFAULT_BUDGET
    progress: Callable[[int], None] | None = None


def panel_frame_of(panel: Panel, beam_direction: Tensor, exact: bool) -> Frame:
    """The frame of a settled panel."""
    fields = {name: getattr(panel, name) for name in Placement._fields}
    return panel_frame(Placement(**fields), beam_direction, exact)


def lattice_of(crystal: Crystal, exact: bool) -> Lattice:
    """The crystal's lattice after misset, before the spindle."""
    return lattice_at_rest(crystal.cell, crystal.reciprocal, crystal.misset, exact)


def pixel_scene(experiment: Experiment, panel_index: int) -> PixelScene:
    """Everything the sum over a pixel of one panel needs, derived once."""
    exact = experiment.physics == "exact"
    beam, crystal, sampling = experiment.beam, experiment.crystal, experiment.sampling
    scan, detector = experiment.scan, experiment.detector
    panel = detector.panels[panel_index]
    frame = panel_frame_of(panel, beam.direction, exact)
    lattice = lattice_of(crystal, exact)
    mosaic = crystal.mosaic
    cells = domain_cells(
        lattice.direct,
        scan.axis,
        phi_angles(scan.start, scan.step, scan.steps),
        mosaic.axes,
        mosaic.spread * mosaic.relative_angles,
    )
    flat = ("exact" if exact else "nanobragg") if detector.curved else "flat"
    has_water = bool((crystal.water.detach() != 0).item()) or crystal.water.requires_grad
    return PixelScene(
        origin=frame.origin,
        fast=frame.fast,
        slow=frame.slow,
        normal=frame.normal,
        pixel_size=panel.pixel_size,
        pixels_f=panel.pixels_f,
        oversample=sampling.oversample,
        close_distance=frame.close_distance,
        distance=frame.distance,
        beam=beam.direction,
        beam_centre=frame.beam_centre,
        curved=flat,
        point_pixel=detector.point_pixel,
        point_area=panel.pixel_size * panel.pixel_size if exact else real(1.0),
        layers=panel.layers,
        layer_step=panel.layer_step,
        attenuation=panel.attenuation,
        has_sensor=bool((panel.layer_step.detach() > 0).item()),
        incident=-normalise(beam.source_positions),
        wavelength=beam.wavelength * beam.wavelength_ratios,
        weight=beam.weights,
        polarized=beam.polarized,
        polarization_factor=beam.polarization_factor,
        polarization_axis=beam.polarization_axis,
        A=cells,
        N=crystal.N,
        fudge=crystal.fudge,
        shape=crystal.shape,
        reciprocal=lattice.reciprocal,
        radius="exact" if exact else "nanobragg",
        structure_factors=crystal.structure_factors,
        interpolate=crystal.interpolate,
        dmin=sampling.dmin,
        per_term_omega=sampling.per_term_omega,
        per_term_polar=sampling.per_term_polar,
        per_term_thick=sampling.per_term_thick,
        background=("exact" if exact else "nanobragg") if has_water else "none",
    )


def scaled(experiment: Experiment, sums: PixelSum) -> Tensor:
    """Pixel values [P] in photons: (r_e²Φ/n)·(I_bg·background + total) (specs: intensity 6; deviations F, D29)."""
    device = sums.total.device
    fluence = experiment.beam.fluence.to(device)
    scale = CLASSICAL_ELECTRON_RADIUS_SQUARED * fluence / experiment.steps
    if sums.background is None:
        return scale * sums.total
    intensity = background_intensity(experiment.crystal.water.to(device), fluence)
    if experiment.physics == "exact":
        return scale * sums.total + intensity * sums.background
    return scale * (sums.total + intensity * sums.background)


def plain_sums(scene: PixelScene, pixels: Tensor, way: Way) -> PixelSum:
    """Sums of pixels [P] by the plain definition, in chunks whose size changes no value."""

    def sums(chunk: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(accumulate(scene, chunk, lambda S: _lattice(scene, S, way)))

    keeps_graph = torch.is_grad_enabled() and any(t.requires_grad for t in _tensors(scene))
    terms = scene.layers * scene.oversample**2 * len(scene.incident) * len(scene.A)
    size = chunk_pixels(way.budget, terms, keeps_graph)
    parts = []
    for chunk in torch.split(pixels, size):
        parts.append(checkpoint(sums, chunk, use_reentrant=False) if keeps_graph else sums(chunk))
        if way.progress is not None:
            way.progress(len(chunk))
    columns = zip(*parts, strict=True)
    return PixelSum(*(None if column[0] is None else torch.cat(column) for column in columns))


def _lattice(scene: PixelScene, S: Tensor, way: Way) -> Tensor:
    return lattice_sum(
        S,
        scene.A,
        scene.N,
        scene.structure_factors,
        shape=scene.shape,
        reciprocal=scene.reciprocal,
        fudge=scene.fudge,
        interpolation=scene.interpolate,
        radius=scene.radius,
        backend=way.backend,
        dtype=way.dtype,
    )


def _tensors(scene: PixelScene) -> list[Tensor]:
    fields = [getattr(scene, name) for name in scene.__dataclass_fields__]
    table = scene.structure_factors
    return [t for t in (*fields, table.values, table.default_F) if isinstance(t, Tensor)]


def sums(scene: PixelScene, pixels: Tensor | None, count: int, way: Way, solid_angle: bool) -> PixelSum:
    """Sums of pixels [P] (`None`: all `count` of the panel) on the device and by the backend of `way`."""
    if pixels is None:
        pixels = torch.arange(count)
    return plain_sums(scene, pixels, way)
