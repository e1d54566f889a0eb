"""Two results beside each other: on one grid, aligned, and measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.coherent.metrics import Aligned, Correlation, align, phase_error, ring_correlation
from nanobrag_torch.coherent.pie import State
from nanobrag_torch.coherent.reconstruct import scanned
from nanobrag_torch.errors import InputError
from nanobrag_torch.register import register

MOST_UNLIKE = 0.25
"""1 − correlation of amplitudes up to which two objects count as one."""


@dataclass(frozen=True)
class Comparison:
    """Aligned objects and what they differ by.

    `region` bool [H, W] where both are known; `phase` rad rms in it; `positions` pixels rms without their mean, and
    `None` when there are not as many; `rings` of the largest square in the region.
    """

    aligned: Aligned
    region: Tensor
    phase: float
    positions: float | None
    rings: Correlation


def compare_states(found: State, truth: State) -> Comparison:
    """Measure a result against another one of the same pixel size.

    Raises:
        InputError: the probes or objects cannot be compared. Objects are put beside each other by their positions,
            or by registration when there are not as many.
    """
    if found.probe.shape[-1] != truth.probe.shape[-1]:
        raise InputError(
            "probe", f"{found.probe.shape[-1]} beside {truth.probe.shape[-1]} pixels", "compare results of one scan"
        )
    same = len(found.positions) == len(truth.positions)
    apart = found.positions.mean(0) - truth.positions.mean(0) if same else registered(found, truth)
    there, known = on_grid(found, truth, apart)
    if not bool(known.any()):
        raise InputError("objects", "they have no scanned pixel in common", "compare results of one scan")
    aligned = align(there, truth.target, known)
    rest = found.positions - truth.positions - apart if same else None
    cut = _largest_square(known)
    return Comparison(
        aligned,
        known,
        phase_error(aligned, known),
        None if rest is None else float(rest.square().mean().sqrt()),
        ring_correlation(aligned.found[cut], aligned.truth[cut]),
    )


def registered(found: State, truth: State) -> Tensor:
    """How far [2] pixels the found object lies from the true one, by registration of their amplitudes.

    Raises:
        InputError: the amplitudes do not show it.
    """
    masks = scanned(found), scanned(truth)
    told = "their scans have other positions, and the amplitudes do not show where one lies in the other"
    refusal = InputError("objects", told, "compare results of one scan")
    try:
        result = register(found.target.abs(), truth.target.abs(), "shift", "ncc", keep=masks)
    except InputError as error:
        raise refusal from error
    if not result.converged or result.value > MOST_UNLIKE:
        raise refusal
    return result.transform.parameters.detach()


def on_grid(found: State, truth: State, apart: Tensor) -> tuple[Tensor, Tensor]:
    """The found object on the grid of the true one [H, W], moved by −apart in whole pixels, and where it is known."""
    rows, columns = truth.target.shape
    there = torch.zeros(rows, columns, dtype=torch.complex128)
    known = torch.zeros(rows, columns, dtype=torch.bool)
    top, left = (int(x) for x in torch.round(apart))
    h, w = found.target.shape
    r0, r1 = max(0, -top), min(rows, h - top)
    c0, c1 = max(0, -left), min(columns, w - left)
    if r1 > r0 and c1 > c0:
        there[r0:r1, c0:c1] = found.target[r0 + top : r1 + top, c0 + left : c1 + left]
        known[r0:r1, c0:c1] = scanned(found)[r0 + top : r1 + top, c0 + left : c1 + left]
    return there, known & scanned(truth)


def _largest_square(known: Tensor) -> tuple[slice, slice]:
    """A square around the middle of a region in which all is known."""
    places = torch.nonzero(known).to(torch.float64)
    middle = [int(x) for x in places.mean(0)]
    half = 4
    while half < min(known.shape) // 2:
        half += 1
        cut = tuple(slice(max(0, m - half), m + half) for m in middle)
        if not bool(known[cut].all()) or known[cut].shape != (2 * half, 2 * half):
            half -= 1
            break
    rows, columns = (slice(max(0, m - half), m + half) for m in middle)
    return rows, columns


def resolution(comparison: Comparison, pixel: float) -> float:
    """Half-bit resolution, half a period, in the unit of the pixel."""
    crossing = comparison.rings.crossing
    return pixel * 0.5 / crossing if crossing > 0.0 else math.inf
