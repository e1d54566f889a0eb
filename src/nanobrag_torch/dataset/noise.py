"""From expected photons to stored counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch import random
from nanobrag_torch.dataset.population import Noise
from nanobrag_torch.random import Purpose

Floats = NDArray[np.float64]


def photons(expected: Floats, seed: int, numbers: Sequence[int]) -> Floats:
    """Photons [b, ...], whole numbers, of expected ones [b, ...] of images of these numbers; drawn by one thread.

    A mean that is not positive gives 0, one above 1e15 itself.
    """
    pairs = zip(expected, numbers, strict=True)
    return np.stack([random.poisson(means, seed, number, Purpose.PHOTONS, threads=1) for means, number in pairs])


def counts(drawn: Floats, noise: Noise) -> NDArray[np.uint16]:
    """What is stored of photons: times the gain, plus the offset, cut at the saturation."""
    scaled = drawn * noise.gain if noise.gain != 1.0 else drawn
    if not noise.photons or noise.gain != 1.0:
        scaled = np.rint(scaled)
    return np.minimum(scaled + noise.offset, noise.saturation).astype(np.uint16)
