"""Files as a whole, for files of strangers too: regular files only, of bounded size, unpacked within bounds.

Text may be UTF-8 with or without a byte-order mark, UTF-16 with one, or gzipped; bytes beyond ASCII in anything else
are kept as they come.
"""

from __future__ import annotations

import codecs
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nanobrag_torch.errors import FileFormatError, NanobragError

PathLike = str | os.PathLike[str]

LARGEST_TEXT = 2**31
"""Bytes of a text file, unpacked, beyond which it is refused; a table of a hundred million lines fits."""
LARGEST_LIST = 2**26
"""Bytes of lists that nobody makes long: matrices, sources, spectra, command lines."""
LARGEST_DATA = 2**35
"""Bytes of images and binary tables."""
DEEPEST = 100
"""Levels of a JSON text beyond which it is refused."""
_GZIP = b"\x1f\x8b"
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_BLOCK = 1 << 20


def read_bytes(path: PathLike, most: int = LARGEST_DATA) -> bytes:
    """The content of a regular file.

    Args:
        path: the file; a link to one will do.
        most: bytes beyond which it is refused.

    Raises:
        FileFormatError: it is missing, a folder, a pipe or a device, not permitted, or too large.
    """
    try:
        # A pipe without a writer would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise unopened(path, error) from error
    try:
        status = os.fstat(descriptor)
        _check_kind(path, status, most)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read()
    except OSError as error:
        raise unopened(path, error) from error
    except MemoryError as error:
        raise FileFormatError(path, "", "is larger than the memory") from error
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise FileFormatError(path, "", f"is larger than {most} bytes, the most that is read of its kind")
    return content


def check_regular(path: PathLike) -> None:
    """Refuse what is no regular file, before a library opens it that would wait for a pipe.

    Raises:
        FileFormatError: it is missing, a folder, a pipe or a device.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise unopened(path, error) from error
    _check_kind(path, status, LARGEST_DATA * 2**10)


def read_start(path: PathLike, count: int) -> bytes:
    """The first bytes of a regular file, at most `count` of them.

    Raises:
        FileFormatError: it is missing, a folder, a pipe or a device, or not permitted.
    """
    check_regular(path)
    try:
        with open(path, "rb") as file:
            return file.read(count)
    except (OSError, ValueError) as error:
        raise unopened(path, error) from error


def _check_kind(path: PathLike, status: os.stat_result, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise FileFormatError(path, "", "unable to open: Is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise FileFormatError(path, "", "is a pipe or a device, expected a regular file; save its content first")
    if status.st_size > most:
        raise FileFormatError(path, "", f"has {status.st_size} bytes, at most {most} are read of its kind")


@contextmanager
def understood(path: PathLike, what: str) -> Iterator[None]:
    """Turn what a library raises about the content of a file into an error about the file.

    Raises:
        FileFormatError: `what` says what the file is not.
    """
    try:
        yield
    except NanobragError:
        raise
    except MemoryError as error:
        raise FileFormatError(path, "", f"{what}: it asks for more memory than there is") from error
    except (
        RuntimeError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        AttributeError,
        OSError,
        ArithmeticError,
    ) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(path, "", f"{what} ({text})") from error


def unopened(path: PathLike, error: OSError | ValueError) -> FileFormatError:
    """The error about a file that cannot be opened."""
    reason = error.strerror if isinstance(error, OSError) else None
    return FileFormatError(path, "", f"unable to open: {reason or error}")


def unpacked(path: PathLike, content: bytes, most: int = LARGEST_TEXT) -> bytes:
    """What a gzipped file holds, or the content itself if it is not gzipped.

    Raises:
        FileFormatError: it is truncated, corrupt, or unpacks to more than `most` bytes.
    """
    if not content.startswith(_GZIP):
        return content
    whole, rest = bytearray(), content
    try:
        while rest:
            machine = zlib.decompressobj(wbits=31)
            while not machine.eof:
                piece = machine.decompress(rest, min(_BLOCK, most + 1 - len(whole)))
                rest = machine.unconsumed_tail
                whole += piece
                if len(whole) > most:
                    raise FileFormatError(path, "", f"unpacks to more than {most} bytes, the most that is read")
                if not piece and not rest and not machine.eof:
                    raise FileFormatError(path, "", "truncated or corrupt gzip file (it ends too early)")
            rest = machine.unused_data.lstrip(b"\0")
            if rest and not rest.startswith(_GZIP):
                break
    except zlib.error as error:
        raise FileFormatError(path, "", f"truncated or corrupt gzip file ({error})") from error
    return bytes(whole)


def read_text(path: PathLike, most: int = LARGEST_TEXT, unmarked: str = "latin-1") -> str:
    """The text of a file that may be gzipped, or marked as UTF-8 or UTF-16; `unmarked` is the encoding of others.

    Raises:
        FileFormatError: as `read_bytes`, or the marked encoding does not hold.
    """
    content = unpacked(path, read_bytes(path, most), most)
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                return content[len(mark) :].decode(encoding)
            except UnicodeDecodeError as error:
                problem = f"is marked as {encoding.upper()} text and is not ({error.reason}); save it as UTF-8"
                raise FileFormatError(path, f"byte {error.start + len(mark)}", problem) from error
    return content.decode(unmarked, "surrogateescape")


def read_lines(path: PathLike, most: int = LARGEST_TEXT) -> list[str]:
    """The lines of a text file without their ends, whatever these are; raises as `read_text`."""
    return read_text(path, most).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_json(path: PathLike, most: int = LARGEST_LIST * 4) -> Any:
    """The content of a JSON file, UTF-8, no deeper than `DEEPEST` levels.

    Raises:
        FileFormatError: names the place: not text, not JSON, cut short, too deep, or a number that is too long.
    """
    import json

    content = unpacked(path, read_bytes(path, most), most)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(path, f"byte {error.start}", "not a text file in UTF-8, expected JSON") from error
    _check_depth(path, text)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise FileFormatError(path, where, f"not JSON, or cut short: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, "", f"not JSON that can be read: {' '.join(str(error).split())}") from error


def _check_depth(path: PathLike, text: str) -> None:
    """Refuse brackets nested deeper than `DEEPEST`; those inside strings count, which no real file minds."""
    depth = 0
    for letter in text if text.count("[") + text.count("{") > DEEPEST else "":
        if letter in "[{":
            depth += 1
            if depth > DEEPEST:
                raise FileFormatError(path, "", f"is nested deeper than {DEEPEST} levels")
        elif letter in "]}":
            depth -= 1


def exists(path: PathLike) -> bool:
    """Whether there is something at this place; false too where the name is impossible."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False
