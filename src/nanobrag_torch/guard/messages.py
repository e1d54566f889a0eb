"""What a program tells its user on the standard error stream: one line for everything, which can always be written."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress

LONGEST_WORD, LONGEST_LINE = 260, 2000
"""Characters of a word and of a line beyond which a message shows only the beginning and the length."""
_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|std::bad_alloc|alloc\w* failed", re.I)
NO_FOLDER = "the working directory is gone; change to one that exists"


def complain(name: str, text: str) -> None:
    """Tell the user one line on the standard error stream, behind what was said before; never fails."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    show(f"{name}: {shortened(text)}\n")


def shortened(text: str) -> str:
    """A message on one line, without control characters, its endless words and itself cut short."""
    line = " ".join(text.split("\n"))
    line = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", line)
    line = re.sub(rf"\S{{{LONGEST_WORD},}}", lambda found: _cut(found[0], 60), line)
    return line if len(line) <= LONGEST_LINE else _cut(line, LONGEST_LINE - 40)


def _cut(text: str, kept: int) -> str:
    return f"{text[:kept]}... ({len(text)} characters)"


def in_one_line(error: BaseException) -> str:
    """What an unforeseen exception means, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(text)):
        return "out of memory; ask for less (pixels, orientations, sources, a smaller table)"
    if isinstance(error, RecursionError):
        return "something in the input is nested too deeply"
    if isinstance(error, FileNotFoundError) and not has_working_directory():
        return NO_FOLDER
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}"
    if isinstance(error, UnicodeError):
        return f"a text has characters that cannot be written here ({text})"
    kind = type(error).__name__
    return f"{kind}: {text or 'no message'}; this is a fault of the program (--traceback shows where)"


def has_working_directory() -> bool:
    """Whether relative names mean something."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def show(text: str) -> None:
    """Write to the standard error stream what can be written."""
    with suppress(OSError, ValueError, AttributeError):
        try:
            sys.stderr.write(text)
        except UnicodeError:
            sys.stderr.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        sys.stderr.flush()
