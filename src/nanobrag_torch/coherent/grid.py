"""From the frames of a rocking scan to photons on a uniform grid of indices around one reflection.

Phase retrieval by transforms (`bragg`) wants intensities at the points of a grid. A detector has them at its pixels,
on another sphere for every step of the scan. The indices of a pixel are a smooth, almost linear function of its place
and of the step; that function is inverted by iteration with one fixed slope, and the frames are interpolated there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.coherent.crystal import DEFAULT_MEMORY, array_image, intensity_sum
from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Experiment
from nanobrag_torch.physics.accumulate import accumulate, scattering, sub_pixel
from nanobrag_torch.pipeline.render import pixel_scene, scaled

ITERATIONS = 40
CLOSE = 1e-9
"""Voxels within which a place must give its indices."""


@dataclass(frozen=True)
class IndexGrid:
    """`counts` [3] points along h, k, l in steps of `spacing` [3], the point counts // 2 at `hkl`.

    A transform over n points in steps of δ has voxels of 1/(nδ) cells, and repeats after 1/δ cells.
    """

    hkl: tuple[float, float, float]
    spacing: tuple[float, float, float]
    counts: tuple[int, int, int]

    def points(self) -> Tensor:
        """Indices [A, B, C, 3] of all points."""
        lines = [
            at + step * (torch.arange(n, dtype=torch.float64) - n // 2)
            for at, step, n in zip(self.hkl, self.spacing, self.counts, strict=True)
        ]
        return torch.stack(torch.meshgrid(*lines, indexing="ij"), -1)


def stills(experiment: Experiment) -> list[Experiment]:
    """One experiment for each phi step of a scan, each with the whole fluence."""
    scan = experiment.scan
    return [experiment.replace(scan=scan.replace(start=scan.start + scan.step * t, steps=1)) for t in range(scan.steps)]


def scan_frames(experiment: Experiment, weights: Tensor, *, panel: int = 0, memory: int = DEFAULT_MEMORY) -> Tensor:
    """Photons [steps, slow, fast] of a crystal as an array, one still for each phi step (see `crystal.array_image`)."""
    return torch.stack([array_image(still, weights, panel=panel, memory=memory) for still in stills(experiment)])


def cell_frames(experiment: Experiment, *, panel: int = 0) -> Tensor:
    """Photons [steps, slow, fast] of one lone cell: what a frame is divided by to leave |Σ w exp(2πi h·n)|²."""
    cell, frames = torch.ones(1, 1, 1, 1, dtype=torch.complex128), []
    size = experiment.detector.panels[panel]
    pixels = torch.arange(size.pixels_s * size.pixels_f)
    for still in stills(experiment):
        scene = pixel_scene(still, panel)
        sums = accumulate(scene, pixels, lambda S, scene=scene: intensity_sum(scene, S, cell))  # type: ignore[misc]
        frames.append(scaled(still, sums.total, None).reshape(size.pixels_s, size.pixels_f))
    return torch.stack(frames)


def scan_indices(experiment: Experiment, *, panel: int = 0) -> Tensor:
    """Indices [steps, slow, fast, 3] at the middle of every pixel, at its front, for every phi step.

    Raises:
        InputError: several colours, directions or mosaic domains: a pixel has no single index.
    """
    if experiment.beam.sources != 1 or experiment.crystal.mosaic.domains != 1:
        told = f"{experiment.beam.sources} sources and {experiment.crystal.mosaic.domains} domains"
        raise InputError("experiment", f"a pixel has no single index with {told}", "give one of each")
    size = experiment.detector.panels[panel]
    scene = pixel_scene(experiment.replace(oversample=1), panel)
    S = scattering(scene, sub_pixel(scene, torch.arange(size.pixels_s * size.pixels_f), 0, (0, 0)), 0)
    found = torch.stack([S @ cell.T for cell in scene.A.unbind(0)])
    return found.reshape(experiment.scan.steps, size.pixels_s, size.pixels_f, 3)


def on_index_grid(frames: Tensor, indices: Tensor, grid: IndexGrid) -> Tensor:
    """Frames of a scan at the points of a grid of indices, by cubic interpolation.

    Args:
        frames: [steps, slow, fast], NaN where nothing was measured; best divided by `cell_frames` over their mean.
        indices: [steps, slow, fast, 3], those of `scan_indices`.
        grid: the points.

    Returns:
        [A, B, C] of `grid.counts`, not below zero; NaN out of the scan and beside pixels that were not measured.

    Raises:
        InputError: shapes that do not fit, fewer than four steps or pixels along an axis, indices that do not change
            along one, or a grid that the scan does not meet.
    """
    if frames.dim() != 3 or indices.shape != (*frames.shape, 3) or min(frames.shape) < 4:
        told = f"{list(frames.shape)} beside indices {list(indices.shape)}"
        raise InputError("frames", told, "give [steps, slow, fast], 4 of each at least, and indices [..., 3]")
    wanted = grid.points().reshape(-1, 3)
    places, good = _places(indices.detach().to(torch.float64), wanted)
    if not bool(good.any()):
        raise InputError("grid", f"the scan has no pixel around {grid.hkl}", "look at scan_indices for what it meets")
    values = torch.full((len(wanted),), torch.nan, dtype=torch.float64)
    values[good] = interpolated(frames.to(torch.float64)[..., None], places[good])[:, 0].clamp_min(0.0)
    return values.reshape(grid.counts)


def _places(indices: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Where [G, 3] (step, slow, fast) the indices are those wanted [G, 3], and whether [G] that is inside the scan."""
    sizes = torch.tensor(indices.shape[:3])
    voxels = torch.stack(torch.meshgrid(*(torch.arange(float(n)).double() for n in sizes), indexing="ij"), -1)
    ones = torch.ones(voxels[..., 0].numel(), 1, dtype=torch.float64)
    linear = torch.linalg.lstsq(torch.cat([voxels.reshape(-1, 3), ones], 1), indices.reshape(-1, 3)).solution
    if not float(torch.linalg.svdvals(linear[:3]).min()) > 1e-9:
        raise InputError("indices", "they do not change along one of steps, rows and columns", "give a rocking scan")
    back = torch.linalg.inv(linear[:3])
    places = (wanted - linear[3]) @ back
    last = (sizes - 1).to(torch.float64)
    step = torch.zeros_like(places)
    for _ in range(ITERATIONS):
        step = (wanted - interpolated(indices, torch.minimum(places.clamp_min(-1.0), last + 1.0))) @ back
        places = places + step
        if float(step.abs().max()) < CLOSE:
            break
    inside = ((places >= -1e-6) & (places <= last + 1e-6)).all(1)
    return places, inside & (step.abs().amax(1) < CLOSE)


def interpolated(values: Tensor, places: Tensor) -> Tensor:
    """Values [A, B, C, V] at places [G, 3] (in voxels) by the cubic through four points along each axis → [G, V]."""
    total = torch.zeros(len(places), values.shape[-1], dtype=values.dtype)
    first = [torch.floor(x).long().sub(1).clamp(0, n - 4) for x, n in zip(places.T, values.shape[:3], strict=True)]
    weights = [_cubic(x - at) for x, at in zip(places.T, first, strict=True)]
    for i in range(4):
        for j in range(4):
            for k in range(4):
                weight = weights[0][i] * weights[1][j] * weights[2][k]
                total = total + weight[:, None] * values[first[0] + i, first[1] + j, first[2] + k]
    return total


def _cubic(x: Tensor) -> list[Tensor]:
    """Weights of the points 0, 1, 2, 3 at x."""
    a, b, c, d = x, x - 1.0, x - 2.0, x - 3.0
    return [b * c * d / -6.0, a * c * d / 2.0, a * b * d / -2.0, a * b * c / 6.0]
