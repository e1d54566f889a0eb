"""Descriptors of local structure that do not depend on contrast: MIND on the self-similarity context.

Source: M. P. Heinrich, M. Jenkinson, B. W. Papież, M. Brady, J. A. Schnabel, MICCAI 2013, 187, here for two
dimensions: eight neighbours of a pixel, a few pixels away, make a ring with twelve edges, the eight between neighbours
on the ring and the four between the nearest neighbours of the pixel. The pixel itself takes no part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.register.bspline import reflected

PATCH = 2
"""Patches are Gaussians cut off behind this many standard deviations, in whole pixels at least 1."""
_DIRECTIONS: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {
    (0, 1): ((-1, -1), (-1, 0), (1, -1), (1, 0)),
    (1, 0): ((-1, -1), (0, -1), (-1, 1), (0, 1)),
    (1, 1): ((-1, 0), (0, -1)),
    (1, -1): ((-1, 0), (0, 1)),
}
"""Where the edges of each direction begin: twelve together."""
EDGES = sum(len(starts) for starts in _DIRECTIONS.values())


@dataclass(frozen=True)
class Shape:
    """What a descriptor is made of.

    Args:
        sigma: standard deviation of a patch, pixels; a scalar, differentiable.
        distance: of the eight neighbours from the pixel along each axis, pixels.
    """

    sigma: Tensor
    distance: int = 3

    @property
    def radius(self) -> int:
        """Where patches are cut off, pixels."""
        return max(1, math.ceil(PATCH * float(self.sigma.detach()) - 1e-9))

    @property
    def reach(self) -> int:
        """How far the pixels that make a descriptor lie from its own, pixels."""
        return self.distance + self.radius


def distances(image: Tensor, shape: Shape) -> Tensor:
    """Gaussian-weighted mean squared differences of the patches at the ends of the twelve edges, [12, H, W].

    Args:
        image: [H, W]; it continues beyond its edge by reflection.
        shape: of patches and ring.
    """
    height, width = image.shape
    radius, d = shape.radius, shape.distance
    border = radius + 2 * d
    rows, columns = (reflected(torch.arange(-border, n + border, device=image.device), n) for n in image.shape)
    wide = image[rows][:, columns]
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    patch = torch.exp(-0.5 * (offsets / shape.sigma) ** 2)
    patch = patch / patch.sum()
    tall, broad = wide.shape[0] - 2 * d, wide.shape[1] - 2 * d
    middle = wide[d : d + tall, d : d + broad]
    found = []
    for (down, right), starts in _DIRECTIONS.items():
        beside = wide[d * (1 + down) : d * (1 + down) + tall, d * (1 + right) : d * (1 + right) + broad]
        smooth = _smoothed((beside - middle) ** 2, patch)
        found += [smooth[d * (1 + s) : d * (1 + s) + height, d * (1 + f) : d * (1 + f) + width] for s, f in starts]
    return torch.stack(found)


def _smoothed(image: Tensor, patch: Tensor) -> Tensor:
    """Convolution with a separable patch, where it fits; plain sums, which are differentiated twice at little cost."""
    for axis in (0, 1):
        n = image.shape[axis] - len(patch) + 1
        image = sum((patch[k] * image.narrow(axis, k, n) for k in range(len(patch))), torch.zeros_like(patch[0]))
    return image


def variance_floor(image: Tensor, keep: Tensor, shape: Shape, floor: Tensor) -> Tensor:
    """The floor of the local variance: `floor` times its mean over the kept pixels; a scalar.

    Args:
        image: [H, W].
        keep: weights [H, W].
        shape: of the descriptors.
        floor: a scalar.
    """
    mean = (distances(image, shape).mean(0) * keep).sum() / keep.sum()
    return floor * mean


def descriptors(image: Tensor, shape: Shape, least: Tensor) -> Tensor:
    """The descriptors exp(−distance/variance) of an image, [12, H, W], between 0 and 1.

    The variance is the mean of the twelve distances plus `least`, which keeps noise in empty regions from looking
    like structure. Unlike in the paper, they are not scaled by their largest, which has no derivative.

    Args:
        image: [H, W].
        shape: of patches and ring.
        least: floor of the variance, from `variance_floor`.
    """
    found = distances(image, shape)
    return torch.exp(-found / (found.mean(0) + least))
