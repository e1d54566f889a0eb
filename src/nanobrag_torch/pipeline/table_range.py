"""The first sample that interpolation finds outside the table (specs: structure_factors 5; deviations D03)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.models import Experiment
from nanobrag_torch.physics.accumulate import sub_pixel, sub_pixels, term
from nanobrag_torch.pipeline.render import pixel_scene
from nanobrag_torch.text import format_g

RUN_PIXELS = 64
"""Neighbouring pixels that are judged together."""
BLOCK_RUNS = 16384
"""Runs of pixels that are judged at once; what is seen later than a hit is not looked at."""
LARGEST_PIECE = 2_000_000
"""Numbers that are held at once."""


class Outside(NamedTuple):
    """Fractional indices h, k, l and the nearest whole ones of a sample outside the range of interpolation."""

    h: float
    k: float
    l: float

    @property
    def lines(self) -> tuple[str, str]:
        """The two lines of the C program."""
        nearest = ",".join(str(math.ceil(x - 0.5)) for x in self)
        text = f"out of range for three point interpolation: h,k,l,h0,k0,l0: {','.join(map(format_g, self))},{nearest} "
        return f"WARNING: {text}", "WARNING: further warnings will not be printed!"


@dataclass(frozen=True)
class _Range:
    """Bounds [3] within which indices can be interpolated."""

    low: Tensor
    high: Tensor

    @staticmethod
    def of(scene: PixelScene) -> _Range:
        origin = torch.tensor(scene.structure_factors.origin, dtype=torch.float64)
        return _Range(origin + 2, origin + torch.tensor(scene.structure_factors.sizes) - 3)

    def leaves(self, h: Tensor, slack: Tensor) -> Tensor:
        """Whether any of the indices h [..., M, 3], uncertain by `slack` [..., M, 3], may be outside; bool [...]."""
        return ~((h - slack >= self.low) & (h + slack <= self.high)).all(-1).all(-1)


def first_outside(experiment: Experiment, lists: Sequence[Tensor | None]) -> Outside | None:
    """The first sample of a render, in the order of the C program's loops, whose F cannot be interpolated.

    Runs of neighbouring pixels that cannot leave the table are passed over: h changes by at most |a|·Δ/λ when the
    direction to the pixel changes by Δ.

    Args:
        experiment: the settled scene.
        lists: per panel, the indices [P] of the pixels; `None` = all.
    """
    crystal = experiment.crystal
    if not crystal.interpolate or crystal.structure_factors.values is None:
        return None
    with torch.no_grad():
        for index, chosen in enumerate(lists):
            panel = experiment.detector.panels[index]
            scene = pixel_scene(experiment, index).to(torch.device("cpu"))
            count = panel.pixels_s * panel.pixels_f
            pixels = range(count) if chosen is None else chosen.cpu()
            for run in _doubtful_runs(scene, pixels) if len(pixels) else ():
                found = _first_of(scene, run)
                if found is not None:
                    return found
    return None


def _doubtful_runs(scene: PixelScene, pixels: Tensor | range) -> Iterator[Tensor]:
    """Runs of pixels, in order, of which a sample may be outside."""
    low, high = _whole_rows(scene, len(pixels)) if isinstance(pixels, range) else _listed(scene, pixels)
    for start in range(0, low.shape[1], BLOCK_RUNS):
        doubtful = _may_leave(scene, low[:, start : start + BLOCK_RUNS], high[:, start : start + BLOCK_RUNS])
        for run in (torch.nonzero(doubtful)[:, 0] + start).tolist():
            if isinstance(pixels, range):
                first = int(low[0, run]) * scene.pixels_f
                yield torch.arange(first + int(low[1, run]), first + int(high[1, run]) + 1)
            else:
                yield pixels[run * RUN_PIXELS : (run + 1) * RUN_PIXELS]


def _whole_rows(scene: PixelScene, count: int) -> tuple[Tensor, Tensor]:
    """Smallest and largest (slow, fast) [2, G] of the runs of a whole panel, none longer than a row."""
    starts = torch.arange(0, scene.pixels_f, RUN_PIXELS)
    ends = (starts + RUN_PIXELS - 1).clamp(max=scene.pixels_f - 1)
    slow = torch.arange(count // scene.pixels_f).repeat_interleave(len(starts))
    rows = count // scene.pixels_f
    return torch.stack([slow, starts.repeat(rows)]), torch.stack([slow, ends.repeat(rows)])


def _listed(scene: PixelScene, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest (slow, fast) [2, G] of the runs of a list of pixels [P]."""
    padded = torch.cat([pixels, pixels[-1:].expand(-len(pixels) % RUN_PIXELS)]).reshape(-1, RUN_PIXELS)
    slow = torch.div(padded, scene.pixels_f, rounding_mode="floor")
    fast = padded - slow * scene.pixels_f
    return torch.stack([slow.amin(1), fast.amin(1)]), torch.stack([slow.amax(1), fast.amax(1)])


def _may_leave(scene: PixelScene, low: Tensor, high: Tensor) -> Tensor:
    """Whether any sample between pixels (slow, fast) [2, G] may be outside; bool [G]."""
    middle = torch.div(low + high, 2, rounding_mode="floor")
    at = sub_pixel(replace(scene, oversample=1), middle[0] * scene.pixels_f + middle[1], 0, (0, 0))
    steps = torch.stack([scene.slow, scene.fast]).square().sum(-1, keepdim=True).sqrt() * scene.pixel_size
    halves = ((high - low).to(torch.float64) / 2.0 + 1.0) * steps
    far = halves.square().sum(0).sqrt() + abs(scene.layer_step) * scene.layers
    change = torch.where(at.distance > far, 2.0 * far / (at.distance - far), 2.0)
    lengths = scene.A.square().sum(-1).sqrt()
    within = _Range.of(scene)
    doubtful = torch.zeros(low.shape[1], dtype=torch.bool)
    for source, wavelength in enumerate(scene.wavelength):
        S = (at.directions - scene.incident[source]) / wavelength
        for piece in torch.split(torch.arange(low.shape[1]), max(1, LARGEST_PIECE // scene.A[..., 0].numel())):
            h = torch.einsum("mij,gj->gmi", scene.A, S[piece])
            doubtful[piece] |= within.leaves(h, lengths * (change[piece] / wavelength)[:, None, None])
    return doubtful


def _first_of(scene: PixelScene, pixels: Tensor) -> Outside | None:
    """The first sample of a run of pixels that is outside: by pixel, then layer, sub-pixel, source and orientation."""
    within = _Range.of(scene)
    first = torch.full((len(pixels),), -1, dtype=torch.int64)
    samples: list[tuple[Tensor, Tensor]] = []
    for at in sub_pixels(scene, pixels):
        for source in range(len(scene.incident)):
            now = term(scene, at, source)
            zero = torch.zeros((), dtype=torch.float64)
            cells = torch.split(scene.A, max(1, LARGEST_PIECE // (3 * len(pixels))))
            leaves = [within.leaves(torch.einsum("mij,pj->pmi", some, now.S), zero) for some in cells]
            hit = torch.stack(leaves).any(0) & now.kept & (first < 0)
            if bool(hit.any()):
                first[hit] = len(samples)
                samples.append((now.S, hit))
        if first[0] >= 0:
            break
    if not samples:
        return None
    pixel = int((first >= 0).to(torch.int8).argmax())
    S = samples[int(first[pixel])][0][pixel]
    h = scene.A @ S
    outside = ~((h >= within.low) & (h <= within.high)).all(-1)
    return Outside(*h[int(outside.to(torch.int8).argmax())].tolist())
