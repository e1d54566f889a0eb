"""The ptychographic iterative engine with a regularised step (rPIE), for object, probe modes and positions.

After Maiden, Johnson & Li (2017), Optica 4, 736, in batches: numerators and denominators of a batch are summed before
each step. Positions take a damped Gauss-Newton step on the same exit waves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nanobrag_torch.coherent.frames import Frames, batches
from nanobrag_torch.coherent.ptychography import Exit, exit_waves, moved, propagated

Progress = Callable[[str, int, int, float], None]
"""Called with the name of the stage, steps done, all steps, and the misfit."""


@dataclass(frozen=True)
class State:
    """What is looked for: object complex [H, W], probe complex [M, N, N], positions [F, 2] pixels."""

    target: Tensor
    probe: Tensor
    positions: Tensor


@dataclass(frozen=True)
class PieOptions:
    """How the engine steps.

    Args:
        epochs: passes over all frames. batch: frames a step. alpha: weight of the largest illumination in the
            denominator, object and probe. probe_from, positions_from: epochs from which these move.
        position_reach: pixels that a position may leave its start by. seed: order of the frames.
    """

    epochs: int = 60
    batch: int = 16
    alpha: float = 0.1
    probe_from: int = 2
    positions_from: int = 10
    position_step: float = 0.5
    position_reach: float = 4.0
    seed: int = 1


def rpie(frames: Frames, mask: Tensor, start: State, options: PieOptions, progress: Progress | None = None) -> State:
    """Object, probe and positions after some epochs; `mask` bool [N, N]: pixels that were measured."""
    generator = torch.Generator().manual_seed(options.seed)
    measured = torch.fft.ifftshift(mask)
    state, origin = start, start.positions
    for epoch in range(options.epochs):
        misfit = 0.0
        for numbers in batches(frames.count, options.batch, generator):
            read = torch.fft.ifftshift(frames.read(numbers), dim=(-2, -1)).clamp_min(0.0)
            state, part = _step(state, origin, numbers, torch.where(measured, read, -1.0), epoch, options)
            misfit += part
        state = replace(state, probe=orthogonal(state.probe))
        if progress is not None:
            progress("rPIE", epoch + 1, options.epochs, misfit / frames.count)
    return state


def _step(  # noqa: PLR0913
    state: State, origin: Tensor, numbers: list[int], counts: Tensor, epoch: int, options: PieOptions
) -> tuple[State, float]:
    """One batch; `counts` [B, N, N] in the order of the transform, negative where nothing was measured."""
    here = state.positions[numbers]
    waves = exit_waves(state.target, state.probe, here)
    change, misfit = corrections(waves.waves, counts)
    target = state.target + _object_step(state.target, waves, change, options.alpha)
    probe, positions = state.probe, state.positions
    if epoch >= options.probe_from:
        probe = probe + _probe_step(waves, change, here - torch.round(here), options.alpha)
    if epoch >= options.positions_from:
        moved = here + options.position_step * position_steps(waves, change)
        reach = options.position_reach
        kept = origin[numbers] + (moved - origin[numbers]).clamp(-reach, reach)
        edge = torch.tensor([n - state.probe.shape[-1] for n in state.target.shape], dtype=kept.dtype)
        positions = positions.clone()
        positions[numbers] = torch.minimum(kept.clamp_min(0.0), edge)
    return State(target, probe, positions), misfit


def corrections(waves: Tensor, counts: Tensor) -> tuple[Tensor, float]:
    """What exit waves [B, M, N, N] lack to give the counted photons, and the squared misfit of the amplitudes."""
    field = propagated(waves)
    expected = (field.real**2 + field.imag**2).sum(1)
    known = counts >= 0
    root = expected.clamp_min(1e-30).sqrt()
    wanted = torch.where(known, counts.clamp_min(0.0).sqrt(), root)
    change: Tensor = torch.fft.ifft2(field * (wanted / root - 1.0)[:, None], norm="ortho")
    return change, float(((wanted - root) ** 2).sum())


def _object_step(target: Tensor, waves: Exit, change: Tensor, alpha: float) -> Tensor:
    top = (waves.probes.conj() * change).sum(1).reshape(-1)
    power = (waves.probes.abs() ** 2).sum(1).reshape(-1)
    places = waves.places.reshape(-1)
    above = torch.zeros(target.numel(), dtype=target.dtype).index_add_(0, places, top)
    below = torch.zeros(target.numel(), dtype=power.dtype).index_add_(0, places, power)
    step: Tensor = above / ((1.0 - alpha) * below + alpha * below.max())
    return step.reshape(target.shape)


def _probe_step(waves: Exit, change: Tensor, rest: Tensor, alpha: float) -> Tensor:
    """The probe's step, each frame's part moved back by the rest of its position."""
    above = moved(waves.patches.conj()[:, None] * change, -rest).sum(0)
    below = (waves.patches.abs() ** 2).sum(0)
    step: Tensor = above / ((1.0 - alpha) * below + alpha * below.max())
    return step


def position_steps(waves: Exit, change: Tensor) -> Tensor:
    """The Gauss-Newton step [B, 2] of positions, at most half a pixel, for exit waves that should change so."""
    size = waves.probes.shape[-1]
    frequency = 2.0 * math.pi * torch.fft.fftfreq(size, dtype=torch.float64)
    spectrum = torch.fft.fft2(waves.probes)
    slopes = []
    for wave in (frequency[:, None], frequency[None, :]):
        slope = -torch.fft.ifft2(spectrum * (1j * wave)) * waves.patches[:, None]
        slopes.append(slope)
    normal = torch.stack([torch.stack([(a.conj() * b).real.sum((1, 2, 3)) for b in slopes], -1) for a in slopes], -2)
    right = torch.stack([(a.conj() * change).real.sum((1, 2, 3)) for a in slopes], -1)
    damped = normal + 1e-3 * normal.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None] * torch.eye(2)
    step: Tensor = torch.linalg.solve(damped, right)
    return step.clamp(-0.5, 0.5)


def orthogonal(probe: Tensor) -> Tensor:
    """The same incoherent probe [M, N, N] in orthogonal modes, the strongest first."""
    if len(probe) == 1:
        return probe
    rows = probe.reshape(len(probe), -1)
    _, vectors = torch.linalg.eigh(rows @ rows.conj().T)
    turned: Tensor = vectors.flip(1).conj().T @ rows
    return turned.reshape(probe.shape)
