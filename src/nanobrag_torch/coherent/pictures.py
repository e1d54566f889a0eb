"""Pictures of results: amplitude, phase and residual beside each other."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nanobrag_torch.io.files import whole_file

GAP, TITLE, LEAST = 8, 16, 220


def write_picture(path: str, panels: Sequence[tuple[str, NDArray[np.float64], float, float]]) -> None:
    """Write panels (title, values [H, W], value of black, value of white) beside each other as PNG."""
    from PIL import Image, ImageDraw

    tiles = []
    for _, values, low, high in panels:
        span = high - low if high > low else 1.0
        grey = np.rint(255 * np.clip((np.nan_to_num(values) - low) / span, 0, 1)).astype(np.uint8)
        factor = max(1, math.ceil(LEAST / max(grey.shape)))
        tiles.append(np.kron(grey, np.ones((factor, factor), np.uint8)))
    height = max(t.shape[0] for t in tiles) + TITLE + GAP
    sheet = Image.new("L", (sum(t.shape[1] + GAP for t in tiles) + GAP, height), 255)
    pen, left = ImageDraw.Draw(sheet), GAP
    for (title, _, low, high), tile in zip(panels, tiles, strict=True):
        pen.text((left, 2), f"{title} {low:.3g} .. {high:.3g}", fill=0)
        sheet.paste(Image.fromarray(tile), (left, TITLE))
        left += tile.shape[1] + GAP
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    with whole_file(path, "picture") as handle:
        handle.write(buffer.getvalue())


def object_panels(
    target: Tensor, known: Tensor, residual: tuple[str, Tensor]
) -> list[tuple[str, NDArray[np.float64], float, float]]:
    """Panels of a complex object [H, W], scaled where it is known, and of a residual [h, w]."""
    amplitude, phase = target.abs().numpy(), target.angle().numpy()
    inside = known.numpy()
    title, rest = residual[0], residual[1].numpy()
    return [
        ("amplitude", np.where(inside, amplitude, 0.0), 0.0, float(amplitude[inside].max())),
        ("phase", np.where(inside, phase, -math.pi), -math.pi, math.pi),
        (title, rest, 0.0, float(np.percentile(rest, 99.5))),
    ]
