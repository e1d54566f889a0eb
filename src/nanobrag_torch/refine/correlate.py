"""Normalised correlation of masked images for every shift (Padfield, IEEE Trans. Image Process. 21, 2706, 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BOX = 31
"""Edge (pixels) of the box whose mean is the smooth part of an image."""
_LEAST_OVERLAP = 0.3
"""Part of the largest overlap below which a shift is not considered."""


@dataclass(frozen=True)
class Peak:
    """The best shift.

    Args:
        slow, fast: pixels by which the second image has to move, to a fraction of a pixel.
        score: correlation there, at most 1.
        second: the best correlation elsewhere.
        scatter: standard deviation of correlations over all shifts.
    """

    slow: float
    fast: float
    score: float
    second: float
    scatter: float


def logarithm(image: Tensor, mask: Tensor, level: float) -> Tensor:
    """Logarithm [slow, fast] of 1 + photons / level without its smooth part, 0 in pixels that do not count."""
    shown = torch.log1p(image.clamp_min(0.0) / level) * mask
    return (shown - _mean(shown, BOX) / _mean(mask, BOX).clamp_min(1e-6)) * mask


def _mean(image: Tensor, size: int) -> Tensor:
    """Mean over a box, what lies outside being 0."""
    return torch.nn.functional.avg_pool2d(image[None, None], size, 1, size // 2)[0, 0]


def correlation_map(
    first: Sequence[Tensor], second: Sequence[Tensor], masks: Sequence[Tensor], reach: tuple[int, int]
) -> Tensor:
    """Correlations [2 S + 1, 2 F + 1] of images of several panels for shifts of the second up to `reach` (S, F).

    Means and widths are those of the pixels in which both count; the second images count everywhere. Too small an
    overlap has the correlation 0.
    """
    sums: list[Tensor] = []
    for a, b, mask in zip(first, second, masks, strict=True):
        full = torch.ones_like(b)
        pairs = ((mask, full), (a * mask, full), (mask, b), (a * a * mask, full), (mask, b * b), (a * mask, b))
        found = [_correlated(x, y, reach) for x, y in pairs]
        sums = found if not sums else [x + y for x, y in zip(sums, found, strict=True)]
    count, sa, sb, saa, sbb, sab = sums
    count = count.round().clamp_min(1.0)
    wide = (saa - sa * sa / count).clamp_min(0.0) * (sbb - sb * sb / count).clamp_min(0.0)
    least = 1e-9 * float(wide.max())
    value = torch.where(wide > least, (sab - sa * sb / count) / wide.clamp_min(least + 1e-300).sqrt(), 0.0)
    return torch.where(count >= _LEAST_OVERLAP * count.max(), value, 0.0)


def _correlated(a: Tensor, b: Tensor, reach: tuple[int, int]) -> Tensor:
    """Sums over x of a(x) b(x - t) for every shift t up to `reach`."""
    size = [n + r for n, r in zip(a.shape, reach, strict=True)]
    product = torch.fft.rfft2(a, size) * torch.fft.rfft2(b, size).conj()
    whole = torch.fft.irfft2(product, size)
    rows, columns = (torch.arange(-r, r + 1) % n for r, n in zip(reach, size, strict=True))
    chosen: Tensor = whole[rows][:, columns]
    return chosen


def peak_of(found: Tensor, apart: int = 5) -> Peak:
    """The highest place of a map of correlations, by a parabola through its neighbours.

    Args:
        found: [2 S + 1, 2 F + 1].
        apart: pixels around the peak that belong to it.
    """
    rows, columns = found.shape
    best = int(found.argmax())
    row, column = divmod(best, columns)
    score = float(found[row, column])
    rest = found.clone()
    rest[max(row - apart, 0) : row + apart + 1, max(column - apart, 0) : column + apart + 1] = -1.0
    slow = row - rows // 2 + _vertex(found[:, column], row)
    fast = column - columns // 2 + _vertex(found[row], column)
    return Peak(slow, fast, score, float(rest.max()), float(found.std()))


def _vertex(line: Tensor, place: int) -> float:
    """Where the parabola through a maximum and its neighbours is highest, from the maximum."""
    if not 0 < place < len(line) - 1:
        return 0.0
    left, middle, right = (float(line[place + i]) for i in (-1, 0, 1))
    bend = left - 2.0 * middle + right
    return 0.5 * (left - right) / bend if bend < 0.0 else 0.0
