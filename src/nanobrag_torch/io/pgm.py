"""Grey images in the portable greymap format (specs: io_formats 4)."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import Opening, PathLike, read_bytes, whole_file
from nanobrag_torch.text import format_g

_LONGEST_HEADER = 4096
_HEADER = re.compile(rb"P5\s(?:\s*#[^\n]*\n)*\s*(\d{1,9})\s+(\d{1,9})\s(?:\s*#[^\n]*\n)*\s*(\d{1,9})\s")


def write_pgm(
    path: PathLike, grey: NDArray[np.uint8], scale: float, *, opening: Opening = whole_file, field: str = ""
) -> None:
    """Write grey values [slow, fast]; the scale they were made with goes into a comment."""
    pixels_s, pixels_f = grey.shape
    with opening(path, field) as file:
        file.write(f"P5\n{pixels_f} {pixels_s}\n# pixels scaled by {format_g(scale)}\n255\n".encode("ascii"))
        file.write(np.ascontiguousarray(grey, dtype=np.uint8).data)


def read_pgm(path: PathLike) -> NDArray[np.uint8]:
    """The grey values [slow, fast] of an 8-bit binary greymap."""
    content = read_bytes(path)
    match = _HEADER.match(content[:_LONGEST_HEADER])
    if match is None or int(match[3]) > 255:
        raise FileFormatError(path, "line 1", "not an 8-bit greymap: expected `P5`, width, height, 255")
    pixels_f, pixels_s = int(match[1]), int(match[2])
    found = len(content) - match.end()
    if found < pixels_f * pixels_s:
        raise FileFormatError(path, "", f"{found} pixels, expected {pixels_f} x {pixels_s}")
    return np.frombuffer(content, np.uint8, pixels_f * pixels_s, match.end()).reshape(pixels_s, pixels_f)
