"""Pictures of two images and their difference: PNG on one scale, heat map, and a profile as SVG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
WIDEST = 1200
"""Pictures are reduced to at most this many pixels per side, each showing the brightest of a block."""

# Anchors of the colour maps, dark to bright: a sequential one for intensities, a diverging one for differences.
_INTENSITY = ((255, 255, 255), (222, 226, 236), (168, 183, 216), (96, 118, 184), (48, 54, 120), (10, 8, 40))
_DIFFERENCE = (
    (5, 48, 97),
    (67, 147, 195),
    (209, 229, 240),
    (255, 255, 255),
    (253, 219, 199),
    (214, 96, 77),
    (103, 0, 31),
)


def reduced(image: Array, widest: int = WIDEST) -> tuple[Array, int]:
    """An image shrunk by a whole factor: of each block the value of largest magnitude, and the factor."""
    factor = max(1, math.ceil(max(image.shape) / widest))
    if factor == 1:
        return image, 1
    rows, columns = (math.ceil(n / factor) for n in image.shape)
    padded = np.zeros((rows * factor, columns * factor), dtype=image.dtype)
    padded[: image.shape[0], : image.shape[1]] = image
    blocks = padded.reshape(rows, factor, columns, factor)
    high, low = blocks.max(axis=(1, 3)), blocks.min(axis=(1, 3))
    return np.where(high >= -low, high, low), factor


def scale_limits(image: Array, percentile: float) -> tuple[float, float]:
    """Ends of the intensity scale: the 1st and the given percentile of the values that are not 0."""
    sample = image.ravel()[:: max(1, image.size // 1_000_000)]
    finite = sample[np.isfinite(sample) & (sample != 0.0)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(x) for x in np.percentile(finite, [min(1.0, percentile / 2.0), percentile]))
    if not high > low:
        low, high = 0.0, float(finite.max())
    return low, high if high > low else low + 1.0


def intensity_png(image: Array, limits: tuple[float, float]) -> bytes:
    """A PNG of intensities, white to dark blue, by the square root between the limits."""
    small, _ = reduced(image)
    low, high = limits
    position = np.sqrt(np.clip((np.nan_to_num(small) - low) / (high - low), 0.0, 1.0))
    return _png(position, _INTENSITY)


def difference_png(difference: Array) -> tuple[bytes, float]:
    """A PNG of ours - C, blue where ours is lower, red where it is higher, and the value at the ends of its scale.

    Differences span many decades, so the cube root of their magnitude is shown.
    """
    small, _ = reduced(np.nan_to_num(difference))
    top = float(np.abs(small).max(initial=0.0))
    position = np.cbrt(small / top) if top else np.zeros(small.shape)
    return _png((position + 1.0) / 2.0, _DIFFERENCE), top


def _png(position: Array, anchors: Sequence[tuple[int, int, int]]) -> bytes:
    from PIL import Image

    table = np.array(anchors, dtype=np.float64)
    at = np.linspace(0.0, len(anchors) - 1.0, 256)
    palette = np.stack([np.interp(at, np.arange(len(anchors)), table[:, k]) for k in range(3)], axis=1)
    picture = Image.fromarray(np.rint(255.0 * position).astype(np.uint8), mode="P")
    picture.putpalette(np.rint(palette).astype(np.uint8).tobytes())
    target = io.BytesIO()
    picture.save(target, format="PNG", compress_level=6)
    return target.getvalue()


def profile_svg(radius: Sequence[float | None], curves: Mapping[str, tuple[Sequence[float | None], str]]) -> str:
    """Curves over the radius (pixels) on a logarithmic axis, as SVG; {name: (values, colour)}."""
    width, height, left, bottom, top, right = 720, 300, 70, 40, 16, 16
    shown = [v for values, _ in curves.values() for v in values if v is not None and v > 0.0]
    if not shown:
        return '<p class="empty">both images are empty</p>'
    decades = max(min(math.floor(math.log10(min(shown))), 99), math.floor(math.log10(max(shown))) - 18)
    low, high = decades, max(math.ceil(math.log10(max(shown))), decades + 1)
    widest = max(r for r in radius if r is not None)

    def x(r: float) -> float:
        return left + (width - left - right) * r / widest

    def y(v: float) -> float:
        return height - bottom - (height - bottom - top) * (math.log10(v) - low) / (high - low)

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="radial profile">']
    for decade in range(low, high + 1, max(1, (high - low) // 6)):
        at = y(10.0**decade)
        if high - low == 1 and decade == low:
            minor = (y(n * 10.0**low) for n in (2.0, 5.0))
            parts += [f'<line class="grid" x1="{left}" x2="{width - right}" y1="{v:.1f}" y2="{v:.1f}"/>' for v in minor]
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">1e{decade}</text>')
    step = _round_step(widest / 5.0)
    for i in range(int(widest / step) + 1):
        r = step * i
        parts.append(f'<text x="{x(r):.1f}" y="{height - bottom + 18}" text-anchor="middle">{r:.0f}</text>')
    middle = (left + width - right) / 2
    parts.append(f'<text x="{middle}" y="{height - 4}" text-anchor="middle">distance from the beam (pixels)</text>')
    for values, colour in curves.values():
        parts += _polylines(radius, values, colour, x, y, 10.0**low)
    return "".join([*parts, "</svg>"])


def _round_step(about: float) -> float:
    """The number 1, 2 or 5 times a power of ten that lies nearest below `about`."""
    power = 10.0 ** math.floor(math.log10(about))
    return max(n * power for n in (1.0, 2.0, 5.0) if n * power <= about)


def _polylines(
    radius: Sequence[float | None],
    values: Sequence[float | None],
    colour: str,
    x: Callable[[float], float],
    y: Callable[[float], float],
    floor: float,
) -> Iterator[str]:
    """The pieces of a curve between its gaps."""
    pieces: list[list[str]] = [[]]
    for r, v in zip(radius, values, strict=True):
        if r is None or v is None or v < floor:
            pieces.append([])
        else:
            pieces[-1].append(f"{x(r):.1f},{y(v):.1f}")
    for piece in pieces:
        if len(piece) == 1:
            px, py = piece[0].split(",")
            yield f'<circle cx="{px}" cy="{py}" r="1.5" fill="{colour}"/>'
        elif piece:
            yield f'<polyline points="{" ".join(piece)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
