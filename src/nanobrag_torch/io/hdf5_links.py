"""Where an HDF5 file leads to: links, virtual sources and raw storage must stay in the file's folder.

HDF5 follows a name to any file that the user may read. A file of a stranger could so put the content of private files
into what is made of it. Before anything is read, everything in the file is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.reading import PathLike

if TYPE_CHECKING:
    import h5py

MOST_OBJECTS = 200_000
MOST_SOURCES = 2_000_000
DEEPEST_FILE = 2
"""Files that lead to files that lead to files are refused."""
LARGEST_CHUNK = 2**30


def check_links(path: PathLike, outside: bool = False) -> None:
    """Look at every object of a file, and of those it leads to.

    Args:
        path: the file.
        outside: whether it may lead out of its folder.

    Raises:
        FileFormatError: it leads elsewhere, to itself, or through too many files; or it has too many objects.
        OSError: it is not HDF5, or damaged.
    """
    _check_file(_Walk(path, Path(os.path.realpath(path)).parent, outside), Path(os.path.realpath(path)), 0)


class _Walk:
    """What holds for all files that are looked at."""

    def __init__(self, path: PathLike, folder: Path, outside: bool) -> None:
        self.path, self.folder, self.outside = path, folder, outside
        self.seen: set[tuple[str, Any]] = set()
        self.files: set[Path] = set()

    def wrong(self, place: str, problem: str) -> FileFormatError:
        """The error about an object."""
        return FileFormatError(self.path, place, problem)

    def leads_to(self, place: str, name: str, base: Path) -> Path | None:
        """The file that a name leads to, if it may; `None` if it is not there."""
        target = Path(os.path.realpath(base / name))
        if not self.outside and self.folder != target.parent and self.folder not in target.parents:
            advice = "; only files beside it are followed"
            raise self.wrong(place, f"leads to {name}, outside the folder of the file{advice}")
        return target if target.is_file() else None


def _check_file(walk: _Walk, file_path: Path, depth: int) -> None:
    import h5py

    if file_path in walk.files:
        return
    if depth > DEEPEST_FILE:
        raise walk.wrong("", f"leads through more than {DEEPEST_FILE} files")
    walk.files.add(file_path)
    with h5py.File(file_path, "r") as file:
        for place, name in _objects(walk, file, str(file_path)):
            target = walk.leads_to(place, name, file_path.parent)
            if target is not None:
                _check_file(walk, target, depth + 1)


def _objects(walk: _Walk, file: h5py.File, key: str) -> Iterator[tuple[str, str]]:
    """Place and file name of everything that leads to another file."""
    import h5py

    groups: list[h5py.Group] = [file]
    while groups:
        group = groups.pop()
        for name in group:
            if len(walk.seen) > MOST_OBJECTS:
                raise walk.wrong("", f"has more than {MOST_OBJECTS} objects")
            place = f"{group.name}/{name}".replace("//", "/")
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield place, link.filename
                continue
            found = group.get(name) if isinstance(link, h5py.HardLink) else None
            if found is None:
                continue
            mark = (key, h5py.h5o.get_info(found.id).addr)
            if mark in walk.seen:
                continue
            walk.seen.add(mark)
            if isinstance(found, h5py.Group):
                groups.append(found)
            elif isinstance(found, h5py.Dataset):
                yield from _leads_of(walk, place, found)


def _leads_of(walk: _Walk, place: str, found: h5py.Dataset) -> Iterator[tuple[str, str]]:
    plan = found.id.get_create_plist()
    for number in range(plan.get_external_count()):
        yield place, os.fsdecode(plan.get_external(number)[0])
    if found.chunks is not None:
        size = found.dtype.itemsize
        for length in found.chunks:
            size *= length
        if size > LARGEST_CHUNK:
            raise walk.wrong(place, f"has chunks of {size} bytes, at most {LARGEST_CHUNK} are read")
    if not found.is_virtual:
        return
    if plan.get_virtual_count() > MOST_SOURCES:
        raise walk.wrong(place, f"joins more than {MOST_SOURCES} pieces")
    for number in range(plan.get_virtual_count()):
        name, inner = plan.get_virtual_filename(number), plan.get_virtual_dsetname(number)
        if name == "." or os.path.realpath(os.path.join(os.path.dirname(found.file.filename), name)) == (
            os.path.realpath(found.file.filename)
        ):
            source = found.file.get(inner)
            if source is not None and getattr(source, "is_virtual", False):
                raise walk.wrong(place, "is made of itself, or of data that are made of others")
            continue
        yield place, name.replace("%%", "%")
