"""The distortion of a detector from an image of something whose true shape is known: a mask of holes, powder rings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError
from nanobrag_torch.register.transforms import Transform

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Distortion:
    """Where the pixels of a detector really are, in pixels, slow and fast; pixel centres at whole numbers.

    Args:
        offset: [2, H, W], place where a pixel stands in the image less the place that it sees.
        corners: [2, H + 1, W + 1], the places that the corners of the pixels see.
    """

    offset: Array
    corners: Array


def distortion(transform: Transform, size: tuple[int, int]) -> Distortion:
    """The distortion of a detector.

    Args:
        transform: from `register(measured, ideal)`: the measured image and the same thing as an ideal detector with the
            same pixels would see it.
        size: pixels of the measured image, slow and fast.

    Raises:
        InputError: the map folds, which no detector does.
    """
    centres, edges = (
        torch.stack(torch.meshgrid(*(torch.arange(n + more).double() - 0.5 * more for n in size), indexing="ij"))
        for more in (0, 1)
    )
    try:
        seen, corners = transform.inverse(centres), transform.inverse(edges)
    except ArithmeticError as error:
        raise InputError(
            "transform", str(error), "give more bending=, a wider spacing=, or leave pixels out"
        ) from error
    return Distortion((centres - seen).numpy(), corners.numpy())


def holes(size: tuple[int, int], pitch: float, sigma: float, origin: tuple[float, float]) -> Array:
    """An ideal image [H, W] of a mask with a square grid of holes, each a Gaussian of height 1.

    Args:
        size: pixels, slow and fast.
        pitch: between holes, pixels.
        sigma: of a hole's image, pixels.
        origin: centre of any one hole, slow and fast.
    """
    lines = []
    for n, start in zip(size, origin, strict=True):
        away = np.remainder(np.arange(n) - start + 0.5 * pitch, pitch) - 0.5 * pitch
        lines.append(np.exp(-0.5 * (away / sigma) ** 2))
    return np.asarray(np.outer(*lines))


def rings(size: tuple[int, int], centre: tuple[float, float], radii: list[float], sigma: float) -> Array:
    """An ideal image [H, W] of powder rings, each a Gaussian of height 1 across.

    Args:
        size: pixels, slow and fast.
        centre: slow and fast.
        radii: pixels.
        sigma: of a ring's width, pixels.
    """
    slow, fast = np.mgrid[: size[0], : size[1]]
    radius = np.hypot(slow - centre[0], fast - centre[1])
    return np.asarray(sum(np.exp(-0.5 * ((radius - r) / sigma) ** 2) for r in radii), dtype=np.float64)
