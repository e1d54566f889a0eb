"""Previews: dark spots on white, 8-bit grey, at full size."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanobrag_torch.io.files import Opening, PathLike, whole_file

_WHITE_PERCENTILE = 50.0
_BLACK_PERCENTILE = 99.9
_SAMPLE = 1_000_000


def preview(image: ArrayLike) -> NDArray[np.uint8]:
    """Grey values [slow, fast] of an image: white at the median, black at the 99.9th percentile of pixels > 0.

    grey = 255 (1 - √((x - white)/(black - white))), cut at both ends; percentiles are those of every nth pixel of a
    large image. Pixels that are not finite are white.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    sample = values.ravel()[:: max(1, values.size // _SAMPLE)]
    sample = sample[sample > 0.0]
    if not sample.size:
        return np.full(values.shape, 255, dtype=np.uint8)
    white, black = np.percentile(sample, [_WHITE_PERCENTILE, _BLACK_PERCENTILE])
    if not black > white:
        white, black = 0.0, float(sample.max())
    darkness = np.sqrt(np.clip((values - np.float32(white)) / np.float32(black - white), 0.0, 1.0))
    grey: NDArray[np.uint8] = np.rint(255.0 * (1.0 - darkness)).astype(np.uint8)
    return grey


def write_png(path: PathLike, image: ArrayLike, *, opening: Opening = whole_file, field: str = "") -> None:
    """Write the preview of an image [slow, fast], slow axis downwards; the same image gives the same bytes."""
    from PIL import Image

    with opening(path, field) as file:
        Image.fromarray(preview(image)).save(file, format="PNG", compress_level=6)
