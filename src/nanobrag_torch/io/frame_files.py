"""Measured images in any of the field's formats, one at a time: SMV, miniCBF and HDF5 (NeXus NXmx, Eiger).

Values come as the file has them; nothing is corrected. The format is seen from the content. SMV and CBF are fabio's
where our own reader does not serve; files may be gzipped. Images in HDF5 may lie in other files, behind external
links or virtual data sets.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.cbf import read_cbf
from nanobrag_torch.io.hdf5_files import read_entry, read_whole
from nanobrag_torch.io.hdf5_links import check_links
from nanobrag_torch.io.reading import PathLike, read_start

if TYPE_CHECKING:
    import h5py

Pixels = NDArray[Any]
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEADER = 1 << 16
"""Bytes from the start of a file in which its header ends."""
_DETECTORS = ("/entry/instrument/detector", "/entry/instrument/ELE_D0")
_PIXEL_MASKS = ("pixel_mask", "detectorSpecific/pixel_mask")
_DATA = ("/entry/data", "/entry/instrument/detector")


@dataclass(frozen=True, eq=False)
class FrameFile:
    """A file with images.

    Args:
        path: the file.
        kind: `smv`, `cbf` or `hdf5`.
        count: how many images it holds.
        shape: of one image: (slow, fast), or (panels, slow, fast).
        bad: pixels [slow, fast] that the file declares without meaning; `None` = it says nothing.
        trusted: least and largest value that the file declares to be meant; `None` = it says nothing.
        parts: HDF5 data sets that hold the images, in order, with the number of images in each.
    """

    path: Path
    kind: str
    count: int
    shape: tuple[int, ...]
    bad: NDArray[np.bool_] | None = None
    trusted: tuple[float | None, float | None] = (None, None)
    parts: tuple[tuple[str, int], ...] = field(default=(), repr=False)

    def read(self, index: int = 0) -> Pixels:
        """Image `index`, from 0: an array of `shape`, with the values of the file.

        Raises:
            FileFormatError: no such image, cut short, damaged, or an image that lies in a file that is missing.
        """
        if not 0 <= index < self.count:
            raise FileFormatError(self.path, "", f"it has {self.count} images, none with number {index + 1}")
        if self.kind == "hdf5":
            return self._from_hdf5(index)
        image: Pixels = read_cbf(self.path)[0] if self.kind == "cbf" else _by_fabio(self.path)
        if image.shape != self.shape:
            raise FileFormatError(self.path, "", f"{image.shape} pixels, its header says {self.shape}")
        return image

    def _from_hdf5(self, index: int) -> Pixels:
        with _hdf5(self.path) as file:
            for name, count in self.parts:
                if index < count:
                    data = _dataset(self.path, file, name)
                    _check_sources(self.path, data)
                    return read_entry(self.path, data, index) if data.ndim > 2 else read_whole(self.path, data)
                index -= count
        raise AssertionError("parts hold every image")


def open_frames(path: PathLike) -> FrameFile:
    """What images a file holds; they are read when asked for.

    Raises:
        FileFormatError: missing, or none of the formats.
    """
    place, start = Path(path), _start(path)
    if start.startswith(_HDF5):
        return _open_hdf5(place)
    if start.startswith(b"###CBF"):
        sizes = [
            re.search(rb"X-Binary-Size-%s-Dimension:\s*(\d{1,6})\s" % name, start) for name in (b"Second", b"Fastest")
        ]
        return FrameFile(place, "cbf", 1, _shape(path, sizes))
    if start.startswith(b"{"):
        return FrameFile(
            place, "smv", 1, _shape(path, [re.search(rb"SIZE%d\s*=\s*(\d{1,6})\s*;" % n, start) for n in (2, 1)])
        )
    raise FileFormatError(path, "", "not an image that can be read: expected SMV, CBF or HDF5 (NeXus, Eiger)")


def read_pixel_mask(path: PathLike) -> Pixels:
    """`pixel_mask` of an HDF5 file, whether or not it has images: [slow, fast] or [panels, slow, fast], 0 = good.

    Raises:
        FileFormatError: damaged, or without a mask.
    """
    with _hdf5(Path(path)) as file:
        check_links(path)
        for name in (f"{group}/{mask}" for group in _DETECTORS for mask in _PIXEL_MASKS):
            if name in file:
                mask = read_whole(path, _dataset(Path(path), file, name))
                if mask.ndim not in (2, 3) or mask.dtype.kind not in "biu":
                    raise FileFormatError(path, name, f"an array {mask.shape} of {mask.dtype}, expected whole numbers")
                return mask
    raise FileFormatError(path, "", f"no mask in it: expected {_DETECTORS[0]}/{_PIXEL_MASKS[0]}")


def read_tiff(path: PathLike) -> Pixels:
    """The first image [slow, fast] of a TIFF file.

    Raises:
        FileFormatError: missing or damaged.
    """
    return _by_fabio(Path(path))


def _start(path: PathLike) -> bytes:
    """The first bytes of a file, unpacked; enough for a header."""
    try:
        start = read_start(path, _HEADER)
        if start.startswith(b"\x1f\x8b"):
            start = zlib.decompressobj(wbits=31).decompress(start, _HEADER)
    except zlib.error as error:
        raise FileFormatError(path, "", f"truncated or corrupt gzip file ({error})") from error
    return start


def _shape(path: PathLike, sizes: list[re.Match[bytes] | None]) -> tuple[int, ...]:
    shape = tuple(int(size[1]) for size in sizes if size is not None)
    if len(shape) != 2 or 0 in shape:
        raise FileFormatError(path, "header", "it does not say how many pixels there are, or is cut short")
    return shape


def _by_fabio(path: Path) -> Pixels:
    """An image of fabio, with one error for everything that can go wrong in it."""
    import fabio

    logging.getLogger("fabio").setLevel(logging.CRITICAL)
    try:
        data = fabio.open(os.fspath(path)).data
    except Exception as error:  # fabio raises whatever its parts do
        raise FileFormatError(path, "", f"cut short or damaged: {_line(error)}") from error
    if data is None or data.ndim != 2 or not data.size:
        raise FileFormatError(path, "", "it holds no image")
    return np.asarray(data)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextlib.contextmanager
def _hdf5(path: Path) -> Iterator[h5py.File]:
    """An open HDF5 file; what goes wrong inside is one error that names it."""
    import h5py
    import hdf5plugin

    hdf5plugin.register(("bshuf", "lz4", "zstd"), force=True)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileFormatError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise FileFormatError(path, "", f"not HDF5, cut short or damaged: {_line(error)}") from error


def _open_hdf5(path: Path) -> FrameFile:
    with _hdf5(path) as file:
        check_links(path)
        names = list(_image_names(path, file))
        if not names:
            raise FileFormatError(path, "", "no images in it: expected /entry/data/data or /entry/data/data_000001")
        parts, shape = [], ()
        for name in names:
            data = _dataset(path, file, name)
            if data.ndim not in (2, 3, 4) or not data.size:
                raise FileFormatError(path, name, f"an array of shape {data.shape}, expected images")
            own = data.shape[1:] if data.ndim > 2 else data.shape
            if shape and own != shape:
                raise FileFormatError(path, name, f"images of {own} pixels after some of {shape}")
            shape = own
            parts.append((name, data.shape[0] if data.ndim > 2 else 1))
        detector = next((file[name] for name in _DETECTORS if name in file), None)
        return FrameFile(
            path=path,
            kind="hdf5",
            count=sum(count for _, count in parts),
            shape=tuple(shape),
            bad=None if detector is None else _bad_pixels(path, detector, tuple(shape)),
            trusted=(None, None) if detector is None else _trusted(detector),
            parts=tuple(parts),
        )


def _image_names(path: Path, file: h5py.File) -> Iterator[str]:
    """Data sets with images: `data`, or `data_000001` and what follows it, which may be links to other files."""
    import h5py

    for group_name in _DATA:
        group = file.get(group_name)
        if not isinstance(group, h5py.Group):
            continue
        if group.get("data", getlink=True) is not None:
            yield f"{group_name}/data"
            return
        numbered = sorted(name for name in group if name.startswith("data_") and name[5:].isdigit())
        if numbered:
            yield from (f"{group_name}/{name}" for name in numbered)
            return


def _dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """A data set, also behind a link to another file."""
    import h5py

    link = file.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        target = path.parent / link.filename
        if not target.exists():
            raise FileFormatError(path, name, f"{link.filename}, where its images lie, is missing")
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise FileFormatError(path, name, "not an array of images")
    return found


def _check_sources(path: Path, data: h5py.Dataset) -> None:
    """Refuse a virtual data set of which a file is missing: HDF5 would give its fill value."""
    if not data.is_virtual:
        return
    for source in data.virtual_sources():
        name = source.file_name.replace("%%", "%")
        if name != "." and "%b" not in source.file_name and not (path.parent / name).exists():
            raise FileFormatError(path, "", f"{name}, one of the files that it joins, is missing")


def _bad_pixels(path: Path, detector: h5py.Group, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    for name in _PIXEL_MASKS:
        if name in detector:
            mask = read_whole(path, _dataset(path, detector.file, detector[name].name))
            if mask.ndim == len(shape) + 1:
                mask = mask[0]
            if mask.shape != shape:
                raise FileFormatError(path, name, f"it has {mask.shape} pixels, the images have {shape}")
            return np.asarray(mask != 0)
    return None


def _trusted(detector: h5py.Group) -> tuple[float | None, float | None]:
    found = []
    for name in ("underload_value", "saturation_value"):
        value = np.ravel(detector[name][()]) if name in detector else np.empty(0)
        found.append(float(value[0]) if value.size and np.isfinite(value[0]) else None)
    return found[0], found[1]
