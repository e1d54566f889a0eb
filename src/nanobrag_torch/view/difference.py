"""The difference of two images, as a picture of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError
from nanobrag_torch.view.pictures import Picture


def differences(first: Sequence[Picture], second: Sequence[Picture]) -> list[Picture]:
    """Panel by panel, the first image minus the second, in float32; pixels that either did not measure are NaN.

    Raises:
        InputError: other sizes, or another number of panels.
    """
    shapes = [[p.pixels.shape for p in pictures] for pictures in (first, second)]
    if shapes[0] != shapes[1]:
        said = " and ".join(", ".join(f"{f} x {s}" for s, f in sizes) for sizes in shapes)
        raise InputError("--difference", f"images of {said} pixels", "give two of the same size")
    return [_difference(a, b) for a, b in zip(first, second, strict=True)]


def _difference(a: Picture, b: Picture) -> Picture:
    values = (_measured(a) - _measured(b)).astype(np.float32)
    return replace(a, name=f"{a.name} − {b.name}", pixels=values, meanings={}, notes=(), diverging=True)


def _measured(picture: Picture) -> NDArray[np.float64]:
    values = picture.pixels.astype(np.float64)
    if picture.meanings:
        values[np.isin(picture.pixels, list(picture.meanings))] = np.nan
    return values
