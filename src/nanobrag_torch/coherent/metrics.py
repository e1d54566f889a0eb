"""How far a reconstruction is from another one, once everything that no measurement tells is taken out.

A far-field intensity does not change when the object is multiplied by a constant phase, moved, or (for a lone object)
turned into its twin; with an unknown probe, not when it is multiplied by a constant or a phase ramp either. The error
of a right answer is therefore large until these are removed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError

STEPS = 60
"""Iterations of the fit of shift and ramp, at most."""


class Aligned(NamedTuple):
    """Two fields made comparable.

    `found` and `truth` complex [...], the ramp and factor taken from the first, the second moved to it; `error`
    ‖found − truth‖/‖truth‖ in the region; `shift` pixels by which the truth was moved; `ramp` rad/pixel that was taken
    away; `factor` that the found field was multiplied with; `twin` whether its twin was taken.
    """

    found: Tensor
    truth: Tensor
    error: float
    shift: tuple[float, ...]
    ramp: tuple[float, ...]
    factor: complex
    twin: bool


def relative_error(found: Tensor, truth: Tensor, region: Tensor | None = None) -> float:
    """‖found − truth‖/‖truth‖ as they stand, in a region (bool [...]) or everywhere."""
    chosen = torch.ones(truth.shape, dtype=torch.bool) if region is None else region
    return float((found[chosen] - truth[chosen]).norm() / truth[chosen].norm())


def align(
    found: Tensor, truth: Tensor, region: Tensor | None = None, *, ramp: bool = True, twin: bool = False
) -> Aligned:
    """Remove scale, phase, shift, and if asked for ramp and twin, between two fields.

    Args:
        found: complex [...] of one to three axes.
        truth: complex, the same shape; it is moved periodically.
        region: bool [...], in the frame of `found`: where they are compared; `None`: everywhere.
        ramp: whether a linear phase counts as the same object.
        twin: whether the conjugate mirror image counts as the same object.

    Raises:
        InputError: shapes differ, a field is not finite or all zero.
    """
    _check(found, truth)
    inside = torch.ones(truth.shape, dtype=torch.bool) if region is None else region
    first = found.to(torch.complex128)
    best = _aligned(first, truth.to(torch.complex128), inside, ramp)
    if twin:
        axes = tuple(range(first.dim()))
        other = _aligned(first.conj().flip(axes).resolve_conj(), truth.to(torch.complex128), inside, ramp)
        if other.error < best.error:
            return other._replace(twin=True)
    return best


def _check(found: Tensor, truth: Tensor) -> None:
    if found.shape != truth.shape or not 1 <= truth.dim() <= 3:
        raise InputError("found", f"{list(found.shape)} beside {list(truth.shape)}", "give fields of one shape")
    for name, field in (("found", found), ("truth", truth)):
        if not bool(torch.isfinite(torch.view_as_real(field.to(torch.complex128))).all()):
            raise InputError(name, "it has values that are not finite", "mask or repair them")
        if not bool((field != 0).any()):
            raise InputError(name, "it is zero everywhere", "give a field")


def _aligned(found: Tensor, truth: Tensor, inside: Tensor, ramp: bool) -> Aligned:
    starts = [_start(found, truth, inside, ramp, shift) for shift in (_whole_shift(found, truth, inside), None)]
    both = max(starts, key=lambda start: start[0])[1].requires_grad_()
    count = truth.dim()

    def remaining() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        there = shifted(truth, both[:count])
        here = found * ramp_field(found, -both[count:] if ramp else 0.0 * both[count:])
        f, t = here[inside], there[inside]
        factor = (f.conj() * t).sum() / (f.conj() * f).sum().real
        return here, there, factor, ((factor * f - t).abs() ** 2).sum() / (t.abs() ** 2).sum()

    search = torch.optim.LBFGS(
        [both], max_iter=STEPS, tolerance_grad=1e-15, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        search.zero_grad()
        loss = remaining()[3]
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    search.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        here, there, factor, loss = remaining()
    numbers = [float(x) for x in both.detach()]
    error = math.sqrt(max(float(loss), 0.0))
    return Aligned(factor * here, there, error, tuple(numbers[:count]), tuple(numbers[count:]), complex(factor), False)


def _start(found: Tensor, truth: Tensor, inside: Tensor, ramp: bool, shift: Tensor | None) -> tuple[float, Tensor]:
    """How well the fields agree at a shift (none: where they lie) and the best ramp for it, and both [2·d]."""
    place = torch.zeros(truth.dim(), dtype=torch.float64) if shift is None else shift
    there = shifted(truth, place)
    tilt = _ramp(found * inside * there.conj(), ramp)
    here = found * ramp_field(found, -tilt)
    agreed = (here[inside].conj() * there[inside]).sum().abs() / there[inside].norm()
    return float(agreed), torch.cat([place, tilt])


def _whole_shift(found: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """The shift [d] in whole pixels at which the steps between neighbours agree best, whatever the ramp."""
    total = torch.zeros(truth.shape, dtype=torch.float64)
    for axis in range(truth.dim()):
        f, t = (x.roll(-1, axis) * x.conj() for x in (found, truth))
        f, t = torch.where(inside, f - f[inside].mean(), 0.0), t - t.mean()
        total = total + torch.fft.ifftn(torch.fft.fftn(f) * torch.fft.fftn(t).conj()).abs()
    place = torch.unravel_index(total.argmax(), total.shape)
    return torch.stack([_centred(int(x), n) for x, n in zip(place, truth.shape, strict=True)])


def _ramp(product: Tensor, wanted: bool) -> Tensor:
    """The linear phase [d], rad/pixel, of a field: the peak of its transform, four times refined."""
    if not wanted:
        return torch.zeros(product.dim(), dtype=torch.float64)
    sizes = [4 * n for n in product.shape] if product.dim() < 3 else [2 * n for n in product.shape]
    spectrum = torch.fft.fftn(product, s=sizes).abs()
    place = torch.unravel_index(spectrum.argmax(), spectrum.shape)
    return torch.stack([_centred(int(x), n) * (2.0 * math.pi / n) for x, n in zip(place, sizes, strict=True)])


def _centred(place: int, size: int) -> Tensor:
    return torch.tensor(float(place if place <= size // 2 else place - size), dtype=torch.float64)


def shifted(field: Tensor, shift: Tensor) -> Tensor:
    """A complex field [...] moved periodically by `shift` [d] pixels towards larger numbers, by its Fourier series."""
    moved: Tensor = torch.fft.ifftn(torch.fft.fftn(field) * _plane_wave(field, -shift, frequencies=True))
    return moved


def ramp_field(like: Tensor, slope: Tensor) -> Tensor:
    """exp(i slope·x) on the grid of a field [...], zero in the middle; `slope` [d] in rad/pixel."""
    return _plane_wave(like, slope, frequencies=False)


def _plane_wave(like: Tensor, slope: Tensor, *, frequencies: bool) -> Tensor:
    phase = torch.zeros((), dtype=torch.float64)
    for axis, size in enumerate(like.shape):
        if frequencies:
            places = 2.0 * math.pi * torch.fft.fftfreq(size, dtype=torch.float64)
        else:
            places = torch.arange(size, dtype=torch.float64) - size / 2
        form = [1] * like.dim()
        form[axis] = size
        phase = phase + slope[axis] * places.reshape(form)
    return torch.complex(torch.cos(phase), torch.sin(phase))


def phase_error(aligned: Aligned, support: Tensor) -> float:
    """Root mean square (rad) of the phase between two aligned fields in a support (bool [...])."""
    product = (aligned.found * aligned.truth.conj())[support]
    middle = product.sum()
    return float(torch.angle(product * middle.conj()).square().mean().sqrt())


@dataclass(frozen=True)
class Correlation:
    """Correlation of two fields ring by ring (shell by shell).

    `frequency` [R] cycles/pixel, `correlation` [R], `half_bit` [R] the threshold of half a bit of information a voxel,
    `crossing` the frequency where the correlation first falls below it (0.5 if it never does).
    """

    frequency: Tensor
    correlation: Tensor
    half_bit: Tensor
    crossing: float


def ring_correlation(first: Tensor, second: Tensor) -> Correlation:
    """Fourier ring (2 axes) or shell (3 axes) correlation of two aligned fields of one shape.

    Both are multiplied by a Hann window. The threshold is that of van Heel & Schatz (2005), J. Struct. Biol. 151, 250:
    (0.2071 + 1.9102/√n)/(1.2071 + 0.9102/√n) for n independent voxels in a ring; half of a ring's voxels are counted
    as independent, as the window widens each by about that.
    """
    _check(first, second)
    size = min(first.shape)
    window = torch.ones((), dtype=torch.float64)
    radius = torch.zeros((), dtype=torch.float64)
    for axis, n in enumerate(first.shape):
        form = [1] * first.dim()
        form[axis] = n
        window = window * torch.hann_window(n, periodic=False, dtype=torch.float64).reshape(form)
        radius = radius + torch.fft.fftfreq(n, dtype=torch.float64).reshape(form) ** 2
    ring = torch.round(radius.sqrt() * size).long().reshape(-1)
    f, s = (torch.fft.fftn(x.to(torch.complex128) * window).reshape(-1) for x in (first, second))
    rings = size // 2 + 1

    def summed(values: Tensor) -> Tensor:
        kept = ring < rings
        return torch.zeros(rings, dtype=torch.float64).index_add(0, ring[kept], values[kept])

    correlation = summed((f * s.conj()).real) / (summed(f.abs() ** 2) * summed(s.abs() ** 2)).sqrt().clamp_min(1e-300)
    root = (0.5 * summed(torch.ones_like(f.real))).clamp_min(1.0).sqrt()
    half_bit = (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)
    frequency = torch.arange(rings, dtype=torch.float64) / size
    below = torch.nonzero((correlation < half_bit)[1:]).reshape(-1)
    crossing = float(frequency[int(below[0]) + 1]) if len(below) else 0.5
    return Correlation(frequency, correlation, half_bit, crossing)


def probe_diameter(probe: Tensor) -> float:
    """Diameter (pixels) of the disc as large as the probe, (Σ|P|²)²/Σ|P|⁴; complex [..., h, w], modes added up."""
    power = (probe.detach().abs() ** 2).reshape(-1, *probe.shape[-2:]).sum(0)
    area = float(power.sum() ** 2 / (power**2).sum())
    return 2.0 * math.sqrt(area / math.pi)


def scan_overlap(positions: Tensor, diameter: float) -> float:
    """1 − d/D, d the mean distance of a position [F, 2] to its nearest neighbour and D the diameter of the probe."""
    if len(positions) < 2:
        raise InputError("positions", f"{len(positions)} of them", "give at least two")
    nearest = []
    for some in torch.split(positions.detach(), 1024):
        apart = torch.cdist(some, positions.detach())
        nearest.append(torch.topk(apart, 2, largest=False).values[:, 1])
    return 1.0 - float(torch.cat(nearest).mean()) / diameter
