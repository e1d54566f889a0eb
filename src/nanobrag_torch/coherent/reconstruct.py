"""From frames to object, probe and positions: rPIE first, then maximum likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.coherent.frames import Frames, checked_sum
from nanobrag_torch.coherent.likelihood import LikelihoodOptions, maximum_likelihood
from nanobrag_torch.coherent.pie import PieOptions, Progress, State, rpie
from nanobrag_torch.coherent.ptychography import check_overlap, check_positions, check_together, exit_waves
from nanobrag_torch.errors import ImageError, InputError

MARGIN = 8.0
"""Pixels of object beyond the outermost frames, room for positions that move."""
LEAST_LIGHT = 0.3
"""Share of the largest illumination from which a pixel of the object counts as scanned."""


@dataclass(frozen=True)
class Options:
    """How a reconstruction goes: `modes` of the probe, rPIE, then `likelihoods` rounds of maximum likelihood."""

    modes: int = 1
    pie: PieOptions = field(default_factory=PieOptions)
    likelihood: LikelihoodOptions = field(default_factory=LikelihoodOptions)
    likelihoods: int = 2


class Reconstruction(NamedTuple):
    """`state` with positions in pixels of its object; these are those that were given plus `offset` [2] and changes.

    `scanned` bool [H, W]: where the object was lit well enough to be known.
    """

    state: State
    offset: Tensor
    scanned: Tensor


def reconstruct(
    frames: Frames,
    mask: Tensor,
    positions: Tensor,
    options: Options,
    *,
    probe: Tensor | None = None,
    progress: Progress | None = None,
) -> Reconstruction:
    """Object, probe and positions behind far-field frames.

    Args:
        frames: photons. mask: bool [N, N], pixels that were measured.
        positions: [F, 2] pixels of the object, any origin.
        options: of all stages. probe: complex [M, N, N] to start from; `None`: a Gaussian as wide as the steps suggest.
        progress: told after every step.

    Raises:
        InputError: frames, mask or positions that cannot serve: an overlap below 60 % even for the widest probe that
            the frames sample, or places apart from the rest of the scan. ImageError: nothing came of it.
    """
    _check_places(frames, positions)
    total = checked_sum(frames, mask, options.pie.batch)
    offset = MARGIN - positions.min(0).values
    places = positions.to(torch.float64) + offset
    rows, columns = (int(math.ceil(float(x) + frames.size + MARGIN)) for x in places.max(0).values)
    check_positions(places, frames.size, (rows, columns))
    photons = float(total.sum()) / frames.count
    begun = starting_probe(photons, frames.size, positions, options.modes) if probe is None else probe
    state = State(torch.ones(rows, columns, dtype=torch.complex128), begun.to(torch.complex128), places)
    state = rpie(frames, mask, state, options.pie, progress)
    for _ in range(options.likelihoods):
        state = maximum_likelihood(frames, mask, state, options.likelihood, progress)
    state = normalised(state)
    if not bool(torch.isfinite(torch.view_as_real(state.target)).all()) or not bool((state.probe != 0).any()):
        raise ImageError("the reconstruction came to nothing: look at the mask, the positions and the first frames")
    return Reconstruction(state, offset, scanned(state))


def _check_places(frames: Frames, positions: Tensor) -> None:
    """Refuse positions that do not belong to the frames, or that no probe sampled by them could join."""
    if positions.dim() != 2 or positions.shape[1] != 2:
        raise InputError("positions", f"their shape is {list(positions.shape)}", "give [frames, 2]")
    if len(positions) != frames.count:
        raise InputError("positions", f"{len(positions)} for {frames.count} frames", "give one for each")
    if not bool(torch.isfinite(positions).all()):
        raise InputError("positions", "some are not finite", "give finite numbers")
    check_together(positions, frames.size)
    check_overlap(positions, frames.size / 2)


def starting_probe(photons: float, size: int, positions: Tensor, modes: int) -> Tensor:
    """A real Gaussian [modes, N, N], 1.8 steps of the scan wide (1/e), and weak modes with nodes beside it."""
    step = float(size) / 8
    if len(positions) > 1:
        step = float(torch.topk(torch.cdist(positions[:2000], positions), 2, largest=False).values[:, 1].median())
    width = min(max(1.8 * step, 2.0), size / 4)
    line = (torch.arange(size, dtype=torch.float64) - size // 2) / width
    blob = torch.exp(-(line[:, None] ** 2 + line**2))
    forms = [blob * line[:, None] ** (k - k // 2) * line ** (k // 2) for k in range(modes)]
    shares = [1.0] + [0.1 / max(1, modes - 1)] * (modes - 1)
    scaled = [f * math.sqrt(photons * s / sum(shares)) / f.norm() for f, s in zip(forms, shares, strict=True)]
    return torch.stack(scaled).to(torch.complex128)


def scanned(state: State) -> Tensor:
    """Where the object [H, W] gets at least `LEAST_LIGHT` of the largest illumination, bool."""
    light = torch.zeros(state.target.numel(), dtype=torch.float64)
    for some in torch.split(state.positions, 64):
        here = exit_waves(state.target, state.probe, some)
        light.index_add_(0, here.places.reshape(-1), (here.probes.abs() ** 2).sum(1).reshape(-1))
    return light.reshape(state.target.shape) > LEAST_LIGHT * light.max()


def normalised(state: State) -> State:
    """The same exit waves with an object of root mean square 1 where it was scanned."""
    known = scanned(state)
    scale = state.target[known].abs().square().mean().sqrt()
    return State(state.target / scale, state.probe * scale, state.positions)
