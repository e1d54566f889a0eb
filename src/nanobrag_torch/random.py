"""Random numbers that belong to a pixel: a function of seed, frame, purpose and pixel, whoever asks and in what order.

Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC11, 2011: Parallel random numbers: as easy as 1, 2, 3). The key is the
seed; the counter holds the pixel (64 bits), the frame (32) and the purpose with the attempt of a rejection method. So
noise does not depend on threads, chunks or regions. A small C library draws, or plain NumPy where it was not built.
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

LARGEST_INVERTED, LARGEST_MEAN, MOST_ATTEMPTS = 10.0, 1e15, 1000
_LIBRARY = "nanobrag_philox"
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_SMALL = np.cumsum(np.log(np.array([1.0, 1, 2, 3, 4, 5, 6, 7, 8, 9])))


class Purpose(IntEnum):
    """What a random number is for; the only list of them."""

    PHOTONS = 1
    READOUT = 2
    FLICKER = 3
    CALIBRATION = 4


def philox(seed: int, frame: int, purpose: int, pixel: ArrayLike, attempt: int = 0) -> Words:
    """Four random words [..., 4] of each pixel [...].

    Args:
        seed: any whole number, of which 64 bits count. frame: from 0, 32 bits. purpose: below 256.
        pixel: whole numbers from 0. attempt: a further block for the same pixel.
    """
    at = np.asarray(pixel, dtype=np.uint64)
    c0, c1 = at & _LOW, at >> _HALF
    c2 = np.full_like(at, frame & 0xFFFFFFFF)
    c3 = np.full_like(at, (purpose | attempt << 8) & 0xFFFFFFFF)
    return philox_words(np.stack([c0, c1, c2, c3], axis=-1), (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))


def philox_words(counter: NDArray[np.uint64], key: tuple[int, int]) -> Words:
    """The generator itself: words [..., 4] of counters [..., 4]."""
    c0, c1, c2, c3 = (counter[..., i] & _LOW for i in range(4))
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _HALF) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = k0 + 0x9E3779B9 & 0xFFFFFFFF, k1 + 0xBB67AE85 & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def uniforms(seed: int, frame: int, purpose: int, pixel: ArrayLike, attempt: int = 0) -> tuple[Floats, Floats]:
    """Two deviates in (0, 1) of each pixel, with 53 bits each."""
    words = philox(seed, frame, purpose, pixel, attempt).astype(np.float64)
    high, low = np.floor(words[..., 0::2] / 32.0), np.floor(words[..., 1::2] / 64.0)
    found = (high * 67108864.0 + low + 0.5) * (1.0 / 9007199254740992.0)
    return found[..., 0], found[..., 1]


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
    """Poisson deviates [count], whole numbers, of means [count] of the pixels from `first` on.

    A mean that is not positive gives 0, one above 1e15 itself, rounded down.
    """
    expected = np.ascontiguousarray(means, dtype=np.float64)
    library = native.load(_LIBRARY)
    if library is None:
        return poisson_in_numpy(expected, seed, frame, purpose, first)
    out = np.empty_like(expected)
    stream = _stream(first, seed, frame, purpose, threads)
    library.nanobrag_philox_poisson(_address(expected), ctypes.c_int64(expected.size), *stream, _address(out))
    return out


def _stream(first: int, seed: int, frame: int, purpose: int, threads: int | None) -> list[object]:
    mask = 0xFFFFFFFFFFFFFFFF
    numbers = [ctypes.c_uint64(x & mask) for x in (first, seed, frame, purpose)]
    return [*numbers, ctypes.c_int(threads or processors())]


def _address(array: Floats) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def poisson_in_numpy(means: Floats, seed: int, frame: int, purpose: int, first: int = 0) -> Floats:
    """The twin of csrc/philox_noise.c: inversion below a mean of 10, else PTRS (Hörmann 1993)."""
    flat = means.reshape(-1)
    pixels = np.arange(first, first + flat.size)
    out = np.where(flat > LARGEST_MEAN, np.floor(flat), 0.0)
    small = (flat > 0.0) & (flat < LARGEST_INVERTED)
    out[small] = _inverted(flat[small], uniforms(seed, frame, purpose, pixels[small])[0])
    left = np.flatnonzero((flat >= LARGEST_INVERTED) & (flat <= LARGEST_MEAN))
    out[left] = np.floor(flat[left])
    for attempt in range(MOST_ATTEMPTS):
        if not left.size:
            break
        found, accepted = _attempted(flat[left], *uniforms(seed, frame, purpose, pixels[left], attempt))
        out[left[accepted]] = found[accepted]
        left = left[~accepted]
    return out.reshape(means.shape)


def _inverted(means: Floats, u: Floats) -> Floats:
    p = np.exp(-means)
    total, count = p.copy(), np.zeros_like(means)
    for step in range(1, 201):
        more = (u > total) & (count == step - 1)
        if not more.any():
            break
        count[more] = step
        p = p * means / step
        total = total + p
    return count


def _attempted(means: Floats, u: Floats, v: Floats) -> tuple[Floats, NDArray[np.bool_]]:
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
