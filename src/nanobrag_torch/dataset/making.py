"""A data set from a description: what is missing is made, what is there is kept."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from nanobrag_torch import __version__, engine
from nanobrag_torch.dataset.population import SCHEMA, Population, shard_name
from nanobrag_torch.engine import Where
from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.files import read_bytes, whole_file

KIND = "nanobrag_torch data set"
MANIFEST = "manifest.json"
LOCK = ".lock"
VERSIONED = ("torch", "numpy", "h5py", "numcodecs", "zarr")
LARGEST_SHARD_BYTES = 2_000_000_000
"""Uncompressed bytes of images that an HDF5 shard may hold, which is put together in memory."""

Say = Callable[[str], None]

_MAKERS: dict[str, Any] = {}
"""The maker of a worker process, by its population's identity and device: it prepares once for all its shards."""


def make(
    population: Population, folder: Path, *, where: Where = engine.HERE, device: str | None = None, say: Say = print
) -> dict[str, Any]:
    """Make the missing shards of a data set.

    Args:
        population: what to make.
        folder: where; made if it does not exist.
        where: on which workers.
        device: `cuda` for cards, `None` = processors.
        say: called with every line about the progress.

    Returns:
        The manifest.

    Raises:
        InputError: the folder holds something else, is in use, or cannot be written.
        NanobragError: the population cannot be made, or the workers are lost; what is finished stays.
    """
    identity = population.identity()
    _check(population, device)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("-o", f"{folder} cannot be made: {error.strerror}", "choose another folder") from error
    with _locked(folder):
        manifest = _begin(population, folder, identity)
        from nanobrag_torch.dataset.shards import remove_parts

        remove_parts(folder)
        missing = _missing(population, folder)
        say(f"{population.images} images in {population.shard_count} shards; {len(missing)} to make")
        task = partial(_task, json.dumps(identity, sort_keys=True), population, str(folder.resolve()), device)
        for done, _ in enumerate(engine.map(task, missing, where=where), start=1):
            if done == len(missing) or done % max(len(missing) // 20, 1) == 0:
                say(f"{done} of {len(missing)} shards")
        remove_parts(folder)
        return _finish(population, folder, manifest)


def _task(key: str, population: Population, folder: str, device: str | None, shard: int) -> int:
    """Make one shard; how many images it has."""
    import torch

    from nanobrag_torch.dataset.images import Maker
    from nanobrag_torch.dataset.shards import write_shard

    torch.set_num_threads(1)
    key = f"{device} {key}"
    if key not in _MAKERS:
        _MAKERS.clear()
        _MAKERS[key] = Maker(population, device)
    record = write_shard(_MAKERS[key], Path(folder), shard)
    return int(record["images"][1] - record["images"][0])


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a data set.

    Raises:
        FileFormatError: there is none, or it is of another schema.
    """
    path = folder / MANIFEST
    try:
        found = json.loads(read_bytes(path))
    except ValueError as error:
        raise FileFormatError(path, "", f"not a manifest: {error}") from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise FileFormatError(path, "", "not the manifest of a data set")
    if found["schema"] != SCHEMA:
        raise FileFormatError(path, "", f"of schema {found['schema']}; this program reads {SCHEMA}")
    return found


def _check(population: Population, device: str | None) -> None:
    """Refuse what would fail in every worker: the first image is made here."""
    from nanobrag_torch.dataset.images import Maker

    shard_name(population, population.shard_count - 1)
    maker = Maker(population, device)
    (first,) = maker.samples([0])
    largest = LARGEST_SHARD_BYTES // first.image.nbytes
    if population.shards.suffix == ".h5" and min(population.shards.images, population.images) > largest:
        problem = f"{population.shards.images} images of {first.image.nbytes} bytes are too many for a file in HDF5"
        raise InputError("shards.images", problem, f"give at most {largest}")
    if population.shards.suffix != ".h5":
        from nanobrag_torch.dataset import tar_shard, zarr_shard

        (tar_shard._zstd if population.shards.suffix == ".tar" else zarr_shard._zarr)()
    if population.labels.dials and population.shards.suffix != ".tar":
        raise InputError("labels.dials", f"{population.shards.file} cannot hold files of DIALS", "use .tar shards")


def _begin(population: Population, folder: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """The manifest that is there, or a new one.

    Raises:
        InputError: the folder holds another data set, or something else.
    """
    if not (folder / MANIFEST).exists():
        others = [name for name in os.listdir(folder) if not name.startswith(".")]
        if others:
            raise InputError("-o", f"{folder} holds {others[0]} and no manifest", "choose an empty folder")
        manifest: dict[str, Any] = {"kind": KIND, "schema": SCHEMA, "complete": False, "population": identity}
        manifest |= {"versions": versions(), "description": _description(population)}
        manifest |= {"description_file": os.path.basename(population.path), "inputs": population.folder}
        _write_manifest(folder, manifest)
        return manifest
    manifest = read_manifest(folder)
    now, then = versions(), manifest["versions"]
    if now["nanobrag_torch"] != then["nanobrag_torch"]:
        problem = f"{folder} was begun by version {then['nanobrag_torch']}, this is {now['nanobrag_torch']}"
        raise InputError("-o", problem, "go on with that version, or choose another folder")
    for name, theirs, ours in _differences(manifest["population"], identity):
        raise InputError("-o", f"{folder} was begun with {name} = {theirs}, not {ours}", "choose another folder")
    return manifest


def _differences(theirs: Any, ours: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two trees of plain values differ: name and both values."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            yield from _differences(theirs.get(key), ours.get(key), f"{name}.{key}".lstrip("."))
    elif theirs != ours:
        yield name, theirs, ours


def _missing(population: Population, folder: Path) -> list[int]:
    """The shards that were not announced, or are gone.

    Raises:
        InputError: one has another size than its record says.
    """
    from nanobrag_torch.dataset.shards import read_record, size_of

    found = []
    present = set(os.listdir(folder))
    for shard in range(population.shard_count):
        name = shard_name(population, shard)
        if name not in present or f"{name}.json" not in present:
            found.append(shard)
            continue
        record = read_record(folder, name)
        assert record is not None
        size = size_of(folder / name)
        if size != record["bytes"]:
            problem = f"has {size} bytes instead of {record['bytes']}: somebody changed it"
            raise InputError(str(folder / name), problem, "remove it to have it made again")
    return found


def _finish(population: Population, folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with every shard."""
    from nanobrag_torch.dataset.shards import read_record

    records = [read_record(folder, shard_name(population, shard)) for shard in range(population.shard_count)]
    names = ("file", "images", "bytes", "sha256")
    shards = [{name: record[name] for name in names} for record in records if record is not None]
    manifest = manifest | {"complete": True, "shards": shards}
    if json.loads((folder / MANIFEST).read_bytes()) != manifest:
        _write_manifest(folder, manifest)
    return manifest


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    with whole_file(folder / MANIFEST, "-o") as handle:
        handle.write(json.dumps(manifest, indent=1).encode())


def versions() -> dict[str, str]:
    """Versions of everything that decides about a bit."""
    found = {"nanobrag_torch": __version__, "python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _description(population: Population) -> str:
    """The text of the description, if it came from a file."""
    if not population.lines or not os.path.isfile(population.path):
        return ""
    return read_bytes(population.path).decode("utf-8-sig", "replace")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One command at a time makes a data set."""
    try:
        handle = open(folder / LOCK, "w")  # noqa: SIM115 - held by the block
    except OSError as error:
        raise InputError("-o", f"{folder} cannot be written: {error.strerror}", "choose another folder") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError("-o", f"another command is making {folder}", "wait for it, or stop it") from error
        yield
