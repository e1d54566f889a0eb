"""Files as a whole: read at once (`io.reading`), written under a temporary name and renamed when complete.

A temporary file is locked for as long as its process lives, so that what a killed one left can be told from what
another is writing, and swept away (`sweep`).
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.reading import PathLike, read_bytes, read_lines

Opening = Callable[[PathLike, str], AbstractContextManager[IO[bytes]]]
"""What a writer opens its file with: `whole_file`, or `WholeFiles.file` for several files together."""


def check_writable(path: PathLike, field: str = "") -> None:
    """Refuse a name that could not be written, before anything is computed.

    Raises:
        InputError: names `field` (a flag) and the path: no such folder, no permission, or a folder itself.
    """
    problem = ""
    try:
        target = Path(os.path.realpath(path))
        target.exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(field or str(path), f"{path} cannot be written: {reason}", "choose another name") from error
    if target.is_dir():
        problem = "is a folder"
    elif not target.parent.is_dir():
        problem = "cannot be written: its folder does not exist"
    elif target.exists() and not os.access(target, os.W_OK):
        problem = "cannot be written: permission denied"
    elif not _is_special(target) and not os.access(target.parent, os.W_OK | os.X_OK):
        problem = "cannot be written: no permission for its folder"
    if problem:
        raise InputError(field or str(path), f"{path} {problem}", "choose another file name")


@contextmanager
def whole_file(path: PathLike, field: str = "") -> Iterator[IO[bytes]]:
    """A binary file that appears under its name when the block ends, or not at all.

    What stood there before survives a failure. A device or pipe is written directly.

    Raises:
        InputError: names `field` (a flag) and the path; it cannot be opened or written.
    """
    with WholeFiles() as files, files.file(path, field) as handle:
        yield handle


Complete = tuple[Path, Path, str]
"""A file that is written: its temporary name, its final name, and the flag that asked for it."""


_PART = re.compile(r"\.nanobrag-[0-9a-f]*-[0-9a-f]{8}\.part")


def part_pattern(tag: str) -> str:
    """Pattern of the temporary names that `WholeFiles` with this tag gives."""
    return f".nanobrag-{tag}*.part"


class WholeFiles:
    """Several files that appear together when the block ends, or not at all; their content is on disk before.

    with WholeFiles() as files:
        write_float_image("a.bin", image, opening=files.file)
        write_smv("b.img", counts, header, opening=files.file)

    Args:
        announce: called with every (file under its temporary name, final name, flag) when all are complete, before
            the first of them gets its name.
        tag: part of the temporary names, by which what a killed process left can be found (`part_pattern`).
    """

    def __init__(self, announce: Callable[[Sequence[Complete]], None] | None = None, tag: str = "") -> None:
        self._complete: list[Complete] = []
        self._locks: list[int] = []
        self._announce, self._tag = announce, tag

    def __enter__(self) -> WholeFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        folders = {target.parent for _, target, _ in self._complete}
        try:
            if kind is None and self._announce is not None:
                self._announce(tuple(self._complete))
            while kind is None and self._complete:
                temporary, target, field = self._complete[0]
                try:
                    os.replace(temporary, target)
                except OSError as failure:
                    raise _refusal(field, target, failure) from failure
                self._complete.pop(0)
            for folder in folders if kind is None else ():
                _settle_folder(folder)
        finally:
            for temporary, _, _ in self._complete:
                _remove(temporary)
            for lock in self._locks:
                os.close(lock)
            self._complete.clear()
            self._locks.clear()

    @contextmanager
    def file(self, path: PathLike, field: str = "") -> Iterator[IO[bytes]]:
        """A binary file that will get its name when all are complete; raises as `whole_file` does."""
        check_writable(path, field)
        target = Path(os.path.realpath(path))
        direct = _is_special(target)
        part = f".nanobrag-{self._tag}{os.getpid()}-{os.urandom(4).hex()}.part"
        written = target if direct else target.parent / part
        try:
            with open(written, "wb") if direct else _locked(written) as handle:
                if not direct:
                    self._locks.append(os.dup(handle.fileno()))
                yield handle
                if not direct:
                    handle.flush()
                    os.fsync(handle.fileno())
            if target.exists() and not direct:
                written.chmod(stat.S_IMODE(target.stat().st_mode))
        except BaseException as error:
            if not direct:
                _remove(written)
            if isinstance(error, OSError):
                raise _refusal(field or str(path), path, error) from error
            raise
        if not direct:
            self._complete.append((written, target, field or str(path)))


def sweep(folders: Iterable[PathLike]) -> list[Path]:
    """Remove the temporary files that dead processes left in some folders; those removed.

    A file that nobody locks belongs to nobody. Where the file system knows no locks nothing is removed.
    """
    removed = []
    for folder in {os.path.realpath(folder) for folder in folders}:
        with suppress(OSError):
            names = [name for name in os.listdir(folder) if _PART.fullmatch(name)]
            removed += [path for path in (Path(folder, name) for name in names) if _take_away(path)]
    return removed


def _take_away(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _locked(path: Path) -> IO[bytes]:
    """A new file, locked; made again if somebody swept it away before it was."""
    while True:
        handle = open(path, "xb")  # noqa: SIM115
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return handle  # a file system without locks, where nothing is swept either
        if os.fstat(handle.fileno()).st_nlink:
            return handle
        handle.close()


def _settle_folder(folder: Path) -> None:
    """Put the names in a folder on disk; not every file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _is_special(target: Path) -> bool:
    """Whether a name stands for a device or pipe, which a rename would replace."""
    return target.exists() and not stat.S_ISREG(target.stat().st_mode)


def _refusal(field: str, path: PathLike, error: OSError) -> InputError:
    return InputError(
        field,
        f"{os.fspath(path)} cannot be written: {error.strerror or error}",
        "free some space or choose another place",
    )


__all__ = [
    "Complete",
    "Opening",
    "PathLike",
    "WholeFiles",
    "check_writable",
    "part_pattern",
    "read_bytes",
    "read_lines",
    "sweep",
    "whole_file",
]
