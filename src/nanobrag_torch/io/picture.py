"""Pictures to look at: dark spots on white, 8-bit, at full size or shrunk, with or without rings."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

WHITE_PERCENTILE = 50.0
BLACK_PERCENTILE = 99.9
RING_COLOUR = (214, 96, 20)
BEAM_COLOUR = (24, 96, 200)
_SAMPLE = 1_000_000


class RingLike(Protocol):
    """A circle of equal resolution: `spacing` in Å and `lines` [n, 2] of pixel coordinates (fast, slow)."""

    @property
    def spacing(self) -> float: ...  # noqa: D102

    @property
    def lines(self) -> Sequence[NDArray[np.float64]]: ...  # noqa: D102


class MarksLike(Protocol):
    """Rings, and the direct beam (fast, slow) in pixels from the outer corner of the first one, or `None`."""

    @property
    def rings(self) -> Sequence[RingLike]: ...  # noqa: D102

    @property
    def beam(self) -> tuple[float, float] | None: ...  # noqa: D102


def preview(image: ArrayLike, *, white: float = WHITE_PERCENTILE, black: float = BLACK_PERCENTILE) -> NDArray[np.uint8]:
    """Grey values [slow, fast] of an image: white at one percentile of the pixels > 0, black at another.

    grey = 255 (1 - √((x - white)/(black - white))), cut at both ends; percentiles are those of every nth pixel of a
    large image. Pixels that are not finite are white.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    sample = values.ravel()[:: max(1, values.size // _SAMPLE)]
    sample = sample[sample > 0.0]
    if not sample.size:
        return np.full(values.shape, 255, dtype=np.uint8)
    low, high = np.percentile(sample, [white, black])
    if not high > low:
        low, high = 0.0, float(sample.max())
    darkness = np.sqrt(np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0))
    grey: NDArray[np.uint8] = np.rint(255.0 * (1.0 - darkness)).astype(np.uint8)
    return grey


def shrunk(image: ArrayLike, longest: int) -> NDArray[np.float32]:
    """The image with the largest of every n x n pixels, n such that no edge exceeds `longest`; spots survive."""
    values = np.asarray(image, dtype=np.float32)
    n = max(1, -(-max(values.shape) // longest))
    if n == 1:
        return values
    rows, columns = (-(-size // n) for size in values.shape)
    padding = ((0, rows * n - values.shape[0]), (0, columns * n - values.shape[1]))
    padded = np.pad(np.nan_to_num(values), padding, mode="edge")
    return np.asarray(padded.reshape(rows, n, columns, n).max(axis=(1, 3)))


def png_bytes(
    image: ArrayLike,
    marks: MarksLike | None = None,
    *,
    white: float = WHITE_PERCENTILE,
    black: float = BLACK_PERCENTILE,
) -> bytes:
    """The preview of an image [slow, fast] as a PNG file, slow axis downwards; the same input gives the same bytes.

    With `marks` it is in colour, the rings labelled with their spacing in Å and the direct beam a cross.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(preview(image, white=white, black=black))
    if marks is not None:
        picture = picture.convert("RGB")
        _draw(ImageDraw.Draw(picture), marks, picture.size)
    out = io.BytesIO()
    picture.save(out, format="PNG", compress_level=6)
    return out.getvalue()


def _draw(pen: ImageDraw, marks: MarksLike, size: tuple[int, int]) -> None:
    width = max(1, round(max(size) / 1000))
    font = _font(max(11, max(size) // 65))
    for ring in marks.rings:
        for line in ring.lines:
            pen.line([(float(x), float(y)) for x, y in line], fill=RING_COLOUR, width=width)
        x, y = label_place(ring, size)
        pen.text((x, y), f"{ring.spacing:g} Å", fill=RING_COLOUR, font=font, anchor="mm", stroke_width=2 * width,
                 stroke_fill=(255, 255, 255))  # fmt: skip
    if marks.beam is not None:
        x, y = marks.beam
        arm = max(4, max(size) // 100)
        pen.line([(x - arm, y), (x + arm, y)], fill=BEAM_COLOUR, width=width)
        pen.line([(x, y - arm), (x, y + arm)], fill=BEAM_COLOUR, width=width)


def _font(size: int) -> FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: the font that Pillow brings has no Å."""
    from PIL import ImageFont

    matplotlib = find_spec("matplotlib") or ModuleSpec("matplotlib", None)
    home = (matplotlib.submodule_search_locations or [""])[0]
    return ImageFont.truetype(Path(home) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def label_place(ring: RingLike, size: tuple[int, int]) -> tuple[float, float]:
    """Where a ring's label stands: at its topmost point, kept away from the edges of a picture (width, height)."""
    points = np.concatenate(list(ring.lines))
    x, y = points[np.argmin(points[:, 1])]
    edge = max(12.0, max(size) / 50)
    return float(np.clip(x, edge, size[0] - edge)), float(np.clip(y, edge / 2, size[1] - edge / 2))
