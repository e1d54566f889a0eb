"""The pipeline: an experiment and a list of pixels become values (specs: intensity 6)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nanobrag_torch.errors import BackendUnavailable, MemoryBudgetError
from nanobrag_torch.geometry.cell import Lattice
from nanobrag_torch.geometry.detector import Frame, Placement, panel_frame
from nanobrag_torch.geometry.orientation import (
    crystal_frame,
    domain_cells,
    lattice_at_rest,
    phi_angles,
    turned_cells,
)
from nanobrag_torch.geometry.rotation import matrices_of_vectors
from nanobrag_torch.geometry.vectors import cross, real
from nanobrag_torch.kernels import forward_mode
from nanobrag_torch.kernels.lattice_sum import lattice_sum
from nanobrag_torch.kernels.packing import PackedScene, pack_scene
from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.kernels.pixel_sum import packed_sum, why_not
from nanobrag_torch.kernels.shapes import diffuse
from nanobrag_torch.models import Crystal, Experiment, Panel, Scan
from nanobrag_torch.numerics import any_nonzero, normalise
from nanobrag_torch.physics.accumulate import PixelSum, accumulate
from nanobrag_torch.physics.background import background_intensity
from nanobrag_torch.physics.diffuse import diffuse_forms
from nanobrag_torch.pipeline.plan import DEFAULT_BUDGET, chunk_pixels
from nanobrag_torch.units import CLASSICAL_ELECTRON_RADIUS_SQUARED

REPORTED_PIXELS = 2**19
"""About how many pixels of a fused render lie between two reports of its progress."""

TILE_ROWS = 8
"""Rows of a tile of pixels (csrc/tiles.h)."""


@dataclass(frozen=True)
class RenderOptions:
    """How a render is done: device, precision, backend, memory.

    Args:
        device: where.
        dtype: precision behind the phase.
        backend: name of a kernel backend, or `None` for the best.
        budget: bytes for the plain path.
        progress: called with the number of pixels done since its last call.
        solid_angle: whether the solid angles are summed too.
        out_dtype: precision of the values; each is rounded once.
        tolerance: photons that a pixel may lose to terms that are provably small and left out.
    """

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float64
    backend: str | None = None
    budget: int = DEFAULT_BUDGET
    progress: Callable[[int], None] | None = None
    solid_angle: bool = False
    out_dtype: torch.dtype = torch.float64
    tolerance: float = 0.0


def panel_frame_of(panel: Panel, beam_direction: Tensor, exact: bool) -> Frame:
    """The frame of a settled panel."""
    fields = {name: getattr(panel, name) for name in Placement._fields}
    return panel_frame(Placement(**fields), beam_direction, exact)


def lattice_of(crystal: Crystal, exact: bool) -> Lattice:
    """The crystal's lattice after misset, before the spindle."""
    return lattice_at_rest(crystal.cell, crystal.reciprocal, crystal.misset, exact, crystal.orientation)


def orientations(crystal: Crystal, lattice: Lattice, scan: Scan) -> Tensor:
    """Cell vectors [T*M, 3, 3] (rows, Å) of every phi step and mosaic domain, phi outermost."""
    mosaic, phi = crystal.mosaic, phi_angles(scan.start, scan.step, scan.steps)
    if mosaic.turns is not None:
        return turned_cells(lattice.direct, scan.axis, phi, mosaic.turns)
    if mosaic.vectors is not None:
        spreads = mosaic.spread if mosaic.spreads is None else mosaic.spreads
        vectors = (spreads * mosaic.vectors) @ crystal_frame(lattice.direct)
        return turned_cells(lattice.direct, scan.axis, phi, matrices_of_vectors(vectors))
    return domain_cells(lattice.direct, scan.axis, phi, mosaic.axes, mosaic.spread * mosaic.relative_angles)


def _size_of(crystal: Crystal, lattice: Lattice) -> tuple[Tensor, Tensor, Tensor]:
    """Cell counts [3], fudge [] and the rows [3, 3] that the radius of a spot is measured with.

    For a symmetric matrix N the law L = det N · exp(-G |N Δ|²/0.63) is that of the C program, which knows
    N_a N_b N_c and |Σ Δ_i r_i|² (N_a N_b N_c)², with r_i = N_i/det N: one product, and rows of our own.
    """
    if crystal.shape == "diffuse":
        return _diffuse_numbers(crystal, lattice)
    if crystal.coupling is None:
        return crystal.N, crystal.fudge, lattice.reciprocal
    matrix = size_matrix(crystal.N, crystal.coupling)
    volume = (matrix[0] * cross(matrix[1], matrix[2])).sum()
    one = torch.ones_like(volume)
    return torch.stack([volume, one, one]), crystal.fudge, matrix / volume


def _diffuse_numbers(crystal: Crystal, lattice: Lattice) -> tuple[Tensor, Tensor, Tensor]:
    """What stands in the place of counts, fudge and rows for the diffuse scattering of a crystal."""
    if crystal.diffuse is None:
        raise ValueError("a crystal of the shape diffuse needs displacements")
    cells = crystal.N.prod()
    if crystal.coupling is not None:
        cells = torch.linalg.det(size_matrix(crystal.N, crystal.coupling))
    law = crystal.diffuse
    frame = crystal_frame(lattice.direct)
    forms = diffuse_forms(lattice.reciprocal, frame, law.sigma, law.gamma, law.operations[:1], cells)
    counts, rows = diffuse.numbers(forms.displacement[0], forms.correlation[0])
    return counts, forms.scale, rows


def size_matrix(N: Tensor, coupling: Tensor) -> Tensor:
    """The symmetric matrix [3, 3] of diagonal N [3] and off-diagonal N_bc, N_ac, N_ab [3]."""
    bc, ac, ab = coupling.unbind()
    return torch.stack(
        [torch.stack([N[0], ab, ac]), torch.stack([ab, N[1], bc]), torch.stack([ac, bc, N[2]])],
    )


class CrystalTensors(NamedTuple):
    """What a scene has of its crystal and scan: the same for all panels; see `PixelScene`."""

    A: Tensor
    N: Tensor
    fudge: Tensor
    reciprocal: Tensor


def crystal_tensors(experiment: Experiment) -> CrystalTensors:
    """Orientations and size of the crystal in every position of the scan."""
    crystal = experiment.crystal
    lattice = lattice_of(crystal, experiment.physics == "exact")
    return CrystalTensors(orientations(crystal, lattice, experiment.scan), *_size_of(crystal, lattice))


def frame_of(experiment: Experiment, panel_index: int) -> Frame:
    """The frame of one panel of an experiment."""
    panel = experiment.detector.panels[panel_index]
    return panel_frame_of(panel, experiment.beam.direction, experiment.physics == "exact")


def pixel_scene(
    experiment: Experiment,
    panel_index: int,
    made: CrystalTensors | None = None,
    frame: Frame | None = None,
) -> PixelScene:
    """Everything the sum over a pixel of one panel needs, derived once.

    Args:
        experiment: the settled scene.
        panel_index: which panel.
        made, frame: `crystal_tensors` and `frame_of` this experiment, where they are known already.
    """
    exact = experiment.physics == "exact"
    beam, crystal, sampling = experiment.beam, experiment.crystal, experiment.sampling
    detector = experiment.detector
    panel = detector.panels[panel_index]
    frame = frame_of(experiment, panel_index) if frame is None else frame
    made = crystal_tensors(experiment) if made is None else made
    flat = ("exact" if exact else "nanobragg") if detector.curved else "flat"
    has_water = any_nonzero(crystal.water) or crystal.water.requires_grad
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
        has_sensor=any_nonzero(panel.layer_step),
        incident=-normalise(beam.source_positions),
        wavelength=beam.wavelength * beam.wavelength_ratios,
        weight=beam.weights,
        polarized=beam.polarized,
        polarization_factor=beam.polarization_factor,
        polarization_axis=beam.polarization_axis,
        A=made.A,
        N=made.N,
        fudge=made.fudge,
        shape=crystal.shape,
        reciprocal=made.reciprocal,
        radius="exact" if exact and crystal.coupling is None else "nanobragg",
        structure_factors=crystal.structure_factors,
        interpolate=crystal.interpolate,
        dmin=sampling.dmin,
        per_term_omega=sampling.per_term_omega,
        per_term_polar=sampling.per_term_polar,
        per_term_thick=sampling.per_term_thick,
        background=("exact" if exact else "nanobragg") if has_water else "none",
    )


def common_scale(experiment: Experiment) -> Tensor:
    """The factor r_e²Φ/n [] of every pixel, in double (specs: intensity 6)."""
    return CLASSICAL_ELECTRON_RADIUS_SQUARED * experiment.beam.fluence / experiment.steps


def pixel_factors(experiment: Experiment) -> Tensor:
    """Factors [2] of the sums of terms and of the background in a pixel's value (specs: intensity 6; deviations F)."""
    scale = common_scale(experiment)
    background = background_intensity(experiment.crystal.water, experiment.beam.fluence)
    return torch.stack([scale, background if experiment.physics == "exact" else scale * background])


def scaled(experiment: Experiment, total: Tensor, background: Tensor | None) -> Tensor:
    """Pixel values [P] in photons: (r_e²Φ/n)·(total + I_bg·background) (specs: intensity 6; deviations F, D29)."""
    scale = common_scale(experiment).to(total.device)
    if background is None:
        return scale * total
    intensity = background_intensity(experiment.crystal.water, experiment.beam.fluence).to(total.device)
    if experiment.physics == "exact":
        return scale * total + intensity * background
    return scale * (total + intensity * background)


def limited(scene: PixelScene, experiment: Experiment, options: RenderOptions) -> PixelScene:
    """The scene with what a pixel's total may lose, from the tolerance of the options.

    Raises:
        BackendUnavailable: there is a tolerance, and the kernel that keeps to it cannot serve.
    """
    if not options.tolerance > 0.0:
        return scene
    scale = abs(float(common_scale(experiment).detach()))
    scene = replace(scene, limit=options.tolerance / scale if scale > 0.0 else 0.0)
    reason = why_not(scene, dtype=options.dtype, backend=options.backend, device=options.device)
    if reason is not None:
        raise BackendUnavailable("tolerance", reason)
    return scene


def plain_sums(scene: PixelScene, pixels: Tensor, options: RenderOptions) -> PixelSum:
    """Sums of pixels [P] by the plain definition, in chunks whose size changes no value.

    Raises:
        MemoryBudgetError: not even one pixel fits into memory.
    """
    size = chunk_pixels(options.budget, scene.terms, scene.keeps_graph)
    parts: list[PixelSum] = []
    done = 0
    while done < len(pixels) or not parts:
        chunk = pixels[done : done + size]
        try:
            parts.append(_chunk_sums(scene, chunk, options))
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
        if options.progress is not None:
            options.progress(len(chunk))
    backgrounds = [part.background for part in parts if part.background is not None]
    return PixelSum(
        torch.cat([part.total for part in parts]),
        torch.cat(backgrounds) if backgrounds else None,
        torch.cat([part.solid_angle for part in parts]),
    )


def _chunk_sums(scene: PixelScene, chunk: Tensor, options: RenderOptions) -> PixelSum:
    """One chunk; with a gradient asked for, its graph is not held but made again in the backward pass."""

    def sums() -> tuple[Tensor | None, ...]:
        return tuple(accumulate(scene, chunk, lambda S: orientation_sum(scene, S, options)))

    found = checkpoint(sums, use_reentrant=False) if scene.keeps_graph else sums()
    return PixelSum(*found)


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def orientation_sum(scene: PixelScene, S: Tensor, options: RenderOptions) -> Tensor:
    """Sum over the orientations of a scene of F²L² [P] at scattering vectors S [P, 3]."""
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
        backend=options.backend,
        dtype=options.dtype,
    )


class Values(NamedTuple):
    """Values [P] of rendered pixels in photons, and the sum [] of their solid angles or `None`."""

    values: Tensor
    solid_angle: Tensor | None


def render(
    experiment: Experiment,
    panel_index: int,
    pixels: Tensor | None,
    options: RenderOptions,
    packed: PackedScene | None = None,
) -> Values:
    """Values of pixels [P] of one panel (`None`: all of them), by the best backend that can serve.

    The fused kernel serves where it can; elsewhere the plain definition does, with the lattice
    sum of `options.backend`.

    Args:
        experiment, panel_index: the panel.
        pixels: indices slow · pixels_f + fast.
        options: how.
        packed: the scene as the fused kernel takes it, on its device, where it is known already (prepared.py).
    """
    panel = experiment.detector.panels[panel_index]
    chosen = range(panel.pixels_s * panel.pixels_f) if pixels is None else pixels.to(options.device)
    if packed is None:
        scene = limited(pixel_scene(experiment, panel_index), experiment, options)
        if why_not(scene, dtype=options.dtype, backend=options.backend, device=options.device) is not None:
            return _plain(experiment, scene.to(options.device), chosen, options)
        packed = pack_scene(scene, options.dtype).to(options.device)
    return _fused(experiment, packed, chosen, options)


def _plain(experiment: Experiment, scene: PixelScene, pixels: Tensor | range, options: RenderOptions) -> Values:
    """Values by the plain definition."""
    listed = torch.arange(len(pixels), device=options.device) if isinstance(pixels, range) else pixels
    sums = plain_sums(scene, listed, options)
    values = scaled(experiment, sums.total, sums.background).to(options.out_dtype)
    return Values(values, sums.solid_angle.detach().sum() if options.solid_angle else None)


def _fused(experiment: Experiment, packed: PackedScene, pixels: Tensor | range, options: RenderOptions) -> Values:
    """Values by the fused kernel; where nothing else is added it scales and rounds by itself, in one pass."""
    differentiated = experiment.beam.fluence.requires_grad or forward_mode.active()
    direct = not packed.has_background and not differentiated
    scale = float(common_scale(experiment)) if direct else 1.0
    parts, angles = [], torch.zeros((), dtype=torch.float64, device=options.device)
    step = max(len(pixels), 1)
    if options.progress is not None or options.solid_angle:  # whole tiles (csrc/tiles.h), so that nothing depends on it
        step = max(1, REPORTED_PIXELS // (TILE_ROWS * packed.pixels_f)) * TILE_ROWS * packed.pixels_f
    for start in range(0, max(len(pixels), 1), step):
        found = packed_sum(
            packed,
            pixels[start : start + step],
            want_solid_angle=options.solid_angle,
            out_dtype=options.out_dtype if direct else torch.float64,
            scale=scale,
        )
        values = found.total if direct else scaled(experiment, found.total, found.background).to(options.out_dtype)
        parts.append(values)
        if found.solid_angle is not None:
            angles = angles + found.solid_angle.detach().sum()
        if options.progress is not None:
            options.progress(len(values))
    return Values(parts[0] if len(parts) == 1 else torch.cat(parts), angles if options.solid_angle else None)


def __getattr__(name: str) -> Any:
    """`Way`, the old name of `RenderOptions`, for two minor releases."""
    if name == "Way":
        warnings.warn("Way is now RenderOptions", DeprecationWarning, stacklevel=2)
        return RenderOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
