"""What the labels of a block need of its scenes, as plain arrays: cells, beam and panels of every image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nanobrag_torch.geometry.rotation import rotate_about
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.numerics import normalise
from nanobrag_torch.physics.absorption import capture_fraction
from nanobrag_torch.pipeline.render import lattice_of, orientations, panel_frame_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PanelSight:
    """A panel of b images: origin [b, 3], fast, slow and normal [b, 3] (m, lab frame), pixels and their size."""

    origin: Floats
    fast: Floats
    slow: Floats
    normal: Floats
    pixel_size: float
    pixels_f: int
    pixels_s: int
    layers: int
    layer_step: float
    attenuation: float

    def hits(
        self, image: NDArray[np.int64], directions: Floats, depth: bool
    ) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Where rays [n, 3] of images [n] meet the panel: fast and slow [n] in pixels, and whether they do.

        Pixel k reaches from k to k + 1. With `depth`, at the mean depth at which the sensor captures them.
        """
        cosine = (directions * self.normal[image]).sum(1)
        ahead = cosine * (self.origin * self.normal).sum(1)[image] > 0
        safe = np.where(ahead, cosine, 1.0)
        distance = (self.origin * self.normal).sum(1)[image]
        if depth and self.layer_step > 0:
            distance = distance + self._depth(safe)
        point = directions * (distance / safe)[:, None] - self.origin[image]
        fast = (point * self.fast[image]).sum(1) / self.pixel_size
        slow = (point * self.slow[image]).sum(1) / self.pixel_size
        return fast, slow, ahead & (fast >= 0) & (fast < self.pixels_f) & (slow >= 0) & (slow < self.pixels_s)

    def _depth(self, cosine: Floats) -> Floats:
        """Mean depth [n] (m) of the layers, by what each captures."""
        step, mu = (torch.tensor(x, dtype=torch.float64) for x in (self.layer_step, self.attenuation))
        obliquity = torch.from_numpy(np.abs(cosine))
        caught = [capture_fraction(layer, step, mu, obliquity).numpy() for layer in range(self.layers)]
        total = np.maximum(np.sum(caught, axis=0), 1e-300)
        mean: Floats = sum(layer * self.layer_step * c for layer, c in enumerate(caught)) / total
        return mean

    def corners(self) -> Floats:
        """Outer corners [b, 4, 3] (m)."""
        f, s = (self.fast * self.pixels_f * self.pixel_size), (self.slow * self.pixels_s * self.pixel_size)
        return np.stack([self.origin, self.origin + f, self.origin + s, self.origin + f + s], axis=1)


@dataclass(frozen=True)
class Sight:
    """b images of one block.

    Args:
        cells: [b, T, M, 3, 3] rows a, b, c (Å) of every phi step and mosaic domain.
        at_end: [b, M, 3, 3] the same at the spindle's end.
        at_start: [b, 3, 3] rows a, b, c at the spindle's start, without mosaicity.
        N: [b, 3] cells; `fudge` [b].
        wavelength: [b, Q] Å; `incident` [b, Q, 3] unit vectors; `weight` [Q].
        panels: the detector.
        spread: [b] the largest angle (rad) between a mosaic domain and their mean, about.
        phi: [b] spindle angle at the start (rad); `osc` (rad) what an image sweeps; `steps` of phi; `axis` [3].
    """

    cells: Floats
    at_end: Floats
    at_start: Floats
    N: Floats
    fudge: Floats
    wavelength: Floats
    incident: Floats
    weight: Floats
    panels: tuple[PanelSight, ...]
    spread: Floats
    phi: Floats
    osc: float
    steps: int
    axis: Floats

    def __len__(self) -> int:
        return len(self.cells)


def sight(base: Experiment, variants: dict[str, Tensor]) -> Sight:
    """The arrays of a block, all images in one call."""
    exact = base.physics == "exact"

    def settled(values: dict[str, Tensor]) -> tuple[Tensor, ...]:
        one = base
        for name, value in values.items():
            one = QUANTITIES[name].put(one, value)
        lattice = lattice_of(one.crystal, exact)
        mosaic, scan, beam = one.crystal.mosaic, one.scan, one.beam
        cells = orientations(one.crystal, lattice, scan)
        end = orientations(one.crystal, lattice, scan.replace(start=scan.start + scan.range, steps=1))
        still = rotate_about(lattice.direct, scan.axis, scan.start.expand(3))
        frames = [panel_frame_of(panel, beam.direction, exact) for panel in one.detector.panels]
        return (
            cells.reshape(scan.steps, mosaic.domains, 3, 3),
            end,
            still,
            one.crystal.N,
            one.crystal.fudge,
            beam.wavelength * beam.wavelength_ratios,
            -normalise(beam.source_positions),
            scan.start,
            *(part for frame in frames for part in (frame.origin, frame.fast, frame.slow, frame.normal)),
        )

    with torch.no_grad():
        found = [part.numpy() for part in torch.vmap(settled)(variants)]
    panels = []
    for index, panel in enumerate(base.detector.panels):
        origin, fast, slow, normal = found[8 + 4 * index : 12 + 4 * index]
        sensor = float(panel.layer_step) > 0
        panels.append(
            PanelSight(
                origin,
                fast,
                slow,
                normal,
                float(panel.pixel_size),
                panel.pixels_f,
                panel.pixels_s,
                panel.layers,
                float(panel.layer_step) if sensor else 0.0,
                float(panel.attenuation),
            )
        )
    cells, at_end, at_start, N, fudge, wavelength, incident, phi = found[:8]
    return Sight(
        cells=cells,
        at_end=at_end,
        at_start=at_start,
        N=N,
        fudge=fudge,
        wavelength=wavelength,
        incident=incident,
        weight=base.beam.weights.numpy(),
        panels=tuple(panels),
        spread=_spread(cells[:, 0]),
        phi=phi,
        osc=float(base.scan.range),
        steps=base.scan.steps,
        axis=base.scan.axis.numpy(),
    )


def _spread(cells: Floats) -> Floats:
    """How far the vectors of domains [b, M, 3, 3] differ from their mean, relative to their length."""
    mean = cells.mean(1, keepdims=True)
    apart = np.linalg.norm(cells - mean, axis=3) / np.linalg.norm(mean, axis=3)
    return np.asarray(apart.max((1, 2)))
