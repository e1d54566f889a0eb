"""Float images: native float32, fast axis first, no header (specs: io_formats 1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import Opening, PathLike, read_bytes, whole_file


def write_float_image(path: PathLike, image: ArrayLike, *, opening: Opening = whole_file, field: str = "") -> None:
    """Write an image [slow, fast], rounded once to float32; `field` names the flag in errors."""
    values = np.ascontiguousarray(image, dtype=np.float32)
    with opening(path, field) as file:
        file.write(values.data)


def read_float_image(path: PathLike, pixels_f: int, pixels_s: int) -> NDArray[np.float32]:
    """The image [slow, fast] of a file, whose size must be that of pixels_f x pixels_s floats."""
    content = read_bytes(path)
    expected = 4 * pixels_f * pixels_s
    if len(content) != expected:
        raise FileFormatError(
            path, "", f"{len(content)} bytes, expected {expected} for {pixels_f} x {pixels_s} 4-byte floats"
        )
    return np.frombuffer(content, dtype=np.float32).reshape(pixels_s, pixels_f)
