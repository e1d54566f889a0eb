"""The random choices of an image: a function of seed, image number and what is chosen; free of torch.

By the generator of `nanobrag_torch.random`: the counter holds the image's
number and the place in its sequence, the key the seed and the name of the variable. No draw depends on any other, so
image 731,204 is the same wherever and whenever it is made, and a new variable leaves the others as they were.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.dataset.distributions import Distribution, Rotations
from nanobrag_torch.dataset.variables import draws_of
from nanobrag_torch.random import philox_words

Floats = NDArray[np.float64]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def deviates(seed: int, numbers: Sequence[int] | NDArray[np.int64], name: str, count: int) -> Floats:
    """Uniform deviates [B, count] in [0, 1), with 53 bits, for images of these numbers."""
    images = np.asarray(numbers, dtype=np.uint64)
    blocks = (count + 1) // 2
    counter = np.zeros((len(images), blocks, 4), dtype=np.uint64)
    counter[..., 0] = (images & _LOW)[:, None]
    counter[..., 1] = (images >> _HALF)[:, None]
    counter[..., 2] = np.arange(blocks, dtype=np.uint64)
    counter[..., 3] = np.uint64(seed >> 32)
    words = philox_words(counter, (seed & 0xFFFFFFFF, zlib.crc32(name.encode())))
    high, low = words[..., 0::2] >> np.uint32(5), words[..., 1::2] >> np.uint32(6)
    found = (high * np.uint64(1 << 26) + low).astype(np.float64) / float(1 << 53)
    return found.reshape(len(images), 2 * blocks)[:, :count]


def draw(seed: int, numbers: Sequence[int], name: str, distribution: Distribution, of: str = "") -> Any:
    """The values of a variable for images of these numbers: an array [B] or [B, k], or a list [B].

    Args:
        of: whose values they are, where an image needs several (`lattice 1`).
    """
    copies = draws_of(name)
    size = distribution.deviates
    u = deviates(seed, numbers, f"{name} {of}".strip(), max(copies * size, 1))
    if copies == 1 or isinstance(distribution, Rotations):
        return distribution.values(u[:, :size])
    parts = [distribution.values(u[:, i * size : (i + 1) * size]) for i in range(copies)]
    return np.stack([np.asarray(part, dtype=np.float64) for part in parts], axis=1)
