"""Shards as Zarr v3 groups: `image` [n, slow, fast] in compressed chunks of one image, labels in arrays beside it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nanobrag_torch.dataset.images import Sample
from nanobrag_torch.dataset.packed import Columns, packed, unpacked
from nanobrag_torch.errors import BackendUnavailable, FileFormatError
from nanobrag_torch.io.files import PathLike

FILE_BYTES = 64_000_000
"""Uncompressed bytes of the images in one file of the array."""


def write_zarr(folder: Path, samples: Iterable[Sample], count: int) -> None:
    """Write `count` samples into a folder as they come; at most `FILE_BYTES` of images are held."""
    zarr = _zarr()
    group = zarr.open_group(folder, mode="w", zarr_format=3)
    arrays: dict[str, Any] = {}
    small: list[Sample] = []
    stream, start = iter(samples), 0
    per_file = 0
    while part := list(islice(stream, per_file or 1)):
        whole = {"image": [s.image for s in part]} | {f"images/{n}": [s.extra[n] for s in part] for n in part[0].extra}
        if not arrays:
            # The first image tells how many go into a file; its file holds it with those that follow.
            per_file = max(1, min(count, FILE_BYTES // max(part[0].image.nbytes, 1)))
            more = list(islice(stream, per_file - 1))
            part += more
            for name in whole:
                own = name.removeprefix("images/")
                whole[name] += [s.image if name == "image" else s.extra[own] for s in more]
            arrays = {
                name: _array(group, name, (count, *v[0].shape), v[0].dtype, per_file) for name, v in whole.items()
            }
        for name, values in whole.items():
            arrays[name][start : start + len(part)] = np.stack(values)
        small += [Sample(s.number, s.image[..., :0, :0], s.reflections, s.parameters) for s in part]
        start += len(part)
    for name, values in packed(small).items():
        chunk = tuple(max(n, 1) for n in values.shape)
        made = group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=chunk)
        if values.size:
            made[...] = values


class ZarrShard:
    """A Zarr shard, read image by image."""

    def __init__(self, path: PathLike) -> None:
        zarr = _zarr()
        try:
            self._group = zarr.open_group(path, mode="r", zarr_format=3)
            self._columns: Columns = {}
            for name, item in self._group.members(max_depth=None):
                if hasattr(item, "shape") and name != "image" and not name.startswith("images/"):
                    self._columns[name] = np.asarray(item[...])
            self._image = self._group["image"]
        except (OSError, KeyError, ValueError) as error:
            raise FileFormatError(path, "", f"not a complete Zarr shard: {error}") from error
        self._extra = [name for name, _ in self._group["images"].members()] if "images" in self._group else []
        self.numbers = self._columns["number"].tolist()

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> Sample:
        extra = {name: np.asarray(self._group[f"images/{name}"][place]) for name in self._extra}
        return unpacked(self._columns, place, np.asarray(self._image[place]), extra)


def _array(group: Any, name: str, shape: tuple[int, ...], kind: Any, per_file: int) -> Any:
    from zarr.codecs import BloscCodec, BloscShuffle

    codec = BloscCodec(cname="lz4", clevel=5, shuffle=BloscShuffle.bitshuffle)
    chunk = (1, *shape[1:])
    return group.create_array(
        name, shape=shape, dtype=kind, chunks=chunk, shards=(per_file, *shape[1:]), compressors=codec
    )


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        advice = "zarr is not installed: pip install 'nanobrag_torch[train]', or use .h5 shards"
        raise BackendUnavailable("Zarr shards", advice) from error
    return zarr
