"""Files as a whole: read at once, written under a temporary name and renamed when complete."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from nanobrag_torch.errors import FileFormatError, InputError

PathLike = str | os.PathLike[str]


Opening = Callable[[PathLike, str], AbstractContextManager[IO[bytes]]]
"""What a writer opens its file with: `whole_file`, or `WholeFiles.file` for several files together."""


def read_bytes(path: PathLike) -> bytes:
    """The content of a file.

    Raises:
        FileFormatError: it is missing, a folder, or not permitted.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FileFormatError(path, "", f"unable to open: {error.strerror or error}") from error


def read_lines(path: PathLike) -> list[str]:
    """The lines of a text file without their ends, whatever these are; bytes beyond ASCII are kept as they come."""
    text = read_bytes(path).decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def check_writable(path: PathLike, field: str = "") -> None:
    """Refuse a name that could not be written, before anything is computed.

    Raises:
        InputError: names `field` (a flag) and the path: no such folder, no permission, or a folder itself.
    """
    target = Path(os.path.realpath(path))
    problem = ""
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


def part_pattern(tag: str) -> str:
    """Pattern of the temporary names that `WholeFiles` with this tag gives."""
    return f".nanobrag-{tag}*.part"


class WholeFiles:
    """Several files that appear together when the block ends, or not at all.

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
        self._announce, self._tag = announce, tag

    def __enter__(self) -> WholeFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        finally:
            for temporary, _, _ in self._complete:
                _remove(temporary)
            self._complete.clear()

    @contextmanager
    def file(self, path: PathLike, field: str = "") -> Iterator[IO[bytes]]:
        """A binary file that will get its name when all are complete; raises as `whole_file` does."""
        check_writable(path, field)
        target = Path(os.path.realpath(path))
        direct = _is_special(target)
        part = f".nanobrag-{self._tag}{os.getpid()}-{secrets.token_hex(4)}.part"
        written = target if direct else target.parent / part
        try:
            with open(written, "wb" if direct else "xb") as handle:
                yield handle
            if target.exists() and not direct:
                shutil.copymode(target, written)
        except BaseException as error:
            if not direct:
                _remove(written)
            if isinstance(error, OSError):
                raise _refusal(field or str(path), path, error) from error
            raise
        if not direct:
            self._complete.append((written, target, field or str(path)))


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
