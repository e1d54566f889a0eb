"""Counts from intensities: Poisson noise, integer scaling, grey values (specs: io_formats 2, 4, 5; rng 7).

All of it comes after the graph has ended: arrays in, arrays out, one panel at a time. The noise is drawn by a small
C library, or by its plain Python twin where that was not built; both give the same bytes.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch import native
from nanobrag_torch.legacy_random import TABLE_SIZE, LegacyRandom, Stream

Floats = NDArray[np.float32]
Counts = NDArray[np.uint16]
Region = tuple[int, int, int, int]
"""(xmin, xmax, ymin, ymax) in pixels, inclusive, x fast; a negative bound means its default."""

LARGEST_COUNT = 65535.0
INTEGER_TARGET = 55000.0
"""Count of the brightest pixel with an automatic scale."""
DEFAULT_ADC = 40.0

_ROWS = 256
_log = logging.getLogger(__name__)


class NoiseImage(NamedTuple):
    """`counts` uint16 [slow, fast], the sum of all `photons`, and the number of `overloads`."""

    counts: Counts
    photons: float
    overloads: int


class LegacyState(ctypes.Structure):
    """The generator's state as csrc/legacy_noise.c takes and gives it."""

    _fields_ = [
        ("table", ctypes.c_int64 * TABLE_SIZE),
        ("last", ctypes.c_int64),
        ("stream", ctypes.c_int64),
        ("has_spare", ctypes.c_int32),
        ("spare", ctypes.c_float),
    ]

    @classmethod
    def of(cls, generator: LegacyRandom, stream: Stream) -> LegacyState:
        """The state of a generator and of one stream."""
        table = (ctypes.c_int64 * TABLE_SIZE)(*generator.table)
        return cls(table, generator.last, stream.state, generator.spare is not None, generator.spare or 0.0)

    def give_back(self, generator: LegacyRandom, stream: Stream) -> None:
        """Bring both to this state."""
        generator.table[:] = self.table
        generator.last, stream.state = self.last, self.stream
        generator.spare = self.spare if self.has_spare else None


Draw = Callable[[Floats, Region, float, LegacyRandom, Stream], NoiseImage]


def pixel_window(shape: tuple[int, ...], roi: Region | None) -> Region:
    """The half-open window (x0, x1, y0, y1) of an inclusive region on an array [slow, fast] (specs: intensity 1)."""
    slow, fast = shape
    if roi is None:
        return 0, fast, 0, slow
    xmin, xmax, ymin, ymax = roi
    x0, y0 = min(max(xmin, 0), fast), min(max(ymin, 0), slow)
    x1 = fast if xmax < 0 else min(xmax + 1, fast)
    y1 = slow if ymax < 0 else min(ymax + 1, slow)
    return x0, max(x1, x0), y0, max(y1, y0)


def noise_image(
    image: Floats,
    generator: LegacyRandom,
    stream: Stream,
    *,
    adc: float = DEFAULT_ADC,
    roi: Region | None = None,
    draw: Draw | None = None,
) -> NoiseImage:
    """One Poisson deviate per pixel of the region, in raster order, plus `adc`, cut to 0..65535.

    Args:
        image: float32 [slow, fast], photons; masked pixels hold 0 and take one draw.
        generator: shared state as the mosaic stage left it (specs: rng 3); advanced by this call.
        stream: the noise stream; advanced by this call.
        adc: offset of every count.
        roi: pixels outside hold 0 and take no draw.
        draw: `draw_natively` or `draw_in_python`; by default the first that can run.

    specs: io_formats 5, rng 7.
    """
    chosen = draw or (draw_natively if native.load("nanobrag_noise") else draw_in_python)
    if draw is None and chosen is draw_in_python:
        _log.warning("noise image: %s; plain Python serves, slowly", native.why_missing("nanobrag_noise"))
    window = pixel_window(image.shape, roi)
    return chosen(np.ascontiguousarray(image, dtype=np.float32), window, adc, generator, stream)


def draw_natively(image: Floats, window: Region, adc: float, generator: LegacyRandom, stream: Stream) -> NoiseImage:
    """The noise of a half-open window, drawn by csrc/legacy_noise.c; needs its library."""
    library = native.load("nanobrag_noise")
    if library is None:
        raise RuntimeError(native.why_missing("nanobrag_noise"))
    state = LegacyState.of(generator, stream)
    counts = np.zeros(image.shape, dtype=np.uint16)
    photons, overloads = ctypes.c_double(), ctypes.c_int64()
    library.nanobrag_noise_image(
        image.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_int64(image.shape[1]),
        *(ctypes.c_int64(bound) for bound in window),
        ctypes.c_double(adc),
        counts.ctypes.data_as(ctypes.c_void_p),
        ctypes.byref(state),
        ctypes.byref(photons),
        ctypes.byref(overloads),
    )
    state.give_back(generator, stream)
    return NoiseImage(counts, photons.value, overloads.value)


def draw_in_python(image: Floats, window: Region, adc: float, generator: LegacyRandom, stream: Stream) -> NoiseImage:
    """The twin of `draw_natively`: the same counts, about a hundred times slower."""
    x0, x1, y0, y1 = window
    counts = np.zeros(image.shape, dtype=np.uint16)
    photons, overloads = 0.0, 0
    for y in range(y0, y1):
        row = []
        for mean in image[y, x0:x1].tolist():
            n = generator.poisson(stream, mean)
            photons += n
            z = n + adc
            if z > LARGEST_COUNT:
                z = LARGEST_COUNT
                overloads += 1
            row.append(int(z) if z > 0.0 else 0)
        counts[y, x0:x1] = row
    return NoiseImage(counts, photons, overloads)


def integer_scale(scale: float | None, largest: float) -> float:
    """The scale of the integer image: as given if > 0, else 55000 / max_I, else 1 (specs: io_formats 2)."""
    if scale is not None and scale > 0.0:
        return scale
    return INTEGER_TARGET / largest if largest > 0.0 else 1.0


def grey_scale(scale: float | None, rmsd: float, integer: float) -> float:
    """The scale of the grey image: as given if > 0, else 250 / (5 rmsd), else the integer image's (io_formats 4)."""
    if scale is not None and scale > 0.0:
        return scale
    return 250.0 / (5.0 * rmsd) if rmsd > 0.0 else integer


def integer_image(image: Floats, scale: float, *, adc: float = DEFAULT_ADC, roi: Region | None = None) -> Counts:
    """Counts floor(float32(x·scale + adc + 0.5)) of an image [slow, fast], 0 outside the region (io_formats 2).

    x·scale + adc is limited to 0..65535 in double precision; NaN gives 0.
    """
    counts = np.zeros(image.shape, dtype=np.uint16)
    x0, x1, y0, y1 = pixel_window(image.shape, roi)
    for y in range(y0, y1, _ROWS):
        block = slice(y, min(y + _ROWS, y1)), slice(x0, x1)
        z = np.clip(image[block].astype(np.float64) * scale + adc, 0.0, LARGEST_COUNT)
        counts[block] = np.floor(np.nan_to_num(z + 0.5, nan=0.0).astype(np.float32))
    return counts


def grey_image(image: Floats, scale: float, *, roi: Region | None = None) -> NDArray[np.uint8]:
    """Grey values min(255, x·scale), truncated, of an image [slow, fast]; 0 outside the region (io_formats 4)."""
    grey = np.zeros(image.shape, dtype=np.uint8)
    x0, x1, y0, y1 = pixel_window(image.shape, roi)
    for y in range(y0, y1, _ROWS):
        block = slice(y, min(y + _ROWS, y1)), slice(x0, x1)
        grey[block] = np.nan_to_num(np.clip(image[block].astype(np.float64) * scale, 0.0, 255.0), nan=0.0)
    return grey
