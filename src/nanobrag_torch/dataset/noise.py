"""From expected photons to counts: Poisson deviates, each a function of seed, image and pixel.

Philox4x32-10 gives pixel 4 b + i word i of block b of its image. Below a mean of `LARGEST_INVERTED` that word is the
deviate of an inversion, n = the first whole number with P(N <= n) >= u; above it a rejection takes block p of stage
1, 2, ... for attempt 1, 2, ... of pixel p (PTRS; Hörmann, Insurance: Mathematics and Economics 12 (1993) 39). A small C
library draws (csrc/counts.c), or plain NumPy where that was not built, much slower; both give the same counts.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch import native
from nanobrag_torch.dataset.draws import philox
from nanobrag_torch.dataset.population import Noise

Floats = NDArray[np.float64]

LARGEST_INVERTED, MOST_STEPS, LARGEST_MEAN = 12.0, 80, 1e15
_WORD = 1.0 / 4294967296.0
_LIBRARY = "nanobrag_counts"


def photons(expected: Floats, seed: int, numbers: Sequence[int]) -> Floats:
    """Photons [b, ...], whole numbers, of expected ones [b, ...] of images of these numbers.

    A mean that is not positive gives 0, one above 1e15 itself.
    """
    means = np.ascontiguousarray(expected, dtype=np.float64)
    library = native.load(_LIBRARY)
    drawn = np.empty_like(means)
    for place, number in enumerate(numbers):
        if library is None:
            drawn[place] = draw_in_numpy(means[place].ravel(), seed, number).reshape(means.shape[1:])
        else:
            library.nanobrag_poisson(
                means[place].ctypes.data_as(ctypes.c_void_p),
                ctypes.c_int64(means[place].size),
                ctypes.c_uint64(seed),
                ctypes.c_uint64(number),
                drawn[place].ctypes.data_as(ctypes.c_void_p),
            )
    return drawn


def counts(drawn: Floats, noise: Noise) -> NDArray[np.uint16]:
    """What is stored of photons: times the gain, plus the offset, cut at the saturation."""
    scaled = drawn * noise.gain if noise.gain != 1.0 else drawn
    if not noise.photons or noise.gain != 1.0:
        scaled = np.rint(scaled)
    return np.minimum(scaled + noise.offset, noise.saturation).astype(np.uint16)


def draw_in_numpy(means: Floats, seed: int, number: int) -> Floats:
    """The twin of csrc/counts.c for pixels [n] of one image."""
    pixels = np.arange(len(means))
    small = (means > 0) & (means < LARGEST_INVERTED)
    found = _inverted(np.where(small, means, 0.0), _blocks(-(-len(means) // 4), seed, number, 0).ravel()[: len(means)])
    for pixel in pixels[means >= LARGEST_INVERTED]:
        mean = float(means[pixel])
        found[pixel] = _rejected(mean, int(pixel), seed, number) if mean <= LARGEST_MEAN else math.floor(mean)
    return found


def _blocks(count: int, seed: int, number: int, stage: int, first: int = 0) -> NDArray[np.uint64]:
    counter = np.zeros((count, 4), dtype=np.uint64)
    counter[:, 0] = np.arange(first, first + count)
    counter[:, 1], counter[:, 2], counter[:, 3] = number & 0xFFFFFFFF, number >> 32, stage
    return philox(counter, (seed & 0xFFFFFFFF, seed >> 32))


def _inverted(means: Floats, words: NDArray[np.uint64]) -> Floats:
    t = means * (-1.0 / 64.0)
    term = 1.0 + t * (1.0 / 10.0)
    for n in range(9, 1, -1):
        term = 1.0 + t * (1.0 / n) * term
    term = 1.0 + t * term
    for _ in range(6):
        term = term * term
    total, found = term.copy(), np.zeros_like(means)
    deviate = (words.astype(np.float64) + 0.5) * _WORD
    open_ = np.ones(len(means), dtype=bool)
    for n in range(1, MOST_STEPS):
        open_ &= deviate > total
        found += open_
        term = term * (means * (1.0 / n))
        total = total + term
        if not open_.any():
            break
    return found


def _rejected(mean: float, pixel: int, seed: int, number: int) -> float:
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha, v_r = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0)
    attempt = 0
    while True:
        attempt += 1
        c = [float(word) for word in _blocks(1, seed, number, attempt, pixel)[0]]
        u = (c[0] + (c[1] + 0.5) * _WORD) * _WORD - 0.5
        v = (c[2] + (c[3] + 0.5) * _WORD) * _WORD
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_r:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        if math.log(v * inverse_alpha / (a / (us * us) + b)) <= k * math.log(mean) - mean - math.lgamma(k + 1.0):
            return k
