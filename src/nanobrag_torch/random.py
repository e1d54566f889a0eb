"""Random numbers that belong to a pixel: a function of seed, frame, purpose and pixel, whoever asks and in what order.

Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC11, 2011: Parallel random numbers: as easy as 1, 2, 3). The key is the
seed; the counter holds a block (32 bits), the frame (64), the purpose (8) and a stage (24). In stage 0 word i of block
b belongs to pixel 4 b + i, and is the deviate of an inversion; in stage 1, 2, ... block b belongs to pixel b, as
attempt 1, 2, ... of a rejection. So noise does not depend on threads, chunks or regions. A small C library draws
(csrc/philox_noise.c), or plain NumPy where it was not built; both give the same counts.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanobrag_torch import native
from nanobrag_torch.memory import processors

Words = NDArray[np.uint32]
Floats = NDArray[np.float64]

LARGEST_INVERTED, MOST_STEPS, LARGEST_MEAN, MOST_ATTEMPTS = 12.0, 80, 1e15, 1000
_LIBRARY = "nanobrag_philox"
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_SMALL = np.cumsum(np.log(np.array([1.0, 1, 2, 3, 4, 5, 6, 7, 8, 9])))


class Purpose(IntEnum):
    """What a random number is for; the only list of them."""

    PHOTONS = 1
    READOUT = 2
    FLICKER = 3
    CALIBRATION = 4
    SHARED_FAST = 5
    SHARED_SLOW = 6
    ROUNDING = 7
    DEFECTS = 8


def philox(seed: int, frame: int, purpose: int, block: ArrayLike, stage: int = 0) -> Words:
    """Four random words [..., 4] of each block [...].

    Args:
        seed, frame: whole numbers, of which 64 bits count. purpose: below 256. stage: below 2^24.
        block: whole numbers from 0, below 2^32.
    """
    at = np.asarray(block, dtype=np.uint64)
    counter = np.empty((*at.shape, 4), dtype=np.uint64)
    counter[..., 0] = at
    counter[..., 1], counter[..., 2] = frame & 0xFFFFFFFF, frame >> 32 & 0xFFFFFFFF
    counter[..., 3] = purpose << 24 | stage
    return philox_words(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))


def philox_words(counter: NDArray[np.uint64], key: tuple[int, int]) -> Words:
    """The generator itself: words [..., 4] of counters [..., 4]."""
    c0, c1, c2, c3 = (counter[..., i] & _LOW for i in range(4))
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _HALF) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = k0 + 0x9E3779B9 & 0xFFFFFFFF, k1 + 0xBB67AE85 & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def uniforms(seed: int, frame: int, purpose: int, pixel: ArrayLike, stage: int = 1) -> tuple[Floats, Floats]:
    """Two deviates in (0, 1) of each pixel, with 53 bits each."""
    words = philox(seed, frame, purpose, pixel, stage).astype(np.float64)
    high, low = np.floor(words[..., 0::2] / 32.0), np.floor(words[..., 1::2] / 64.0)
    found = (high * 67108864.0 + low + 0.5) * (1.0 / 9007199254740992.0)
    return found[..., 0], found[..., 1]


def uniform(count: int, seed: int, frame: int, purpose: int, *, first: int = 0, threads: int | None = None) -> Floats:
    """Deviates in (0, 1), [count], of the pixels from `first` on: the first ones of `uniforms`, to the last bit."""
    library = native.load(_LIBRARY)
    if library is None:
        return uniforms(seed, frame, purpose, np.arange(first, first + count))[0]
    out = np.empty(count)
    stream = _stream(first, seed, frame, purpose, threads)
    library.nanobrag_philox_uniform(ctypes.c_int64(count), *stream, _address(out))
    return out


def normal(count: int, seed: int, frame: int, purpose: int, *, first: int = 0, threads: int | None = None) -> Floats:
    """Normal deviates [count] of the pixels from `first` on."""
    library = native.load(_LIBRARY)
    if library is None:
        u, v = uniforms(seed, frame, purpose, np.arange(first, first + count))
        deviates: Floats = np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v)
        return deviates
    out = np.empty(count)
    library.nanobrag_philox_normal(ctypes.c_int64(count), *_stream(first, seed, frame, purpose, threads), _address(out))
    return out


def poisson(
    means: Floats, seed: int, frame: int, purpose: int, *, first: int = 0, threads: int | None = None
) -> Floats:
    """Poisson deviates, whole numbers, of means [...] of the pixels from `first` on, in their order.

    A mean that is not positive gives 0, one above 1e15 itself, rounded down.
    """
    expected = np.ascontiguousarray(means, dtype=np.float64)
    library = native.load(_LIBRARY)
    if library is None:
        return poisson_in_numpy(expected.ravel(), seed, frame, purpose, first).reshape(expected.shape)
    out = np.empty_like(expected)
    stream = _stream(first, seed, frame, purpose, threads)
    library.nanobrag_philox_poisson(_address(expected), ctypes.c_int64(expected.size), *stream, _address(out))
    return out


def _stream(first: int, seed: int, frame: int, purpose: int, threads: int | None) -> list[object]:
    mask = 0xFFFFFFFFFFFFFFFF
    numbers = [ctypes.c_int64(first), ctypes.c_uint64(seed & mask), ctypes.c_uint64(frame & mask)]
    return [*numbers, ctypes.c_uint32(purpose), ctypes.c_int(threads or processors())]


def _address(array: Floats) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def poisson_in_numpy(means: Floats, seed: int, frame: int, purpose: int, first: int = 0) -> Floats:
    """The twin of csrc/philox_noise.c for means [n]: inversion below a mean of 12, else PTRS (Hörmann 1993)."""
    pixels = np.arange(first, first + len(means))
    words = philox(seed, frame, purpose, np.arange(first // 4, (first + len(means)) // 4 + 1)).ravel()
    small = (means > 0.0) & (means < LARGEST_INVERTED)
    out = _inverted(np.where(small, means, 0.0), words[first % 4 : first % 4 + len(means)])
    out[means > LARGEST_MEAN] = np.floor(means[means > LARGEST_MEAN])
    left = np.flatnonzero((means >= LARGEST_INVERTED) & (means <= LARGEST_MEAN))
    out[left] = np.floor(means[left])
    for attempt in range(1, MOST_ATTEMPTS):
        if not left.size:
            break
        found, accepted = _attempted(means[left], *uniforms(seed, frame, purpose, pixels[left], attempt))
        out[left[accepted]] = found[accepted]
        left = left[~accepted]
    return out


def _inverted(means: Floats, words: Words) -> Floats:
    """The first n with P(N <= n) >= u; exp(-m) as the 64th power of a polynomial, in the order of the C code."""
    t = means * (-1.0 / 64.0)
    term = 1.0 + t * (1.0 / 10.0)
    for n in range(9, 1, -1):
        term = 1.0 + t * (1.0 / n) * term
    term = 1.0 + t * term
    for _ in range(6):
        term = term * term
    total, found = term.copy(), np.zeros_like(means)
    deviate = (words.astype(np.float64) + 0.5) * (1.0 / 4294967296.0)
    beyond = np.ones(len(means), dtype=bool)
    for n in range(1, MOST_STEPS):
        beyond &= deviate > total
        found += beyond
        term = term * (means * (1.0 / n))
        total = total + term
        if not beyond.any():
            break
    return found


def _attempted(means: Floats, u: Floats, v: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """One attempt of the rejection for each mean: the whole number, and whether it is accepted."""
    b = 0.931 + 2.53 * np.sqrt(means)
    a = -0.059 + 0.02483 * b
    alpha, quick = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0)
    u = u - 0.5
    within = 0.5 - np.abs(u)
    n = np.floor((2.0 * a / within + b) * u + means + 0.43)
    refused = (n < 0.0) | ((within < 0.013) & (v > within))
    slow = np.log(v * alpha / (a / (within * within) + b)) <= n * np.log(means) - means - _log_factorial(n)
    return n, ((within >= 0.07) & (v <= quick)) | (~refused & slow)


def _log_factorial(n: Floats) -> Floats:
    safe = np.maximum(n, 10.0)
    r = 1.0 / safe
    q = r * r
    series = (safe + 0.5) * np.log(safe) - safe + 0.91893853320467274 + r * (1 / 12 - q * (1 / 360 - q * (1 / 1260)))
    return np.where(n < 10.0, _SMALL[np.clip(n, 0, 9).astype(int)], series)
