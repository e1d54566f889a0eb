"""Descriptors of local structure that do not depend on contrast: MIND on the self-similarity context.

Source: M. P. Heinrich, M. Jenkinson, B. W. Papież, M. Brady, J. A. Schnabel, MICCAI 2013, 187, here for two
dimensions: the eight neighbours of a pixel make a ring with twelve edges, the eight between neighbours on the ring
and the four between the nearest neighbours of the pixel. The pixel itself takes no part.
"""

from __future__ import annotations

import math

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


def reach(sigma: float) -> int:
    """How far the pixels that make a descriptor lie from its own, in pixels, for patches of this sigma."""
    return 1 + _radius(sigma)


def _radius(sigma: float) -> int:
    return max(1, math.ceil(PATCH * sigma - 1e-9))


def distances(image: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian-weighted squared differences of the patches at both ends of the twelve edges, [12, H, W].

    Args:
        image: [H, W]; it continues beyond its edge by reflection.
        sigma: standard deviation of a patch, pixels; a scalar, differentiable.
    """
    height, width = image.shape
    radius = _radius(float(sigma.detach()))
    border = radius + 2
    rows, columns = (reflected(torch.arange(-border, n + border, device=image.device), n) for n in image.shape)
    wide = image[rows][:, columns]
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    patch = torch.exp(-0.5 * (offsets / sigma) ** 2)
    patch = patch / patch.sum()
    found = []
    for (down, right), starts in _DIRECTIONS.items():
        square = (
            wide[1 + down : wide.shape[0] - 1 + down, 1 + right : wide.shape[1] - 1 + right] - wide[1:-1, 1:-1]
        ) ** 2
        smooth = _smoothed(square, patch)
        found += [smooth[1 + s : 1 + s + height, 1 + f : 1 + f + width] for s, f in starts]
    return torch.stack(found)


def _smoothed(image: Tensor, patch: Tensor) -> Tensor:
    """Convolution with a separable patch, where it fits; plain sums, which are differentiated twice at little cost."""
    for axis in (0, 1):
        n = image.shape[axis] - len(patch) + 1
        image = sum((patch[k] * image.narrow(axis, k, n) for k in range(len(patch))), torch.zeros_like(patch[0]))
    return image


def variance_floor(image: Tensor, keep: Tensor, sigma: Tensor, floor: Tensor) -> Tensor:
    """The floor of the local variance: `floor` times its mean over the kept pixels; a scalar.

    Args:
        image: [H, W].
        keep: weights [H, W].
        sigma, floor: scalars.
    """
    mean = (distances(image, sigma).mean(0) * keep).sum() / keep.sum()
    return floor * mean


def descriptors(image: Tensor, sigma: Tensor, least: Tensor) -> Tensor:
    """The descriptors exp(−distance/variance) of an image, [12, H, W], between 0 and 1.

    The variance is the mean of the twelve distances plus `least`, which keeps noise in empty regions from looking
    like structure. Unlike in the paper, they are not scaled by their largest, which has no derivative.

    Args:
        image: [H, W].
        sigma: standard deviation of a patch, pixels.
        least: floor of the variance, from `variance_floor`.
    """
    found = distances(image, sigma)
    return torch.exp(-found / (found.mean(0) + least))
