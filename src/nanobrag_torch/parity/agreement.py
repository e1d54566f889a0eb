"""How far two images are apart, in named figures, and the bounds that images of the same scene have to keep.

Arrays in, numbers out; numpy only. One implementation serves the tests, the tables and the comparison programs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Bounds:
    """What an image in double precision has to keep, compared with the reference.

    With d the difference of a pixel and max the largest reference pixel, every pixel keeps
    abs(d) <= `pixel` * value + `floor` * max and abs(d) <= `of_max` * max, but for a `free` fraction of them.
    """

    relative_l2: float = 3e-7
    pixel: float = 1e-5
    floor: float = 1e-9
    of_max: float = 1e-6
    sum: float = 1e-7
    free: float = 0.0


DOUBLE = Bounds()
DOUBLE_TOPHAT = Bounds(free=1e-4)
"""Top-hat spots are 0 or full height: single pixels may flip."""


@dataclass(frozen=True)
class SingleBounds:
    """What an image computed with single-precision intensities has to keep."""

    correlation: float = 0.99999
    sum: float = 1e-4
    peaks: int = 50
    peak_shift: float = 0.5


SINGLE = SingleBounds()


@dataclass(frozen=True)
class Agreement:
    """Figures of one comparison.

    Args:
        relative_l2: norm of the difference over the norm of the reference.
        worst_pixel: largest abs(d) over what `Bounds.pixel` and `Bounds.floor` allow; 1 is just within.
        worst_of_max: largest abs(d) over the largest reference pixel.
        sum: sum of the image over the sum of the reference, less 1.
        correlation: Pearson's coefficient.
        excused: pixels left out of all figures but `correlation`.
        worst_at: (slow, fast) of `worst_pixel`.
    """

    relative_l2: float
    worst_pixel: float
    worst_of_max: float
    sum: float
    correlation: float
    excused: int = 0
    worst_at: tuple[int, int] = (0, 0)
    bounds: Bounds = field(default=DOUBLE, repr=False)

    def problems(self) -> list[str]:
        """The bounds that are not kept, one line each; empty when the images agree."""
        bounds = self.bounds
        rows = [
            ("relative L2", self.relative_l2, bounds.relative_l2),
            (f"pixel (slow, fast) {self.worst_at} over its allowance", self.worst_pixel, 1.0),
            ("largest difference over the maximum", self.worst_of_max, bounds.of_max),
            ("sum, less 1", abs(self.sum), bounds.sum),
        ]
        return [f"{name} is {value:.3g}, at most {limit:g}" for name, value, limit in rows if not value <= limit]


def image_agreement(image: Array, reference: Array, bounds: Bounds = DOUBLE) -> Agreement:
    """Figures of `image` against `reference`, arrays [slow, fast] of the same shape.

    The worst `floor(bounds.free * pixels)` pixels are excused. A pixel that is not finite makes every figure infinite.

    Raises:
        ValueError: the shapes differ.
    """
    ours, theirs = np.asarray(image, np.float64), np.asarray(reference, np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(f"an image of {ours.shape} cannot be compared with one of {theirs.shape}")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return Agreement(np.inf, np.inf, np.inf, np.inf, 0.0, bounds=bounds)
    largest = float(np.abs(theirs).max(initial=0.0))
    difference = np.abs(ours - theirs)
    allowance = bounds.pixel * np.abs(theirs) + bounds.floor * largest
    excess = _ratio(difference, allowance)
    excused = min(int(bounds.free * ours.size), int((excess > 1.0).sum()))
    counts = np.ones(ours.shape, dtype=bool)
    if excused:
        counts.flat[np.argsort(excess, axis=None)[-excused:]] = False
    place = int(np.argmax(np.where(counts, excess, -1.0)))
    slow, fast = divmod(place, ours.shape[-1])
    return Agreement(
        relative_l2=_quotient(np.linalg.norm(difference[counts]), np.linalg.norm(theirs[counts])),
        worst_pixel=float(excess.flat[place]),
        worst_of_max=_quotient(float(difference[counts].max(initial=0.0)), largest),
        sum=sum_agreement(float(ours[counts].sum()), float(theirs[counts].sum())),
        correlation=correlation(ours, theirs),
        excused=excused,
        worst_at=(slow, fast),
        bounds=bounds,
    )


def sum_agreement(ours: float, theirs: float) -> float:
    """ours / theirs - 1; 0 when both are 0, infinite when only theirs is."""
    if ours == theirs:
        return 0.0
    return ours / theirs - 1.0 if theirs else np.inf


def correlation(image: Array, reference: Array) -> float:
    """Pearson's coefficient of two images; 1 for two that are the same constant."""
    a, b = (np.asarray(x, np.float64).ravel() for x in (image, reference))
    if np.array_equal(a, b):
        return 1.0
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm else 0.0


def single_problems(image: Array, reference: Array, bounds: SingleBounds = SINGLE) -> list[str]:
    """The single-precision bounds that `image` does not keep against `reference`, one line each."""
    if not np.isfinite(image).all():
        return [f"{int((~np.isfinite(image)).sum())} pixels are not finite"]
    found = []
    coefficient = correlation(image, reference)
    if not coefficient >= bounds.correlation:
        found.append(f"correlation is {coefficient:.7f}, at least {bounds.correlation}")
    ratio = sum_agreement(float(np.sum(image, dtype=np.float64)), float(np.sum(reference, dtype=np.float64)))
    if not abs(ratio) <= bounds.sum:
        found.append(f"sum, less 1, is {ratio:.3g}, at most {bounds.sum:g}")
    lost = lost_peaks(image, reference, bounds.peaks, bounds.peak_shift)
    if lost:
        found.append(f"{len(lost)} of the {bounds.peaks} strongest peaks are not shared, the first {lost[0]}")
    return found


def count_problems(counts: NDArray[np.integer], reference: NDArray[np.integer], free: float = 1e-3) -> list[str]:
    """What is wrong with integer pixels that may be off by one on at most a fraction `free` of them."""
    if counts.shape != reference.shape:
        return [f"shape {counts.shape}, expected {reference.shape}"]
    difference = np.abs(counts.astype(np.int64) - reference.astype(np.int64))
    off = int((difference > 0).sum())
    found = []
    if difference.max(initial=0) > 1:
        found.append(f"a count is off by {difference.max()}")
    if off > free * counts.size:
        found.append(f"{off} of {counts.size} counts are off")
    return found


class Peak(NamedTuple):
    """A plateau around a local maximum: its height, and its centroid in pixels."""

    height: float
    slow: float
    fast: float


TIE = 1e-5
"""Heights within this fraction of each other are the same height."""


def strongest_peaks(image: Array, count: int) -> list[Peak]:
    """The `count` strongest peaks, and those as high as the last of them, by height, ties by raster order.

    A peak is a connected plateau (8 neighbours) of pixels within 1e-5 of a local maximum over 5 x 5 pixels, placed at
    its centroid; pixels of 0 and below make no peak.
    """
    values = np.asarray(image, np.float64)
    candidates = np.flatnonzero((values == _window_maximum(values)) & (values > 0.0))
    order = candidates[np.argsort(-values.flat[candidates], kind="stable")]
    taken = np.zeros(values.shape, dtype=bool)
    peaks: list[Peak] = []
    for index in order:
        slow, fast = divmod(int(index), values.shape[1])
        height = float(values[slow, fast])
        if len(peaks) >= count and height < (1.0 - TIE) * peaks[count - 1].height:
            break
        if taken[slow, fast]:
            continue
        members = np.array(_plateau(values, taken, slow, fast, (1.0 - TIE) * height), dtype=np.float64)
        slow_mean, fast_mean = members.mean(axis=0)
        peaks.append(Peak(height, float(slow_mean), float(fast_mean)))
    return peaks


def lost_peaks(image: Array, reference: Array, count: int, shift: float) -> list[Peak]:
    """Those of the `count` strongest peaks of either image that have none within `shift` pixels in the other.

    Peaks as high as the last one count as candidates, so that ties at the end of the list do no harm.
    """
    ours, theirs = strongest_peaks(image, count), strongest_peaks(reference, count)
    lost = []
    for some, others in ((theirs, ours), (ours, theirs)):
        places = np.array([peak[1:] for peak in others]).reshape(-1, 2)
        for peak in some[:count]:
            distances = np.linalg.norm(places - np.array(peak[1:]), axis=1)
            if not distances.min(initial=np.inf) <= shift:
                lost.append(peak)
    return lost


def _window_maximum(values: Array) -> Array:
    """Largest value in the 5 x 5 pixels around each pixel."""
    result = values
    for axis in (0, 1):
        width = [(2, 2) if k == axis else (0, 0) for k in (0, 1)]
        padded = np.pad(result, width, constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=axis)
        result = windows.max(axis=-1)
    return result


def _plateau(values: Array, taken: NDArray[np.bool_], slow: int, fast: int, lowest: float) -> list[tuple[int, int]]:
    """Pixels connected to (slow, fast) that reach `lowest`; marks them as taken."""
    taken[slow, fast] = True
    members, waiting = [], [(slow, fast)]
    while waiting:
        s, f = waiting.pop()
        members.append((s, f))
        for i in range(max(s - 1, 0), min(s + 2, values.shape[0])):
            for j in range(max(f - 1, 0), min(f + 2, values.shape[1])):
                if not taken[i, j] and values[i, j] >= lowest:
                    taken[i, j] = True
                    waiting.append((i, j))
    return members


def _ratio(difference: Array, allowance: Array) -> Array:
    """difference / allowance; 0 where both are 0, infinite where only the allowance is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0.0, 0.0, difference / allowance)


def _quotient(value: float | np.floating, scale: float | np.floating) -> float:
    if value == 0.0:
        return 0.0
    return float(value / scale) if scale else float(np.inf)
