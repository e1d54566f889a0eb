"""Shards as HDF5: the frames as NXmx, the labels beside them in `/entry/labels`.

The geometry that NXmx states is that of the first image; where it varies, `/entry/labels/parameters` has every one.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.dataset.images import Sample
from nanobrag_torch.dataset.packed import Columns, packed, unpacked
from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike
from nanobrag_torch.io.hdf5_files import open_hdf5, read_entry, read_whole
from nanobrag_torch.io.nexus import NexusImages, write_nexus
from nanobrag_torch.io.scene import Scene

WHEN = datetime(2000, 1, 1, tzinfo=UTC)
LABELS, DATA = "/entry/labels", "/entry/data/data"


def write_hdf5(handle: IO[bytes], samples: Iterable[Sample], scene: Scene, count: int, saturation: int) -> None:
    """Write samples as they come; what is compressed stays in memory until the end.

    Args:
        handle: the file.
        samples: `count` images.
        scene: geometry and beam of the first one.
        count: how many.
        saturation: count from which a pixel is overloaded.
    """
    import h5py

    small: list[Sample] = []
    large: dict[str, list[NDArray[Any]]] = {}

    def frames() -> Iterator[tuple[NDArray[Any], ...]]:
        for sample in samples:
            for name, values in sample.extra.items():
                large.setdefault(name, []).append(values)
            small.append(Sample(sample.number, sample.image[..., :0, :0], sample.reflections, sample.parameters))
            yield (sample.image,) if sample.image.ndim == 2 else tuple(sample.image)

    buffer = io.BytesIO()

    @contextmanager
    def opening(path: PathLike, field: str) -> Iterator[IO[bytes]]:
        yield buffer

    images = NexusImages(frames(), [scene.phi] * count, saturation=saturation, title="simulated data set", when=WHEN)
    write_nexus("shard", images, scene, opening=opening)
    with h5py.File(buffer, "r+") as file:
        file[DATA].attrs["panels"] = len(scene.panels)
        for name, values in packed(small).items():
            file.create_dataset(f"{LABELS}/{name}", data=values, track_times=False)
        for name, arrays in large.items():
            chunk = (1, *arrays[0].shape)
            shape = (count, *arrays[0].shape)
            made = file.create_dataset(
                f"{LABELS}/images/{name}", shape, arrays[0].dtype, chunks=chunk, compression="gzip", compression_opts=1
            )
            for place, array in enumerate(arrays):
                made[place] = array
    handle.write(buffer.getbuffer())


class Hdf5Shard:
    """An HDF5 shard, read image by image."""

    def __init__(self, path: PathLike) -> None:
        import hdf5plugin  # noqa: F401 - registers the filter

        self._path, self._file = path, open_hdf5(path)
        try:
            labels = self._file[LABELS]
            self._columns: Columns = {}
            labels.visititems(self._note)
        except (OSError, KeyError) as error:
            raise FileFormatError(path, "", f"not a complete HDF5 shard: {error}") from error
        self.numbers = self._columns["number"].tolist()

    def _note(self, name: str, item: Any) -> None:
        if hasattr(item, "shape") and not name.startswith("images/"):
            self._columns[name] = read_whole(self._path, item)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> Sample:
        data = self._file[DATA]
        image = read_entry(self._path, data, place).astype(np.uint16)
        if data.attrs["panels"] > 1:
            image = image.reshape(data.attrs["panels"], -1, image.shape[-1])
        extra = self._file.get(f"{LABELS}/images", {})
        return unpacked(
            self._columns, place, image, {name: read_entry(self._path, extra[name], place) for name in extra}
        )
