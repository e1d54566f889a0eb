"""Telling how much of a render is done: a bar on a terminal, the C program's lines elsewhere."""

from __future__ import annotations

import sys
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
    done, shown = 0, -1

    def report(pixels: int) -> None:
        nonlocal done, shown
        done += pixels
        percent = 100 * done // max(total, 1)
        if percent == shown:
            return
        shown = percent
        filled = _BAR * percent // 100
        end = "\n" if done >= total else ""
        stream.write(f"\r[{'#' * filled}{' ' * (_BAR - filled)}] {percent:3d}%{end}")
        stream.flush()

    return report


def _lines(total: int, stream: TextIO) -> Callable[[int], None]:
    done, marks = 0, list(_MARKS)

    def report(pixels: int) -> None:
        nonlocal done
        done += pixels
        while marks and 100 * done >= marks[0] * total:
            stream.write(f"{marks.pop(0)}% done\n")
        stream.flush()

    return report
