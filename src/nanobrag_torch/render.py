"""The pipeline: an experiment and a list of pixels become values (specs: intensity 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nanobrag_torch.errors import MemoryBudgetError
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
    """Sums of pixels [P] by the plain definition, in chunks whose size changes no value.

    Raises:
        MemoryBudgetError: not even one pixel fits into memory.
    """
    size = chunk_pixels(way.budget, scene.terms, scene.keeps_graph)
    parts: list[PixelSum] = []
    done = 0
    while done < len(pixels):
        chunk = pixels[done : done + size]
        try:
            parts.append(_chunk_sums(scene, chunk, way))
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            if size == 1:
                raise MemoryBudgetError(
                    "out of memory even for a single pixel; lower -memory or the threads"
                ) from error
            size = max(1, size // 4)
            continue
        done += len(chunk)
        if way.progress is not None:
            way.progress(len(chunk))
    backgrounds = [part.background for part in parts if part.background is not None]
    return PixelSum(
        torch.cat([part.total for part in parts]),
        torch.cat(backgrounds) if backgrounds else None,
        torch.cat([part.solid_angle for part in parts]),
    )


def _chunk_sums(scene: PixelScene, chunk: Tensor, way: Way) -> PixelSum:
    """One chunk; with a gradient asked for, its graph is not held but made again in the backward pass."""

    def sums() -> tuple[Tensor | None, ...]:
        return tuple(accumulate(scene, chunk, lambda S: _lattice(scene, S, way)))

    found = checkpoint(sums, use_reentrant=False) if scene.keeps_graph else sums()
    return PixelSum(*found)


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


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


def sums(scene: PixelScene, pixels: Tensor | None, count: int, way: Way) -> PixelSum:
    """Sums of pixels [P] (`None`: all `count` of the panel) on the device and by the backend of `way`."""
    scene = scene.to(way.device)
    if pixels is None:
        pixels = torch.arange(count)
    return plain_sums(scene, pixels.to(way.device), way)
