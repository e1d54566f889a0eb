"""Bragg coherent diffraction: the complex density of a crystal behind the intensities around one reflection.

Error reduction and hybrid input-output (Fienup 1982, Appl. Opt. 21, 2758) with a support that shrinks to the density
(Marchesini et al. 2003, Phys. Rev. B 68, 140101), from several random starts, then maximum likelihood of the cells in
the support, by any forward model that is differentiable, such as `crystal.array_image`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.coherent.metrics import align
from nanobrag_torch.errors import InputError


@dataclass(frozen=True)
class PhasingOptions:
    """How the iterations go.

    Args:
        cycles: rounds of `input_output` steps of hybrid input-output (with `feedback`) and `reduction` steps of error
            reduction; between them the support shrinks to where the density, blurred by `blur` cells (falling to 1
            after the last round), is above `threshold` of its largest value.
        edge: the last support is where the blurred density is above this share of what 9 cells in 10 stay below.
        ending: steps of error reduction on that support, which no longer moves.
        starts: random starts, from `seed` on.
    """

    cycles: int = 12
    input_output: int = 20
    reduction: int = 8
    feedback: float = 0.9
    threshold: float = 0.15
    blur: float = 2.5
    edge: float = 0.4
    ending: int = 60
    starts: int = 10
    seed: int = 1


class Phased(NamedTuple):
    """One start's `density` complex [A, B, C], its `support` (bool), and its misfit Σ(√n − |F|)²/Σn."""

    density: Tensor
    support: Tensor
    misfit: float


def phase_starts(
    counts: Tensor, support: Tensor, options: PhasingOptions, progress: Callable[[int, float], None] | None = None
) -> list[Phased]:
    """Densities from all starts, the best first.

    Intensities do not tell a density from its twin, so one of both is found. The transform of a density is
    exp(−2πi h·x), and that of `crystal` exp(+2πi h·x): weights of cells are the conjugate of a density.

    Args:
        counts: photons [A, B, C], the reflection in the middle (index n/2); negative or NaN where nothing was measured.
        support: bool [A, B, C]: where the crystal can be at most, at most half of each axis.
        options: of the iterations. progress: told the number of each start and its misfit.

    Raises:
        InputError: no photons, or a support that is empty or too large to be told from its aliases.
    """
    known = torch.isfinite(counts) & (counts >= 0)
    clean = torch.where(known, counts, 0.0).to(torch.float64)
    if counts.shape != support.shape or not bool((clean > 0).any()):
        raise InputError("counts", f"{list(counts.shape)} without photons or beside another support", "give both alike")
    if not 0.0 < float(support.double().mean()) <= 0.5:
        told = f"it fills {100 * float(support.double().mean()):.0f} % of the grid"
        raise InputError("support", told, "sample the fringes finer, so that it fills less than half")
    amplitude, measured = torch.fft.ifftshift(clean.sqrt()), torch.fft.ifftshift(known)
    found = []
    for number in range(options.starts):
        found.append(_phase(amplitude, measured, support, options, options.seed + number))
        if progress is not None:
            progress(number + 1, found[-1].misfit)
    return sorted(found, key=lambda one: one.misfit)


def _phase(amplitude: Tensor, measured: Tensor, widest: Tensor, options: PhasingOptions, seed: int) -> Phased:
    generator = torch.Generator().manual_seed(seed)
    angle = 2.0 * math.pi * torch.rand(amplitude.shape, generator=generator, dtype=torch.float64)
    density = torch.fft.ifftn(torch.polar(amplitude, angle), norm="ortho")
    support = widest
    for cycle in range(options.cycles):
        for step in range(options.input_output + options.reduction):
            projected = _with_amplitude(density, amplitude, measured)
            outside = density - options.feedback * projected if step < options.input_output else 0.0 * density
            density = torch.where(support, projected, outside)
        smooth = blurred(density.abs(), options.blur + (1.0 - options.blur) * cycle / max(1, options.cycles - 1))
        level = options.threshold * smooth.max()
        if cycle == options.cycles - 1:
            level = options.edge * smooth[support].quantile(0.9)
        support = widest & (smooth > level)
    density = torch.where(support, density, 0.0)
    for _ in range(options.ending):
        density = torch.where(support, _with_amplitude(density, amplitude, measured), 0.0)
    field = torch.fft.fftn(density, norm="ortho").abs()
    misfit = (torch.where(measured, field - amplitude, 0.0) ** 2).sum() / (amplitude**2).sum()
    return Phased(density, support, float(misfit))


def _with_amplitude(density: Tensor, amplitude: Tensor, measured: Tensor) -> Tensor:
    field = torch.fft.fftn(density, norm="ortho")
    known = field * (amplitude / field.abs().clamp_min(1e-300))
    result: Tensor = torch.fft.ifftn(torch.where(measured, known, field), norm="ortho")
    return result


def blurred(values: Tensor, sigma: float) -> Tensor:
    """Real values [A, B, C] convolved periodically with a Gaussian of `sigma` cells."""
    field = torch.fft.fftn(values)
    for axis, size in enumerate(values.shape):
        form = [1] * values.dim()
        form[axis] = size
        f = torch.fft.fftfreq(size, dtype=torch.float64)
        field = field * torch.exp(-2.0 * (math.pi * sigma * f) ** 2).reshape(form)
    result: Tensor = torch.fft.ifftn(field).real
    return result


def fit_cells(
    start: Tensor, support: Tensor, counts: Tensor, forward: Callable[[Tensor], Tensor], steps: int = 50
) -> tuple[Tensor, float]:
    """Cells [A, B, C] of the largest Poisson likelihood in a support, and −ln L a measured pixel above its least value.

    Args:
        start: complex [A, B, C]. support: bool, the same shape: other cells are zero.
        counts: photons [...], negative or NaN where nothing was measured.
        forward: expected photons [...] of complex cells [A, B, C].
        steps: of L-BFGS.
    """
    known = torch.isfinite(counts) & (counts >= 0)
    seen = torch.where(known, counts, 0.0).to(torch.float64)
    scale = start[support].abs().square().mean().sqrt()
    raw = torch.view_as_real(start[support] / scale).clone().requires_grad_()
    search = torch.optim.LBFGS(
        [raw], max_iter=steps, history_size=10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def cells() -> Tensor:
        inside = torch.view_as_complex(raw) * scale
        return torch.zeros(start.shape, dtype=torch.complex128).index_put((support,), inside)

    def loss() -> Tensor:
        expected = forward(cells()) + 1e-6
        terms = expected - seen - torch.xlogy(seen, expected / seen.clamp_min(1e-300))
        return torch.where(known, terms, 0.0).sum() / known.sum()

    def closure() -> Tensor:
        search.zero_grad()
        now = loss()
        now.backward()  # type: ignore[no-untyped-call]
        return now

    search.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return cells(), float(loss())


def agreement(found: list[Phased], tolerance: float = 0.2) -> float:
    """Share of starts whose density, aligned, is within `tolerance` (relative) of the best one's."""
    best = found[0].density
    near = [align(one.density, best, ramp=False, twin=True).error < tolerance for one in found]
    return sum(near) / len(near)
