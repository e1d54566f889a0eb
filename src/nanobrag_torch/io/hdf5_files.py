"""HDF5 files of strangers, opened in this process to be read piece by piece.

They are regular files, everything in them was looked at (`hdf5_links`), and nothing is read whole that the memory
cannot hold. `apart` reads small ones in a process of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.hdf5_links import check_links
from nanobrag_torch.io.reading import PathLike, check_regular
from nanobrag_torch.memory import available_memory

if TYPE_CHECKING:
    import h5py

SHARE = 0.5
"""Of the memory that is left, what one data set may take."""


def open_hdf5(path: PathLike, *, cache_bytes: int | None = None) -> h5py.File:
    """The file, open for reading; close it.

    Args:
        path: it leads to no file outside its folder.
        cache_bytes: of chunks; a small one lets data sets be read in any order without taking memory.

    Raises:
        FileFormatError: no regular file, not HDF5, damaged, or it leads elsewhere or to itself.
    """
    import h5py

    check_regular(path)
    try:
        check_links(path)
        return h5py.File(path, "r", **({} if cache_bytes is None else {"rdcc_nbytes": cache_bytes}))
    except FileFormatError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        text = " ".join(str(error).split())
        raise FileFormatError(path, "", f"is not an HDF5 file that can be read ({text})") from error


def check_size(path: PathLike, data: h5py.Dataset, count: int | None = None) -> None:
    """Refuse a data set that the memory cannot hold: a small file can unpack to a large one.

    Args:
        path: the file.
        data: the data set.
        count: how many entries along its first axis are read together; all by default.

    Raises:
        FileFormatError: names the data set.
    """
    whole = int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize
    needed = whole if count is None or not data.shape else whole * count // max(data.shape[0], 1)
    allowed = SHARE * available_memory()
    if needed > allowed:
        problem = f"is {needed / 1e9:.3g} GB to read, of which memory allows {allowed / 1e9:.3g} GB"
        raise FileFormatError(path, data.name, problem)


def read_whole(path: PathLike, data: h5py.Dataset) -> NDArray[Any]:
    """All of a data set.

    Raises:
        FileFormatError: it is damaged, or the memory cannot hold it.
    """
    return _read(path, data, ())


def read_entry(path: PathLike, data: h5py.Dataset, index: int) -> NDArray[Any]:
    """One entry along the first axis of a data set; raises as `read_whole`."""
    return _read(path, data, index)


def _read(path: PathLike, data: h5py.Dataset, where: int | tuple[()]) -> NDArray[Any]:
    check_size(path, data, None if where == () else 1)
    try:
        return np.asarray(data[where])
    except (OSError, RuntimeError, ValueError) as error:
        raise FileFormatError(path, data.name, f"cannot be read ({' '.join(str(error).split())})") from error
