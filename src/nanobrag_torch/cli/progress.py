"""Telling how much of a render is done: a bar on a terminal, the C program's lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

_BAR = 40
_MARKS = (*range(0, 10), *range(10, 90, 5), *range(90, 101))
"""Percentages that the C program prints."""


def progress_meter(total: int, stream: TextIO | None = None) -> Callable[[int], None]:
    """A function to call with the number of pixels done since its last call.

    Args:
        total: number of pixels to render.
        stream: where to write; the standard output by default.
    """
    stream = sys.stdout if stream is None else stream
    return _bar(total, stream) if stream.isatty() else _lines(total, stream)


def _bar(total: int, stream: TextIO) -> Callable[[int], None]:
    done, shown, began = 0, -1, time.monotonic()

    def report(pixels: int) -> None:
        nonlocal done, shown
        done += pixels
        percent = 100 * done // max(total, 1)
        if percent == shown:
            return
        shown = percent
        filled = _BAR * percent // 100
        end = "\n" if done >= total else ""
        pace = _pace(done, total, time.monotonic() - began)
        stream.write(f"\r[{'#' * filled}{' ' * (_BAR - filled)}] {percent:3d}%{pace}{end}")
        stream.flush()

    return report


def _pace(done: int, total: int, seconds: float) -> str:
    """Pixels per second so far, and the time that is left; both are padded, as they overwrite earlier ones."""
    if done <= 0 or seconds <= 0:
        return ""
    rate = done / seconds
    unit, size = next(((u, s) for u, s in (("M", 1e6), ("k", 1e3)) if rate >= s), ("", 1.0))
    left = round((total - done) / rate)
    hours, rest = divmod(left, 3600)
    clock = f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
    said = f"  {rate / size:.3g} {unit}pixel/s" + (f", {clock} left" if done < total else "")
    return f"{said:<34}"


def _lines(total: int, stream: TextIO) -> Callable[[int], None]:
    done, marks = 0, list(_MARKS)

    def report(pixels: int) -> None:
        nonlocal done
        done += pixels
        while marks and 100 * done >= marks[0] * total:
            stream.write(f"{marks.pop(0)}% done\n")
        stream.flush()

    return report
