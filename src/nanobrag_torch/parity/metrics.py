"""Figures that tell how two float images differ; numpy only."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.parity.agreement import Peak, correlation, strongest_peaks, sum_agreement

Array = NDArray[np.floating]
Region = tuple[int, int, int, int]

SSIM_WINDOW = 7
BAND = 64
PEAKS = 50
OTHERS = 4
"""How many times as many peaks of our image may be partners: heights, and with them ranks, differ."""
PEAK_REACH = 5.0
"""Pixels within which two peaks can be the same one."""


@dataclass(frozen=True)
class PeakMatch:
    """The strongest peaks of both images, paired with their nearest neighbours (distances in pixels)."""

    c_count: int
    py_count: int
    matched: int
    mean_distance: float
    max_distance: float


@dataclass(frozen=True)
class Metrics:
    """Every figure of a comparison; differences are ours - C.

    Args:
        correlation: Pearson's coefficient.
        rmse: root of the mean squared difference.
        relative_l2: norm of the difference over the norm of the C image.
        max_difference: largest abs(difference).
        max_difference_at: (slow, fast) of it in the full frame.
        max_difference_values: the values of both images there, C first.
        c_sum: sum of the C image over the region.
        py_sum: sum of ours.
        sum_ratio: ours over C; `nan` when only C's is 0.
        c_max: largest value of the C image.
        py_max: largest value of ours.
        equal_pixels: pixels that are the same in all bits.
        pixels: pixels of the region.
        ssim: mean structural similarity over 7 x 7 windows, 1 for equal images.
        peaks: how the strongest peaks match.
    """

    correlation: float
    rmse: float
    relative_l2: float
    max_difference: float
    max_difference_at: tuple[int, int]
    max_difference_values: tuple[float, float]
    c_sum: float
    py_sum: float
    sum_ratio: float
    c_max: float
    py_max: float
    equal_pixels: int
    pixels: int
    ssim: float
    peaks: PeakMatch


def cut(image: Array, region: Region | None) -> Array:
    """The region (xmin, xmax, ymin, ymax), x fast, both ends included, clipped to the image [slow, fast]."""
    if region is None:
        return image
    xmin, xmax, ymin, ymax = region
    return image[max(ymin, 0) : ymax + 1, max(xmin, 0) : xmax + 1]


def measure(ours: Array, theirs: Array, region: Region | None = None) -> Metrics:
    """All figures over a region of two images [slow, fast] of one shape; theirs is the C program's.

    Raises:
        ValueError: the shapes differ, or the region has no pixel.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes {ours.shape} and {theirs.shape} differ")
    py, c = cut(ours, region).astype(np.float64), cut(theirs, region).astype(np.float64)
    if not py.size:
        raise ValueError("the region has no pixel of the image")
    difference = py - c
    slow, fast = divmod(int(np.argmax(np.abs(difference))), py.shape[1])
    corner = (0, 0) if region is None else (max(region[2], 0), max(region[0], 0))
    squares = float(np.vdot(difference, difference))
    with ThreadPoolExecutor() as pool:
        similarity, peaks = pool.submit(ssim, py, c), pool.submit(match_peaks, py, c)
    return Metrics(
        correlation=correlation(py, c),
        rmse=math.sqrt(squares / py.size),
        relative_l2=_over(math.sqrt(squares), float(np.linalg.norm(c))),
        max_difference=float(abs(difference[slow, fast])),
        max_difference_at=(slow + corner[0], fast + corner[1]),
        max_difference_values=(float(c[slow, fast]), float(py[slow, fast])),
        c_sum=float(c.sum()),
        py_sum=float(py.sum()),
        sum_ratio=1.0 + sum_agreement(float(py.sum()), float(c.sum())),
        c_max=float(c.max()),
        py_max=float(py.max()),
        equal_pixels=int(np.count_nonzero(difference == 0.0)),
        pixels=py.size,
        ssim=similarity.result(),
        peaks=peaks.result(),
    )


def _over(value: float, scale: float) -> float:
    return 0.0 if value == 0.0 else value / scale if scale else math.inf


def ssim(a: Array, b: Array, window: int = SSIM_WINDOW) -> float:
    """Mean structural similarity of two images, uniform windows, K1 = 0.01, K2 = 0.03, range that of `b`.

    ssim = (2 μa μb + C1)(2 σab + C2) / ((μa² + μb² + C1)(σa² + σb² + C2)), sample (co)variances. Images smaller
    than the window are one window.
    """
    if np.array_equal(a, b):
        return 1.0
    span = float(b.max() - b.min()) or float(np.abs(b).max()) or 1.0
    size = (min(window, a.shape[0]), min(window, a.shape[1]))
    rows = a.shape[0] - size[0] + 1
    # Bands of windows stay in the processor's cache, and its cores share them.
    starts = range(0, rows, BAND)
    bands = [slice(start, min(start + BAND, rows) + size[0] - 1) for start in starts]
    with ThreadPoolExecutor() as pool:
        total: float = sum(pool.map(lambda band: _ssim_sum(a[band] / span, b[band] / span, size), bands))
    return float(total / (rows * (a.shape[1] - size[1] + 1)))


def _ssim_sum(a: Array, b: Array, size: tuple[int, int]) -> float:
    """Sum of the structural similarities of all windows of two images of range 1."""
    n = size[0] * size[1]
    unbiased = n / max(n - 1, 1)
    mean_a, mean_b = _window_mean(a, size), _window_mean(b, size)
    var_a = unbiased * (_window_mean(a * a, size) - mean_a * mean_a)
    var_b = unbiased * (_window_mean(b * b, size) - mean_b * mean_b)
    cov = unbiased * (_window_mean(a * b, size) - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    above = (2.0 * mean_a * mean_b + c1) * (2.0 * cov + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(np.sum(above / below))


def _window_mean(values: Array, size: tuple[int, int]) -> Array:
    """Means over all windows that lie within the image; sums along one axis, then the other, shift by shift."""
    for axis, width in enumerate(size):
        length = values.shape[axis] - width + 1
        total = np.zeros([length if k == axis else n for k, n in enumerate(values.shape)])
        for shift in range(width):
            total += values[shift : shift + length] if axis == 0 else values[:, shift : shift + length]
        values = total / width
    return values


def match_peaks(ours: Array, theirs: Array, count: int = PEAKS, reach: float = PEAK_REACH) -> PeakMatch:
    """Pair every one of the `count` strongest peaks of `theirs` with the nearest of `ours`, at most `reach` away."""
    c, py = strongest_peaks(theirs, count), strongest_peaks(ours, OTHERS * count)
    distances = _nearest(c[:count], py, reach)
    return PeakMatch(
        c_count=min(len(c), count),
        py_count=min(len(py), count),
        matched=len(distances),
        mean_distance=float(np.mean(distances)) if distances else math.nan,
        max_distance=max(distances, default=math.nan),
    )


def _nearest(some: list[Peak], others: list[Peak], reach: float) -> list[float]:
    places = np.array([peak[1:] for peak in others]).reshape(-1, 2)
    found = []
    for peak in some:
        distances = np.hypot(places[:, 0] - peak.slow, places[:, 1] - peak.fast)
        nearest = float(distances.min(initial=math.inf))
        if nearest <= reach:
            found.append(nearest)
    return found


def radial_profile(
    ours: Array, theirs: Array, centre: tuple[float, float], bins: int = 100
) -> dict[str, list[float | None]]:
    """Means over rings around `centre` (slow, fast; pixels): radius, both images, and abs(difference).

    Rings without a pixel hold `None`.
    """
    slow, fast = np.arange(theirs.shape[0])[:, None], np.arange(theirs.shape[1])[None, :]
    radius = np.hypot(slow - centre[0], fast - centre[1])
    top = float(radius.max()) or 1.0
    ring = np.minimum((radius * (bins / top)).astype(np.int64), bins - 1).ravel()
    pixels = np.bincount(ring, minlength=bins)
    columns: dict[str, list[float | None]] = {"radius": [(i + 0.5) * top / bins for i in range(bins)]}
    difference = np.abs(ours.astype(np.float64) - theirs)
    for name, values in (("c", theirs), ("py", ours), ("abs_difference", difference)):
        sums = np.bincount(ring, weights=values.ravel(), minlength=bins)
        columns[name] = [float(s / n) if n else None for s, n in zip(sums, pixels, strict=True)]
    return columns


def resampled(image: Array, shape: tuple[int, int]) -> NDArray[np.float32]:
    """An image stretched to another shape, bilinear between pixel centres, its sum kept."""
    if image.shape == shape:
        return image.astype(np.float32)
    out = image.astype(np.float64)
    for axis, count in enumerate(shape):
        size = out.shape[axis]
        at = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0.0, size - 1.0)
        low = np.minimum(at.astype(np.int64), max(size - 2, 0))
        high = np.minimum(low + 1, size - 1)
        weight = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        out = np.take(out, low, axis) * (1.0 - weight) + np.take(out, high, axis) * weight
    total, before = float(out.sum()), float(image.sum(dtype=np.float64))
    scaled: NDArray[np.float32] = (out * (before / total if total else 1.0)).astype(np.float32)
    return scaled


def plain(value: Any) -> Any:
    """A value as JSON takes it: figures that are not finite become `None`."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
