"""A NeXus master that joins files of one image each: its data are a virtual dataset, which HDF5 1.10 can read.

The files are named relative to the master, so that all of them can be moved together.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike

if TYPE_CHECKING:
    import h5py

DATA = "/entry/data/data"
"""Where an image lies in its file."""
MISSING = -1
"""Value of integer pixels whose file is missing; others are NaN then."""


@dataclass(frozen=True)
class Joined:
    """Images that lie in other files, one in each.

    Args:
        files: their names, relative to the master's folder.
        whole: whether the pixels are int32 counts; else they are float32 photons.
    """

    files: Sequence[str]
    whole: bool

    def dataset(self, group: h5py.Group, shape: tuple[int, int]) -> h5py.Dataset:
        """The virtual dataset `data` [files, slow, fast] in a group, for images of a shape (slow, fast).

        It is made piece by piece because HDF5 would put the time of day into it otherwise.
        """
        import h5py

        kind = np.dtype(np.int32 if self.whole else np.float32)
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_obj_track_times(False)
        made.set_fill_value(np.array(MISSING if self.whole else np.nan, dtype=kind))
        image = h5py.h5s.create_simple((1, *shape))
        place = h5py.h5s.create_simple((len(self.files), *shape))
        for index, name in enumerate(self.files):
            place.select_hyperslab((index, 0, 0), (1, *shape))
            # %b would stand for a number
            made.set_virtual(place, os.fsencode(name.replace("%", "%%")), DATA.encode("ascii"), image)
        place.select_all()
        return h5py.Dataset(h5py.h5d.create(group.id, b"data", h5py.h5t.py_create(kind), place, made))


def joined_data(path: PathLike, frames: slice) -> NDArray[Any]:
    """Some images [n, slow, fast] of a master, from the files that it joins.

    Raises:
        FileFormatError: one of these files is missing.
        OSError: one of them is damaged.
    """
    import h5py

    folder = os.path.dirname(os.path.abspath(path))
    with h5py.File(path, "r") as file:
        dataset = file[DATA]
        sources = [source.file_name.replace("%%", "%") for source in dataset.virtual_sources()]
        for name in sources[frames]:
            if not os.path.exists(os.path.join(folder, name)):
                raise FileFormatError(path, "", f"{name}, one of the {len(sources)} files that it joins, is missing")
        return np.asarray(dataset[frames])
