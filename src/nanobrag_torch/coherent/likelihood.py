"""Preconditioned maximum likelihood: the last steps of a reconstruction, against the noise that photons have.

−ln L = Σ (I − n ln I) over measured pixels, n ≈ photons + read-out variance on both sides. L-BFGS works on object,
probe and positions divided by the square roots of the diagonal of the Gauss-Newton matrix, so that one step length
suits all of them. Gradients are added up frame by frame: memory does not depend on how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.coherent.frames import Frames, batches
from nanobrag_torch.coherent.pie import Progress, State, orthogonal
from nanobrag_torch.coherent.ptychography import exit_waves, propagated


@dataclass(frozen=True)
class LikelihoodOptions:
    """How far maximum likelihood goes.

    Args:
        steps: of L-BFGS. batch: frames at once; no result depends on it. readout: rms of the read-out noise, photons.
        positions: whether they move. smoothness: weight of Σ|∇O|², per frame and photon; 0 asks for none.
    """

    steps: int = 40
    batch: int = 16
    readout: float = 0.0
    positions: bool = True
    smoothness: float = 0.0


def maximum_likelihood(
    frames: Frames, mask: Tensor, start: State, options: LikelihoodOptions, progress: Progress | None = None
) -> State:
    """The state of the largest likelihood near a start; `mask` bool [N, N]: pixels that were measured."""
    scales = _scales(start, frames.count, options.batch)
    raw = [torch.view_as_real(start.target / scales[0]).clone(), torch.view_as_real(start.probe / scales[1]).clone()]
    raw += [start.positions / scales[2]]
    moving = [tensor.requires_grad_() for tensor in (raw if options.positions else raw[:2])]
    measured = torch.fft.ifftshift(mask)
    search = torch.optim.LBFGS(
        moving, max_iter=options.steps, history_size=10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )
    limit = torch.tensor([n - start.probe.shape[-1] + 0.49 for n in start.target.shape], dtype=torch.float64)
    done = 0

    def state() -> State:
        target, probe = torch.view_as_complex(raw[0]) * scales[0], torch.view_as_complex(raw[1]) * scales[1]
        return State(target, probe, torch.minimum((raw[2] * scales[2]).clamp_min(-0.49), limit))

    def closure() -> float:
        nonlocal done
        search.zero_grad()
        total = 0.0
        for numbers in batches(frames.count, options.batch):
            read = torch.fft.ifftshift(frames.read(numbers), dim=(-2, -1))
            loss = frame_loss(state(), numbers, read, measured, options.readout)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if options.smoothness > 0.0:
            rough = options.smoothness * roughness(state())
            rough.backward()  # type: ignore[no-untyped-call]
            total += float(rough.detach())
        done += 1
        if progress is not None:
            progress("likelihood", min(done, options.steps), options.steps, total / frames.count)
        return total

    search.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        found = state()
        return State(found.target.clone(), orthogonal(found.probe), found.positions.clone())


def frame_loss(state: State, numbers: list[int], counts: Tensor, measured: Tensor, readout: float) -> Tensor:
    """−ln L [] of frames, above its least value; counts [B, N, N] and mask in the order of the transform."""
    field = propagated(exit_waves(state.target, state.probe, state.positions[numbers]).waves)
    more = readout**2
    expected = (field.real**2 + field.imag**2).sum(1) + (more + 1e-6)
    seen = torch.where(measured, counts + more, 1.0).clamp_min(0.0)
    terms = expected - seen - torch.xlogy(seen, expected / seen.clamp_min(1e-300))
    return torch.where(measured, terms, 0.0).sum()


def roughness(state: State) -> Tensor:
    """Σ|∇O|² [], weighted with the photons of the probe."""
    photons = (state.probe.detach().abs() ** 2).sum()
    steps = [(state.target.diff(dim=axis).abs() ** 2).sum() for axis in (0, 1)]
    return photons * (steps[0] + steps[1])


@torch.no_grad()
def _scales(start: State, count: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Square roots of the inverse diagonal for object [H, W], probe [1, N, N] and positions [F, 1]."""
    size = start.probe.shape[-1]
    light = torch.zeros(start.target.numel(), dtype=torch.float64)
    matter = torch.zeros(size, size, dtype=torch.float64)
    slopes = torch.zeros(count, dtype=torch.float64)
    frequency = 2.0 * torch.pi * torch.fft.fftfreq(size, dtype=torch.float64)
    wave = torch.fft.ifft2(torch.fft.fft2(start.probe) * (1j * frequency))
    steep = (wave.abs() ** 2).sum(0)
    for numbers in batches(count, batch):
        here = exit_waves(start.target, start.probe, start.positions[numbers])
        light.index_add_(0, here.places.reshape(-1), (here.probes.abs() ** 2).sum(1).reshape(-1))
        power = here.patches.abs() ** 2
        matter += power.sum(0)
        slopes[numbers] = (power * steep).sum((1, 2))
    target = (light + 0.05 * light.max()).rsqrt().reshape(start.target.shape)
    return target, (matter + 0.05 * matter.max()).rsqrt()[None], (slopes + 0.05 * slopes.max()).rsqrt()[:, None]
