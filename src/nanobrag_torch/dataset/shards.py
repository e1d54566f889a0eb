"""The shards of a data set on disk: written whole, announced by a record beside them, found again, read.

A record (`shard-000012.tar.json`) holds the name, the numbers of the images, the size and the checksum of a shard. It
appears behind its shard; a shard without one does not count and is made anew, one with a record is never touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from nanobrag_torch.dataset.images import Maker, Sample
from nanobrag_torch.dataset.population import SCHEMA, shard_name
from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.files import WholeFiles, part_pattern
from nanobrag_torch.io.series import checksum

TAG = "dataset-"
_BLOCK = 1 << 20


class Shard(Protocol):
    """A shard that can be read."""

    numbers: list[int]

    def __len__(self) -> int: ...

    def __getitem__(self, place: int) -> Sample: ...


def open_shard(path: str | Path) -> Shard:
    """A shard by the suffix of its name.

    Raises:
        FileFormatError: it is missing or damaged.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".tar":
        from nanobrag_torch.dataset.tar_shard import TarShard

        return TarShard(path)
    if suffix == ".zarr":
        from nanobrag_torch.dataset.zarr_shard import ZarrShard

        return ZarrShard(path)
    from nanobrag_torch.dataset.hdf5_shard import Hdf5Shard

    return Hdf5Shard(path)


def record_path(folder: Path, name: str) -> Path:
    """Where a shard's record is."""
    return folder / f"{name}.json"


def read_record(folder: Path, name: str) -> dict[str, Any] | None:
    """A shard's record, `None` if it was not announced.

    Raises:
        FileFormatError: it cannot be understood.
    """
    path = record_path(folder, name)
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise FileFormatError(path, "", f"not a record of a shard: {error}; remove it and its shard") from error
    if not isinstance(found, dict) or found.get("file") != name:
        raise FileFormatError(path, "", f"not the record of {name}; remove it and its shard")
    return found


def write_shard(maker: Maker, folder: Path, shard: int) -> dict[str, Any]:
    """Make a shard and announce it, or find that it was; its record.

    Raises:
        InputError: it cannot be written.
    """
    population = maker.population
    name = shard_name(population, shard)
    done = read_record(folder, name)
    if done is not None and os.path.exists(folder / name):
        return done
    numbers = population.numbers(shard)
    with _refusing(folder / name):
        record = {"schema": SCHEMA, "shard": shard, "file": name, "images": [numbers.start, numbers.stop]}
        if population.shards.suffix == ".zarr":
            record |= _whole_folder(maker, folder, name, numbers)
        else:
            record |= _whole_file(maker, folder, name, numbers)
        with WholeFiles(tag=TAG) as files, files.file(record_path(folder, name), "-o") as handle:
            handle.write(json.dumps(record, indent=1).encode())
            _settle_down(handle)
    return record


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; -1 if there is none."""
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return path.stat().st_size if path.exists() else -1


def shard_checksum(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and checksums of its files in order."""
    if not path.is_dir():
        return str(checksum(str(path)))
    whole = hashlib.sha256()
    for part in sorted(p for p in path.rglob("*") if p.is_file()):
        whole.update(f"{part.relative_to(path).as_posix()} {checksum(str(part))}\n".encode())
    return whole.hexdigest()


def remove_parts(folder: Path) -> int:
    """Remove what killed processes left half written; how many there were."""
    parts = list(folder.glob(part_pattern(TAG)))
    for part in parts:
        with suppress(OSError):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    return len(parts)


def _whole_file(maker: Maker, folder: Path, name: str, numbers: range) -> dict[str, Any]:
    with WholeFiles(tag=TAG) as files, files.file(folder / name, "-o") as handle:
        counting = _Hashed(handle)
        _write(maker, counting, numbers)  # type: ignore[arg-type]
        _settle_down(handle)
    return {"bytes": counting.size, "sha256": counting.hash.hexdigest()}


def _whole_folder(maker: Maker, folder: Path, name: str, numbers: range) -> dict[str, Any]:
    from nanobrag_torch.dataset.zarr_shard import write_zarr

    part = folder / f".nanobrag-{TAG}{os.getpid()}-{os.urandom(4).hex()}.part"
    try:
        write_zarr(part, maker.samples(numbers), len(numbers))
        found = {"bytes": size_of(part), "sha256": shard_checksum(part)}
        if (folder / name).exists():  # unannounced: what a killed process left
            shutil.rmtree(folder / name)
        os.rename(part, folder / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return found


def _write(maker: Maker, handle: IO[bytes], numbers: range) -> None:
    population = maker.population
    if population.shards.suffix == ".tar":
        from nanobrag_torch.dataset.tar_shard import write_tar

        files = None
        if population.labels.dials:
            from nanobrag_torch.dataset.dials import dials_files

            files = dials_files(maker)
        write_tar(handle, maker.samples(numbers), files)
        return
    from nanobrag_torch.dataset.hdf5_shard import write_hdf5
    from nanobrag_torch.pipeline.describe import describe

    scene = describe(maker.experiment(numbers[0]))
    write_hdf5(handle, maker.samples(numbers), scene, len(numbers), population.noise.saturation)


class _Hashed:
    """A file that adds up the size and checksum of what is written to it in order."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle, self.hash, self.size = handle, hashlib.sha256(), 0

    def write(self, content: Any) -> int:
        """Write and add up."""
        self.hash.update(content)
        count = memoryview(content).nbytes
        self.size += count
        self._handle.write(content)
        return count

    def tell(self) -> int:
        """How much was written."""
        return self.size

    def flush(self) -> None:
        """Nothing is kept back here."""

    def close(self) -> None:
        """The file is closed by whoever opened it."""


def _settle_down(handle: IO[bytes]) -> None:
    """On disk before it gets its name, so that a machine that loses power leaves no empty file under it."""
    handle.flush()
    os.fsync(handle.fileno())


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Failures of the disk as one line."""
    try:
        yield
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
        advice = "free some space and start the same command again: what was finished is kept"
        raise InputError("-o", f"{path} cannot be written: {error.strerror or error}", advice) from error
