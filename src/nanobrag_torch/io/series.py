"""Numbered files, and the record of a series that says which of its frames are finished.

The record is a text file beside the series, one JSON object per line. The first line says what the series is; every
other one lists the files of a frame with their sizes and checksums. A frame's line is on disk before its files get
their names, so a file under a frame's name without a line in the record is not of this series. A last line that is
cut short counts as not written. The process that draws holds a lock on the record.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.files import Complete, PathLike, part_pattern

FORMAT = 1
DIGITS = 5
"""Digits of a frame's number in a name that does not say how many: those of PILATUS detectors."""
MASTER = 0
"""Stands for the master file where a frame's number is expected."""
_KIND = "nanobrag_torch series"
_START = b'{"kind": "nanobrag_torch'
_HASHES = re.compile(r"#+(?!.*#)")
_BLOCK = 1 << 20


def numbered(name: str, frame: int, frames: int) -> str:
    """The name of a frame: its number in place of the last run of `#`, or behind the stem (`out_00012.cbf`).

    Raises:
        InputError: the run of `#` has not enough room for all frames.
    """
    folder, base = os.path.split(name)
    found = _HASHES.search(base)
    if found is None:
        stem, suffix = os.path.splitext(base)
        base = f"{stem}_{frame:0{max(DIGITS, len(str(frames)))}d}{suffix}"
    else:
        digits = len(found[0])
        if len(str(frames)) > digits:
            raise InputError(name, f"{digits} digits cannot count {frames} frames", "write more of #")
        base = f"{base[: found.start()]}{frame:0{digits}d}{base[found.end() :]}"
    return os.path.join(folder, base)


def record_name(name: str) -> str:
    """The record's place for a series whose first file is called `name`: `out.series` for `out_#####.cbf`."""
    folder, base = os.path.split(name)
    stem, suffix = os.path.splitext(base)
    stem = _HASHES.sub("", base if suffix == ".series" else stem).rstrip("_-. ")
    return os.path.join(folder, f"{stem or 'frames'}.series")


@dataclass(frozen=True)
class Written:
    """What a finished file is known by."""

    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: PathLike) -> Written:
        """What a file is known by now."""
        status = os.stat(path)
        return cls(status.st_size, status.st_mtime_ns, checksum(path))

    def problem(self, path: Path) -> str:
        """Why the file of this name is not the one that was written, or empty.

        The content is read only if the time of the last change differs.
        """
        try:
            status = path.stat()
            if status.st_size != self.size:
                return f"has {status.st_size} bytes instead of {self.size}"
            same = status.st_mtime_ns == self.mtime_ns or checksum(path) == self.sha256
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"
        return "" if same else "has another content than was written"


def checksum(path: PathLike) -> str:
    """SHA-256 of a file's content, in hexadecimal digits; raises `OSError`."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class Identity:
    """What a series is.

    Args:
        frames: how many.
        said: what the command says of the result, by flag or field.
        noise_seed: seed from which those of the frames are derived.
        misset_seed: seed of a random orientation, `None` without one.
        version: of the program that began it.
        tag: part of its temporary names.
    """

    frames: int
    said: Mapping[str, str]
    noise_seed: int
    misset_seed: int | None = None
    version: str = ""
    tag: str = ""

    def difference(self, said: Mapping[str, str]) -> tuple[str, str, str] | None:
        """The first difference between what made this series and another command: name, then, now."""
        for name in sorted({*self.said, *said}):
            then, now = self.said.get(name, "not given"), said.get(name, "not given")
            if then != now:
                return name, then, now
        return None


@dataclass
class Record:
    """The record of a series on disk, locked; made by `opened`.

    Args:
        path: its place.
        identity: what the series is, `None` = not begun.
        frames: the files of every finished frame, by their paths relative to the record's folder.
    """

    path: Path
    descriptor: int
    identity: Identity | None = None
    frames: dict[int, dict[str, Written]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder from which names in the record count."""
        return self.path.parent

    def begin(self, identity: Identity) -> None:
        """Write the first line; raises `InputError` if that is impossible."""
        line = {"kind": _KIND, "format": FORMAT, **asdict(identity)}
        self._append(line)
        self.identity = identity

    def abandon(self) -> None:
        """Forget a series of which no frame is finished."""
        if not self.frames:
            os.ftruncate(self.descriptor, 0)
            self.identity = None

    def finish(self, frame: int, complete: Sequence[Complete]) -> None:
        """Put the complete files of a frame on record, before they get their names."""
        for temporary, _, _ in complete:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        files = {self.relative(target): Written.of(temporary) for temporary, target, _ in complete}
        self._append({"frame": frame, "files": {name: asdict(written) for name, written in files.items()}})
        self.frames[frame] = files

    def relative(self, path: PathLike) -> str:
        """A file's name in the record."""
        return os.path.relpath(os.path.realpath(path), self.folder)

    def problem(self, frame: int, names: Sequence[str]) -> str:
        """Why a frame on record is not finished: what is wrong with which of its files; empty if all is well."""
        known = self.frames[frame]
        for name in names:
            written = known.get(self.relative(name))
            problem = "is not on record" if written is None else written.problem(Path(name))
            if problem:
                return f"{name} {problem}"
        return ""

    def tidy(self, folders: set[Path]) -> None:
        """Remove what a killed process left of this series in some folders."""
        if self.identity is None:
            return
        for folder in folders:
            for part in folder.glob(part_pattern(self.identity.tag)):
                with suppress(OSError):
                    part.unlink()

    def _append(self, line: Mapping[str, Any]) -> None:
        content = json.dumps(line, ensure_ascii=True).encode("ascii") + b"\n"
        end = os.fstat(self.descriptor).st_size
        try:
            if os.write(self.descriptor, content) != len(content):
                raise OSError(28, "No space left on device")
            os.fsync(self.descriptor)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self.descriptor, end)
            text = f"{self.path} cannot be written: {error.strerror or error}"
            raise InputError("frames", text, "free some space") from error


@contextmanager
def opened(path: PathLike) -> Iterator[Record]:
    """The record at this place, locked until the block ends; it is made if there is none.

    An empty record that nothing was written to is removed again.

    Raises:
        InputError: another process is drawing the series, or the file cannot be opened.
        FileFormatError: the file is not a record of a series, or damaged.
    """
    place = Path(os.path.realpath(path))
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise InputError("frames", f"{path} cannot be opened: {error.strerror or error}", "choose another place") from (
            error
        )
    try:
        _lock(descriptor, path)
        record = Record(place, descriptor)
        _load(record, path)
        yield record
    finally:
        if os.fstat(descriptor).st_size == 0:
            with suppress(OSError):
                place.unlink()
        os.close(descriptor)


def _lock(descriptor: int, path: PathLike) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError("frames", f"{path}: another process is drawing this series", "let it finish") from error
    except OSError:
        return  # a file system without locks


def _load(record: Record, path: PathLike) -> None:
    """Read the lines of a record; cut off a last one that is not complete."""
    content = _content(record.descriptor)
    whole, _, torn = content.rpartition(b"\n")
    if torn and not whole and not (torn.startswith(_START) or _START.startswith(torn)):
        raise FileFormatError(path, "", "not the record of a series; move it away, or choose other names")
    lines = whole.split(b"\n") if whole else []
    for number, line in enumerate(lines, start=1):
        try:
            _understand(record, json.loads(line), number)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            advice = "move it and the files of the series away, or choose other names"
            raise FileFormatError(path, f"line {number}", f"not the record of a series; {advice}") from error
    if torn:
        os.ftruncate(record.descriptor, len(content) - len(torn))


def _content(descriptor: int) -> bytes:
    content = bytearray()
    while block := os.pread(descriptor, _BLOCK, len(content)):
        content += block
    return bytes(content)


def _understand(record: Record, line: dict[str, Any], number: int) -> None:
    """Take up one line; raises `ValueError`, `TypeError` or `KeyError` if it is none of ours."""
    if number > 1:
        record.frames[int(line["frame"])] = {name: Written(**known) for name, known in line["files"].items()}
        return
    if line.pop("kind") != _KIND or line.pop("format") != FORMAT:
        raise ValueError("another kind of file")
    record.identity = Identity(**line)


__all__ = ["MASTER", "Identity", "Record", "Written", "checksum", "numbered", "opened", "record_name"]
