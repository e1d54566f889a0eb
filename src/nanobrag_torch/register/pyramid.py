"""Smaller images for the first steps of a registration, and pixels that are left out."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 20
"""Pixels along the shorter side of the smallest level, at least."""


def eroded(keep: Tensor, radius: int, *, outside: bool) -> Tensor:
    """1 where every pixel up to `radius` away has a weight above 0, else 0, [H, W].

    Args:
        keep: weights [H, W].
        radius: pixels, along each axis.
        outside: whether pixels beyond the edge count as kept.
    """
    lost = (keep.detach() <= 0.0).to(keep.dtype)
    if radius > 0:
        wide = torch.nn.functional.pad(lost[None, None], [radius] * 4, value=0.0 if outside else 1.0)
        lost = torch.nn.functional.max_pool2d(wide, 2 * radius + 1, stride=1)[0, 0]
    return 1.0 - lost


def filled(image: Tensor, keep: Tensor) -> Tensor:
    """The image with pixels that are left out replaced by a mean of what is kept around them; linear in the image.

    Args:
        image: [H, W]; values that are left out may be anything, NaN included.
        keep: weights [H, W], 0 where a pixel is left out.
    """
    lost = keep.detach() <= 0.0
    if not bool(lost.any()):
        return image
    known = (~lost).to(image.dtype)
    values = torch.where(lost, torch.zeros_like(image), image)
    result = values + lost * (values.sum() / known.sum())
    for radius in (8, 4, 2):
        around, count = (_box(x, radius) for x in (values, known))
        result = torch.where(lost & (count > 0.5), around / count.clamp(min=1.0), result)
    return result


def _box(image: Tensor, radius: int) -> Tensor:
    """Sums over squares, [H, W]."""
    n = 2 * radius + 1
    return torch.nn.functional.avg_pool2d(image[None, None], n, stride=1, padding=radius, divisor_override=1)[0, 0]


def halved(image: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Image and weights at half the size: (weighted) means of 2 × 2 pixels, without an odd row or column at the end."""
    height, width = (n // 2 * 2 for n in image.shape)
    total, mean, plain = (
        torch.nn.functional.avg_pool2d(x[:height, :width][None, None], 2)[0, 0] for x in (keep, keep * image, image)
    )
    return torch.where(total > 0.0, mean / total.clamp(min=1e-300), plain), total


def level_count(moving: Tensor, fixed: Tensor, wanted: int | None) -> int:
    """How many levels a pyramid has: `wanted`, but none with sides shorter than `SMALLEST` pixels."""
    shortest = min(*moving.shape, *fixed.shape)
    possible = 1
    while shortest >> possible >= SMALLEST:
        possible += 1
    return possible if wanted is None else min(wanted, possible)
