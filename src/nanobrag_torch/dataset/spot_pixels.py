"""The pixels that count as a spot's own: a square around its place; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class SpotPixels:
    """The squares of n spots of an image.

    Args:
        index: [n, K] pixels counted through all panels, 0 where `inside` is false.
        inside: [n, K] whether a pixel of the square lies on the spot's panel.
        owners: [n, K] how many spots have the pixel.
        shape: of the image.
    """

    index: Integers
    inside: NDArray[np.bool_]
    owners: Integers
    shape: tuple[int, ...]

    def sum(self, image: NDArray[Any]) -> NDArray[np.float64]:
        """Sums [n] of the values of an image [all pixels] over each spot's pixels."""
        return np.asarray(np.where(self.inside, image[self.index], 0).sum(1, dtype=np.float64))

    def count(self) -> Integers:
        """Pixels [n] of each spot."""
        return np.asarray(self.inside.sum(1))

    def shared(self) -> Integers:
        """Pixels [n] that another spot has too."""
        return np.asarray((self.owners > 1).sum(1))

    def mask(self) -> NDArray[np.int8]:
        """int8 image: 1 where a spot is, 2 where several overlap, 0 elsewhere."""
        found = np.zeros(prod(self.shape), dtype=np.int8)
        found[self.index[self.inside]] = np.minimum(self.owners[self.inside], 2)
        return found.reshape(self.shape)


def spot_pixels(
    panel: NDArray[Any], fast: NDArray[np.float64], slow: NDArray[np.float64], shape: tuple[int, ...], radius: int
) -> SpotPixels:
    """The squares of 2 radius + 1 pixels around the pixel of every spot, cut at the edges of its panel.

    Args:
        panel: [n] of the spots; `fast` and `slow` [n] are their places in pixels.
        shape: of the image, [slow, fast] or [panel, slow, fast].
        radius: of the squares.
    """
    slow_pixels, fast_pixels = shape[-2:]
    offsets = np.arange(-radius, radius + 1)
    ds, df = (part.ravel() for part in np.meshgrid(offsets, offsets, indexing="ij"))
    s = np.floor(slow).astype(np.int64)[:, None] + ds
    f = np.floor(fast).astype(np.int64)[:, None] + df
    inside = (s >= 0) & (s < slow_pixels) & (f >= 0) & (f < fast_pixels)
    index = np.where(inside, (panel.astype(np.int64)[:, None] * slow_pixels + s) * fast_pixels + f, 0)
    owned = np.bincount(index[inside], minlength=1)
    return SpotPixels(index, inside, np.where(inside, owned[index], 0), shape)
