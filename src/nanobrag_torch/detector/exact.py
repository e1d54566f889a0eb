"""noisify's noise chain with its defects put right (specs: noisify 6).

The calibration is a fixed pattern, flicker common to a frame, the point spread conserves photons (those that it carries
over an edge are lost and stated), faint pixels are spread like others, values below 0 are stored as 0, and 32 bits are
used to the full. All random numbers belong to their pixels (`nanobrag_torch.random`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch import random
from nanobrag_torch.detector.chain import DEFAULT_CALIBRATION_STATE, FIBER, LN16, Chain, Floats, NoiseImage, Spread
from nanobrag_torch.random import Purpose

Doubles = NDArray[np.float64]

GAUSS_REACH = 3.7
"""Widths beyond which a Gaussian's integral is below 1e-16 of it."""


def noiseless(photons: Floats, chain: Chain) -> NDArray[Any]:
    """Stored values of expected photons [slow, fast], cut to what the bits hold."""
    return _stored(photons.astype(np.float64) * chain.gain + chain.adc, chain)


def noise_image(photons: Floats, chain: Chain, frame: int = 0) -> NoiseImage:
    """A noise image [slow, fast] of expected photons; frames of one seed differ, their calibration does not."""
    expected = photons.astype(np.float64).ravel()
    if chain.flicker > 0.0:
        expected *= 1.0 + chain.flicker * float(random.normal(1, chain.seed, frame, Purpose.FLICKER)[0])
    if chain.calibration > 0.0:
        expected *= 1.0 + chain.calibration * calibration_pattern(expected.size, chain)
    counted = random.poisson(expected, chain.seed, frame, Purpose.PHOTONS).reshape(photons.shape)
    before, spread = None, None
    if chain.spread is not None:
        before = float(counted.sum())
        spread = spread_image(counted, chain)
        counted = spread.image.astype(np.float64)
    values = counted * chain.gain + chain.adc
    if chain.readout > 0.0:
        values += chain.readout * random.normal(values.size, chain.seed, frame, Purpose.READOUT).reshape(values.shape)
    overloads = int((values > chain.largest).sum())
    return NoiseImage(_stored(values, chain), float(counted.sum()), overloads, before, spread)


def calibration_pattern(pixels: int, chain: Chain) -> Doubles:
    """The deviates [pixels] of the fixed pattern, unit variance: those of the calibration seed alone."""
    seed = DEFAULT_CALIBRATION_STATE if chain.calibration_seed is None else chain.calibration_seed
    return random.normal(pixels, seed, 0, Purpose.CALIBRATION)


def _stored(values: Doubles, chain: Chain) -> NDArray[Any]:
    return np.trunc(np.clip(values, 0.0, chain.largest)).astype(np.int64).astype(chain.stored)


def spread_image(photons: NDArray[Any], chain: Chain) -> Spread:
    """The photons [slow, fast] convolved with the law's integrals over pixels.

    Their sum over the plane is 1; over the circle of a given radius they are divided by their sum. `added_back` is the
    negative of what left the frame.
    """
    values = photons.astype(np.float64)
    slow, fast = values.shape
    most = max(slow, fast)
    reach = chain.radius or (math.ceil(GAUSS_REACH * chain.width) + 1 if chain.spread == "gauss" else most)
    reach = min(reach, most)
    reach_s, reach_f = min(reach, slow - 1), min(reach, fast - 1)
    whole = kernel_of(replace(chain, radius=min(chain.radius, most)), reach, reach)
    kernel = whole[reach - reach_s : reach + reach_s + 1, reach - reach_f : reach + reach_f + 1]
    shape = (slow + reach_s, fast + reach_f)  # what wraps around falls outside the frame
    wrapped = np.zeros(shape)
    wrapped[: kernel.shape[0], : kernel.shape[1]] = kernel
    wrapped = np.roll(wrapped, (-reach_s, -reach_f), (0, 1))
    spread = np.fft.irfft2(np.fft.rfft2(values, shape) * np.fft.rfft2(wrapped), shape)
    image = np.maximum(spread[:slow, :fast], 0.0)
    lost = float(values.sum() - image.sum())
    return Spread(image.astype(np.float32), float(values.max(initial=0.0)), max(reach_s, reach_f), -lost)


def kernel_of(chain: Chain, reach_f: int, reach_s: int) -> Doubles:
    """The law's integrals [2 reach_s + 1, 2 reach_f + 1] over pixels around a point at a pixel's middle."""
    fast, slow = np.arange(-reach_f, reach_f + 1.0), np.arange(-reach_s, reach_s + 1.0)
    if chain.spread == "gauss":
        one = [_gauss_integrals(x, chain.width) for x in (slow, fast)]
        kernel = np.outer(one[0], one[1])
    else:
        x, y = np.append(fast - 0.5, fast[-1] + 0.5), np.append(slow - 0.5, slow[-1] + 0.5)
        g = FIBER * chain.width
        corner = np.arctan2(np.outer(y, x), g * np.sqrt(g * g + x[None, :] ** 2 + y[:, None] ** 2)) / (2.0 * math.pi)
        kernel = np.diff(np.diff(corner, axis=0), axis=1)
    if chain.radius:
        kernel = np.where(fast[None, :] ** 2 + slow[:, None] ** 2 <= chain.radius**2, kernel, 0.0)
        kernel = kernel / kernel.sum()
    return kernel


def _gauss_integrals(at: Doubles, width: float) -> Doubles:
    """½ [erf(√ln16 (d+½)/w) − erf(√ln16 (d−½)/w)] of offsets d."""
    edges = [math.erf(math.sqrt(LN16) * x / width) for x in np.append(at - 0.5, at[-1] + 0.5).tolist()]
    return 0.5 * np.diff(np.array(edges))
