"""Measured images as plain numbers, whatever their format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.cbf import read_cbf
from nanobrag_torch.io.files import PathLike, read_bytes
from nanobrag_torch.io.smv import read_smv


def read_measured(path: PathLike) -> NDArray[np.float64]:
    """The numbers [slow, fast] of an SMV, miniCBF or NumPy file, or [slow · fast] of a float image without a header.

    Negative numbers, which mark bad pixels, become 0.

    Raises:
        FileFormatError: missing or unreadable.
    """
    start = read_bytes(path)[:16]
    if start.startswith(b"###CBF"):
        image = read_cbf(path)[0].astype(np.float64)
    elif start.startswith(b"{"):
        image = read_smv(path)[0].astype(np.float64)
    elif start.startswith(b"\x93NUMPY"):
        image = _numpy(path)
    else:
        content = read_bytes(path)
        if not content or len(content) % 4:
            raise FileFormatError(path, "", f"{len(content)} bytes are no SMV, miniCBF, NumPy or float image")
        image = np.frombuffer(content, dtype=np.float32).astype(np.float64)
    if not np.isfinite(image).all():
        raise FileFormatError(path, "", "some pixels are not finite numbers")
    return np.asarray(np.maximum(image, 0.0))


def _numpy(path: PathLike) -> NDArray[np.float64]:
    try:
        image = np.load(Path(path), allow_pickle=False)
    except (ValueError, OSError) as error:
        raise FileFormatError(path, "", f"no NumPy array ({error})") from error
    if image.ndim != 2 or image.dtype.kind not in "iuf":
        raise FileFormatError(path, "", f"an array {list(image.shape)} of {image.dtype}, expected numbers [slow, fast]")
    return np.asarray(image, dtype=np.float64)
