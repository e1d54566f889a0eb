"""A standard output that cannot fail: text that nobody reads is lost, and nothing else."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Outlet(io.TextIOBase):
    """A text stream that hands everything on to another one for as long as that takes it.

    Args:
        stream: where the text goes.

    Attributes:
        failure: why text was lost, for the user; empty as long as none was, or where nobody wants it.
    """

    def __init__(self, stream: Any) -> None:
        self._stream: Any = stream
        self._open = stream is not None
        self.failure = ""

    def write(self, text: str, /) -> int:
        """Hand on a text."""
        if self._open:
            self._try(lambda: self._write(text))
        return len(text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:
            self._stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))

    def flush(self) -> None:
        """Hand on what is kept back."""
        if self._open:
            self._try(self._stream.flush)

    def _try(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except (OSError, ValueError) as error:
            if isinstance(error, UnicodeError):
                raise
            self._open = False
            if not isinstance(error, BrokenPipeError):
                self.failure = (error.strerror if isinstance(error, OSError) else None) or str(error)
            self._forget()

    def _forget(self) -> None:
        """Let the interpreter, which writes out what is kept when it ends, write to nowhere."""
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def isatty(self) -> bool:
        """Whether somebody looks at it."""
        return self._open and bool(self._stream.isatty())

    def writable(self) -> bool:
        """It always is."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream behind it."""
        return str(getattr(self._stream, "encoding", None) or "utf-8")

    def fileno(self) -> int:
        """That of the stream behind it."""
        return int(self._stream.fileno()) if self._stream is not None else 1

    def close(self) -> None:
        """Leave the stream behind it open."""


@contextmanager
def guarded_streams() -> Iterator[Outlet]:
    """Put an `Outlet` before the standard output; descriptors 0 to 2 that are closed get a place to lead to."""
    before = sys.stdout
    if isinstance(before, Outlet):
        yield before
        return
    lost = before is None
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno == errno.EBADF:
                with suppress(OSError):
                    os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    outlet = Outlet(None if lost else before)
    sys.stdout = outlet
    try:
        yield outlet
        outlet.flush()
    finally:
        sys.stdout = before
