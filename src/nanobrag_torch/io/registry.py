"""Which files a run reads and writes, so that none is destroyed by another.

A file is known by its inode, so links and other spellings of a name do not matter; one that does not exist yet, by
its folder's and its name.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.files import PathLike, check_writable

Key = tuple[object, ...]


class FileRegistry:
    """The files of a run, in the order in which they are said.

        files = FileRegistry()
        files.reads("P1.hkl", "-hkl")
        files.writes("image.bin", "-floatfile")

    Inputs are said first: an output that is one is refused, as are two outputs with one file.
    """

    def __init__(self) -> None:
        self._known: dict[Key, str] = {}

    def copy(self) -> FileRegistry:
        """A registry that knows the same files."""
        other = FileRegistry()
        other._known = dict(self._known)
        return other

    def reads(self, path: PathLike, flag: str) -> None:
        """Note a file that is read; `flag` is what names it."""
        key = identity(path)
        if key is not None:
            self._known.setdefault(key, flag)

    def writes(self, path: PathLike, flag: str) -> None:
        """Note a file that is written, and refuse what must not be.

        Raises:
            InputError: it is read or written already, it is no regular file, or it cannot be written.
        """
        self.keeps(path, flag)
        check_writable(path, flag)
        refuse_special(path, flag)
        key = identity(path)
        if key is not None:
            self._known[key] = flag

    def keeps(self, path: PathLike, flag: str) -> None:
        """Refuse a name that is read or written already, without noting it.

        Raises:
            InputError: naming both flags.
        """
        owner = self.owner(path)
        if owner is not None:
            raise InputError(flag, f"{os.fspath(path)} is the file of {owner} too", "choose another file name")

    def owner(self, path: PathLike) -> str | None:
        """The flag of a file that is noted, or `None`."""
        key = identity(path)
        return None if key is None else self._known.get(key)


def identity(path: PathLike) -> Key | None:
    """What a file is known by; `None` for the null device, which everybody may write to."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        target = Path(os.path.realpath(path))
        try:
            folder = os.stat(target.parent)
        except (OSError, ValueError):
            return (str(target),)
        return folder.st_dev, folder.st_ino, target.name
    if _is_null(status):
        return None
    return status.st_dev, status.st_ino


def refuse_special(path: PathLike, flag: str) -> None:
    """Refuse an output that is a pipe, a socket or a device, except the null device.

    Raises:
        InputError: naming the flag.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or _is_null(status):
        return
    raise InputError(flag, f"{os.fspath(path)} is {kind_of(status.st_mode)}, not a file", "choose a file name")


def _is_null(status: os.stat_result) -> bool:
    try:
        null = os.stat(os.devnull)
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == null.st_rdev


def kind_of(mode: int) -> str:
    """What a file of this mode is, in words."""
    for test, name in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return name
    return "something else"
