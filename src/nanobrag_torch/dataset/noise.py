"""From expected photons to counts: one function, so that a data set's noise is defined in one place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.dataset.population import Noise

PHOTONS = 1
"""Word of the counter that keeps these draws apart from others."""


def photons(expected: NDArray[np.float64], seed: int, numbers: Sequence[int]) -> NDArray[np.int64]:
    """Poisson deviates [b, ...] of expected photons [b, ...] of images of these numbers.

    The generator is Philox with the seed as its key and the image's number in its counter.
    """
    drawn = np.empty(expected.shape, dtype=np.int64)
    for place, number in enumerate(numbers):
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, PHOTONS, number]))
        drawn[place] = generator.poisson(expected[place])
    return drawn


def counts(drawn: NDArray[np.int64] | NDArray[np.float64], noise: Noise) -> NDArray[np.uint16]:
    """What is stored of photons: times the gain, plus the offset, cut at the saturation."""
    scaled = drawn * noise.gain + noise.offset if noise.gain != 1.0 else drawn + noise.offset
    return np.clip(np.rint(scaled), 0, noise.saturation).astype(np.uint16)
