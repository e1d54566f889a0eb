"""Where the pixels of a distorted detector are: correction tables for XDS, and a detector file for pyFAI.

XDS reads two miniCBF images (`X-GEO_CORR=`, `Y-GEO_CORR=`) of whole hundredths of a pixel. As pyFAI's Pilatus
detectors read the same tables, a pixel sees the place where it stands less the table's value.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.cbf import frame, read_cbf
from nanobrag_torch.io.files import Opening, PathLike, WholeFiles, whole_file

PER_PIXEL = 100
"""Units of the tables of XDS in a pixel."""
_LARGEST = 10_000
"""Pixels; a larger offset is a mistake."""

if TYPE_CHECKING:
    import h5py

Array = NDArray[np.float64]


def write_xds_corrections(x_path: PathLike, y_path: PathLike, offset: Array) -> None:
    """Write both tables; they appear together or not at all.

    Args:
        x_path, y_path: the files for `X-GEO_CORR=` (fast) and `Y-GEO_CORR=` (slow).
        offset: [2, H, W], slow and fast in pixels: where a pixel stands less what it sees.

    Raises:
        InputError: not of that shape, not finite, or more than 10,000 pixels; a file that cannot be written.
    """
    if offset.ndim != 3 or offset.shape[0] != 2:
        raise InputError("offset", f"has shape {offset.shape}", "give slow and fast of every pixel, [2, H, W]")
    wrong = np.argwhere(~(np.abs(offset) <= _LARGEST))
    if len(wrong):
        axis, slow, fast = (int(i) for i in wrong[0])
        value = offset[axis, slow, fast]
        raise InputError("offset", f"{value:.6g} at slow {slow}, fast {fast}", "an offset is a few pixels")
    counts = np.rint(offset * PER_PIXEL).astype(np.int32)
    with WholeFiles() as files:
        for path, table, name in ((x_path, counts[1], "X"), (y_path, counts[0], "Y")):
            lines = [f"{name}-GEO_CORR: position of a pixel less what it sees, in 1/{PER_PIXEL} pixel"]
            with files.file(path) as file:
                file.write(frame(Path(path).stem, "GENERIC_MINI", lines, np.ascontiguousarray(table)))


def read_xds_corrections(x_path: PathLike, y_path: PathLike) -> Array:
    """The offsets [2, H, W], slow and fast in pixels, of two tables.

    Raises:
        FileFormatError: not a table, or tables of different sizes.
    """
    fast, _ = read_cbf(x_path)
    slow, _ = read_cbf(y_path)
    if fast.shape != slow.shape:
        sizes = [" x ".join(str(n) for n in table.shape) for table in (slow, fast)]
        raise FileFormatError(y_path, "", f"{sizes[0]} pixels, but {sizes[1]} in {x_path}")
    return np.stack([slow, fast]) / PER_PIXEL


def write_pyfai_detector(
    path: PathLike, corners: Array, pixel_size: float, *, name: str = "distorted", opening: Opening = whole_file
) -> None:
    """Write a detector for `pyFAI.detector_factory`, with every corner of every pixel.

    Args:
        path: the file, HDF5 (`.h5`).
        corners: [2, H + 1, W + 1], slow and fast, the places that the corners of the pixels see, in pixels with pixel
            centres at whole numbers.
        pixel_size: metres.
        name: of the detector.
        opening: what opens the file.

    Raises:
        InputError: a shape or value that no detector has; a file that cannot be written.
    """
    import h5py

    if corners.ndim != 3 or corners.shape[0] != 2 or min(corners.shape) < 2:
        raise InputError(
            "corners", f"has shape {corners.shape}", "give slow and fast of every corner, [2, H + 1, W + 1]"
        )
    if not np.isfinite(corners).all():
        raise InputError("corners", "has values that are not finite", "a corner is a place")
    if not (np.isfinite(pixel_size) and pixel_size > 0.0):
        raise InputError("pixel_size", f"{pixel_size:.6g} m", "give a length above 0")
    places = (corners + 0.5) * pixel_size
    height, width = places.shape[1] - 1, places.shape[2] - 1
    table = np.zeros((height, width, 4, 3), dtype=np.float32)
    for corner, (down, right) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
        table[:, :, corner, 1] = places[0, down : down + height, right : right + width]
        table[:, :, corner, 2] = places[1, down : down + height, right : right + width]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as root:
        _fill(root, table, pixel_size, name)
    with opening(path, "") as file:
        file.write(buffer.getvalue())


def _fill(root: h5py.File, table: NDArray[np.float32], pixel_size: float, name: str) -> None:
    """The groups of NeXus in which pyFAI looks for a detector, and what it reads."""
    root.attrs["NX_class"], root.attrs["default"] = "NXroot", "entry_0000"
    entry = root.create_group("entry_0000")
    entry.attrs["NX_class"] = "NXentry"
    entry["start_time"] = np.bytes_(datetime.now(UTC).isoformat(timespec="seconds"))
    instrument = entry.create_group("pyFAI")
    instrument.attrs["NX_class"] = "NXinstrument"
    detector = instrument.create_group(name)
    detector.attrs["NX_class"] = "NXdetector"
    detector["API_VERSION"] = np.bytes_("1.1")
    detector["IS_FLAT"], detector["IS_CONTIGUOUS"], detector["CORNERS"] = True, True, 4
    detector["force_pixel"] = False
    detector["pixel_size"] = np.array([pixel_size, pixel_size])
    detector["pixel_size"].attrs["unit"] = "m"
    for key in ("max_shape", "shape"):
        detector[key] = np.array(table.shape[:2], dtype=np.int32)
    detector["binning"] = np.array([1, 1], dtype=np.int32)
    detector["orientation"] = np.int32(3)
    corners = detector.create_dataset("pixel_corners", data=table, compression="gzip", shuffle=True)
    corners.attrs["interpretation"] = "vertex"
