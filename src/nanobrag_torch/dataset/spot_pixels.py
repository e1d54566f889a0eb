"""The pixels that count as a spot's own: a square around its place; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.dataset.labels import Spots

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class SpotPixels:
    """The squares of n spots of b images.

    Args:
        index: [n, K] pixels counted through all images of the block.
        inside: [n, K] whether a pixel of the square lies on the spot's panel.
        image: [n] of the spots.
        owners: [n, K] how many spots have the pixel.
        size: pixels of an image.
    """

    index: Integers
    inside: NDArray[np.bool_]
    image: Integers
    owners: Integers
    size: int

    def sum(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """Sums [n] of the values of images [b, ...] over each spot's pixels."""
        return np.asarray((images.reshape(-1)[self.index] * self.inside).sum(1), dtype=np.float64)

    def count(self) -> Integers:
        """Pixels [n] of each spot."""
        return np.asarray(self.inside.sum(1))

    def shared(self) -> Integers:
        """Pixels [n] that another spot has too."""
        return np.asarray(((self.owners > 1) & self.inside).sum(1))

    def mask(self, place: int, shape: tuple[int, ...]) -> NDArray[np.int8]:
        """int8 image: 1 where a spot is, 2 where several overlap, 0 elsewhere."""
        found = np.zeros(self.size, dtype=np.int8)
        mine = self.image == place
        inside = self.inside[mine]
        found[self.index[mine][inside] - place * self.size] = np.minimum(self.owners[mine][inside], 2)
        return found.reshape(shape)


def spot_pixels(found: Spots, shape: tuple[int, ...], radius: int) -> SpotPixels:
    """The squares of 2 radius + 1 pixels around the pixel of every spot, cut at the edges of its panel."""
    slow_pixels, fast_pixels = shape[-2:]
    offsets = np.arange(-radius, radius + 1)
    ds, df = (part.ravel() for part in np.meshgrid(offsets, offsets, indexing="ij"))
    slow = np.floor(found.slow).astype(np.int64)[:, None] + ds
    fast = np.floor(found.fast).astype(np.int64)[:, None] + df
    inside = (slow >= 0) & (slow < slow_pixels) & (fast >= 0) & (fast < fast_pixels)
    index = (slow * fast_pixels + fast) + (found.panel * slow_pixels * fast_pixels + found.image * prod(shape))[:, None]
    index = np.where(inside, index, 0)
    owned = np.bincount(index[inside]) if inside.any() else np.zeros(1, dtype=np.int64)
    owners = np.where(inside, owned[index], 0)
    return SpotPixels(index, inside, found.image, owners, prod(shape))
