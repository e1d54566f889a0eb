"""Pictures of results: amplitude, phase and residual beside each other, unknown pixels in a pale blue."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GAP, TITLE, LEAST = 8, 16, 220
UNKNOWN = (198, 214, 235)
MARGIN = 4
"""Pixels shown around the part of an object that is known."""
Panels = Sequence[tuple[str, NDArray[np.float64], float, float]]
"""Title, values [H, W], value of black and value of white of each."""


def picture(panels: Panels) -> bytes:
    """Panels (title, values [H, W], value of black, value of white) beside each other as PNG; NaN is unknown."""
    from PIL import Image, ImageDraw

    tiles = []
    for _, values, low, high in panels:
        span = high - low if high > low else 1.0
        grey = np.rint(255 * np.clip((np.nan_to_num(values) - low) / span, 0, 1)).astype(np.uint8)
        shown = np.where(np.isnan(values)[..., None], np.array(UNKNOWN, np.uint8), grey[..., None])
        factor = max(1, math.ceil(LEAST / max(grey.shape)))
        tiles.append(shown.repeat(factor, 0).repeat(factor, 1))
    height = max(t.shape[0] for t in tiles) + TITLE + GAP
    sheet = Image.new("RGB", (sum(t.shape[1] + GAP for t in tiles) + GAP, height), (255, 255, 255))
    pen, left = ImageDraw.Draw(sheet), GAP
    for (title, _, low, high), tile in zip(panels, tiles, strict=True):
        pen.text((left, 2), f"{title} {low:.3g} .. {high:.3g}", fill=(0, 0, 0))
        sheet.paste(Image.fromarray(tile), (left, TITLE))
        left += tile.shape[1] + GAP
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def known_part(known: Tensor) -> tuple[slice, slice]:
    """The rows and columns where an object is known (bool [H, W]), and a margin."""
    rows, columns = (torch.nonzero(known.any(axis)).reshape(-1) for axis in (1, 0))
    cuts = [slice(max(0, int(line[0]) - MARGIN), int(line[-1]) + 1 + MARGIN) for line in (rows, columns)]
    return cuts[0], cuts[1]


def object_panels(target: Tensor, known: Tensor, residual: tuple[str, Tensor]) -> Panels:
    """Panels of the known part of a complex object [H, W], and of a residual [h, w] that is NaN where there is none."""
    cut = known_part(known)
    amplitude, phase, inside = target[cut].abs().numpy(), target[cut].angle().numpy(), known[cut].numpy()
    title, rest = residual[0], residual[1].numpy()
    return [
        ("amplitude", np.where(inside, amplitude, np.nan), 0.0, float(amplitude[inside].max())),
        ("phase, rad", np.where(inside, phase, np.nan), -math.pi, math.pi),
        (title, rest, 0.0, float(np.nanpercentile(rest, 99.5))),
    ]
