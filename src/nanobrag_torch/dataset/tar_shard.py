"""Shards as tar files, named as WebDataset reads them: `000000731.image.npy.zst` and its like, one after the other.

Images, tables and further arrays are NumPy's files compressed with Zstandard, parameters are JSON. Members carry no
time and no owner, so that the same images give the same bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.dataset.images import Sample
from nanobrag_torch.errors import BackendUnavailable, FileFormatError
from nanobrag_torch.io.files import PathLike

LEVEL = 1
"""Of the compression; higher ones gain little on counts."""
DIGITS = 9


def write_tar(handle: IO[bytes], samples: Iterable[Sample], files: Any = None) -> None:
    """Write samples as they come; nothing of them is kept.

    Args:
        handle: the file.
        samples: the images.
        files: makes further members of a sample, {suffix: bytes}, or `None`.
    """
    with tarfile.open(fileobj=handle, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            for suffix, content in members(sample).items():
                _add(tar, f"{sample.number:0{DIGITS}d}.{suffix}", content)
            for suffix, content in ({} if files is None else files(sample)).items():
                _add(tar, f"{sample.number:0{DIGITS}d}.{suffix}", content)


def members(sample: Sample) -> dict[str, bytes]:
    """The files of a sample, by suffix."""
    found = {"image.npy.zst": _array(sample.image), "parameters.json": json.dumps(sample.parameters).encode()}
    if sample.reflections:
        found["reflections.npy.zst"] = _array(table(sample.reflections))
    return found | {f"{name}.npy.zst": _array(values) for name, values in sample.extra.items()}


def table(columns: dict[str, NDArray[Any]]) -> NDArray[np.void]:
    """Columns as one structured array."""
    made = np.empty(len(next(iter(columns.values()))), dtype=[(name, v.dtype) for name, v in columns.items()])
    for name, values in columns.items():
        made[name] = values
    return made


def decode(suffix: str, content: bytes) -> Any:
    """What a member holds, by its suffix; other members stay bytes. Use it as a decoder of WebDataset."""
    kind = suffix.rsplit("/", 1)[-1]
    if kind.endswith(".npy.zst"):
        return np.load(io.BytesIO(_zstd().decode(content)), allow_pickle=False)
    return json.loads(content) if kind.endswith("json") else content


class TarShard:
    """A tar shard, read image by image through an index of its members."""

    def __init__(self, path: PathLike) -> None:
        self.path = path
        self._index: dict[int, dict[str, tuple[int, int]]] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    key, _, suffix = member.name.partition(".")
                    self._index.setdefault(int(key), {})[suffix] = (member.offset_data, member.size)
        except (OSError, tarfile.TarError, ValueError) as error:
            raise FileFormatError(path, "", f"not a complete tar shard: {error}") from error
        self.numbers = list(self._index)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> Sample:
        number = self.numbers[place]
        found = {suffix: decode(suffix, content) for suffix, content in self.raw(number)}
        reflections = found.pop("reflections.npy.zst", None)
        columns = {} if reflections is None else {name: reflections[name] for name in reflections.dtype.names}
        image, parameters = found.pop("image.npy.zst"), found.pop("parameters.json")
        extra = {suffix.removesuffix(".npy.zst"): v for suffix, v in found.items() if suffix.endswith(".npy.zst")}
        return Sample(number, image, columns, parameters, extra)

    def raw(self, number: int) -> Iterator[tuple[str, bytes]]:
        """The members of an image as they are."""
        with open(self.path, "rb") as handle:
            for suffix, (offset, size) in self._index[number].items():
                handle.seek(offset)
                yield suffix, handle.read(size)


def _array(values: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values), allow_pickle=False)
    return bytes(_zstd().encode(buffer.getvalue()))


def _zstd() -> Any:
    try:
        from numcodecs import Zstd
    except ImportError as error:
        advice = "numcodecs is not installed: pip install 'nanobrag_torch[train]', or use .h5 shards"
        raise BackendUnavailable("tar shards", advice) from error
    return Zstd(level=LEVEL)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))
