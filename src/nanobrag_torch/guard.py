"""What every program has around it: streams that cannot fail, signals, and one line for what nobody foresaw.

A program is a function from words to a status. `guarded` runs it so that

- an exception that is not its own becomes one line and the status `FAULT`; `--traceback` shows where it came from;
- SIGTERM and SIGHUP end it as Ctrl-C does: blocks are left in order, so no file is half there and no child is left;
- a standard output that nobody reads loses the text and nothing else, and one that is full is told of when
  everything is written;
- characters that the terminal's encoding lacks are spelt out.

`interruptible` keeps the main thread free for signals while native code computes; `uncollected` and `leave` make the
beginning and the end of a program short.
"""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, TypeVar

FAULT = 70
"""Exit status after an error that is none of the input: out of memory, a failing system, a fault of the program."""
INTERRUPTED = 130
TRACEBACK = ("-traceback", "--traceback")
LONGEST_WORD, LONGEST_LINE = 260, 2000
"""Characters of a word and of a line beyond which a message shows only the beginning and the length."""
_SIGNALS = ("SIGTERM", "SIGHUP")
_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|std::bad_alloc|alloc\w* failed", re.I)

T = TypeVar("T")


class Ended(KeyboardInterrupt):
    """A signal that asks the program to end; it passes through code like Ctrl-C."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


def guarded(name: str, program: Callable[[list[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a program.

    Args:
        name: what its messages begin with.
        program: from its words to its status.
        argv: its words; those of this process by default, of which `--traceback` is taken away.

    Returns:
        What the program returns; `FAULT`; 130, 143 or 129 after Ctrl-C, SIGTERM or SIGHUP.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    own = words[: words.index("--")] if "--" in words else words
    wanted = any(word in TRACEBACK for word in own)
    words = [word for word in own if word not in TRACEBACK] + words[len(own) :]
    ended = False
    with _streams() as out:
        try:
            with _signals():
                status = program(words)
                out.flush()
        except KeyboardInterrupt as error:
            ended = True
            status = 128 + error.number if isinstance(error, Ended) else INTERRUPTED
            said = f"ended by {error}" if isinstance(error, Ended) else "interrupted"
            complain(name, said)
        except Exception as error:
            if wanted:
                import traceback

                _show(traceback.format_exc())
            complain(name, in_one_line(error))
            status = FAULT
        if out.failure and status == 0:
            complain(name, f"the standard output cannot be written: {out.failure}; the files are complete")
            status = FAULT
    if argv is None and (ended or _ABANDONED):
        _end_at_once(status)
    return status


def leave(status: int) -> NoReturn:
    """End the process with a status, without taking the interpreter apart.

    With torch loaded that takes longer than a small image. Threads that compute something are waited for, and what is
    registered for the end is done.
    """
    with suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]
    _end_at_once(status)


@contextmanager
def uncollected() -> Iterator[None]:
    """A block that loads modules, in which no garbage is looked for.

    Modules leave next to none, and going through all that torch makes takes longer than a small image.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def complain(name: str, text: str) -> None:
    """Tell the user one line on the standard error stream, behind what was said before; never fails."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    _show(f"{name}: {shortened(text)}\n")


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
    if isinstance(error, FileNotFoundError) and not _has_working_directory():
        return "the working directory is gone; change to one that exists"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}"
    if isinstance(error, UnicodeError):
        return f"a text has characters that cannot be written here ({text})"
    kind = type(error).__name__
    return f"{kind}: {text or 'no message'}; this is a fault of the program (--traceback shows where)"


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _show(text: str) -> None:
    """Write to the standard error stream what can be written."""
    with suppress(OSError, ValueError, AttributeError):
        try:
            sys.stderr.write(text)
        except UnicodeError:
            sys.stderr.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        sys.stderr.flush()


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
def _streams() -> Iterator[Outlet]:
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


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Ended`, unless somebody has decided otherwise (`nohup`); Ctrl-C ends children."""
    taken = {}
    _CHILDREN.ending = False
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
            if signal.getsignal(number) is signal.SIG_DFL:
                taken[number] = signal.signal(number, _end)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            taken[signal.SIGINT] = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        for number, before in taken.items():
            signal.signal(number, before)


def _end(number: int, frame: FrameType | None) -> None:
    _CHILDREN.end()
    raise Ended(number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _CHILDREN.end()
    raise KeyboardInterrupt


class _Children:
    """Groups of processes that end with this one.

    Attributes:
        ending: whether this process is about to end, so that threads start no more of them.
        at_work: whether a worker process is inside a piece of work.
    """

    def __init__(self) -> None:
        self.groups: set[int] = set()
        self.ending = False
        self.at_work = False

    def end(self) -> None:
        """Kill them all; they hold nothing that is not in files."""
        self.ending = True
        for group in list(self.groups):
            with suppress(OSError):
                os.killpg(group, signal.SIGKILL)


_CHILDREN = _Children()


@contextmanager
def child_group(group: int) -> Iterator[None]:
    """Let a group of processes end when a signal ends this program.

    Raises:
        KeyboardInterrupt: it is ending already.
    """
    _CHILDREN.groups.add(group)
    try:
        if _CHILDREN.ending:
            raise KeyboardInterrupt
        yield
    finally:
        _CHILDREN.groups.discard(group)


def work_for_another() -> None:
    """Set up a worker process: a signal from its master ends it and its children without a word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_worker)


@contextmanager
def piece_of_work() -> Iterator[None]:
    """A block of a worker process that a signal leaves in order; between pieces a signal ends the process at once."""
    _CHILDREN.at_work = True
    try:
        yield
    finally:
        _CHILDREN.at_work = False


def _end_worker(number: int, frame: FrameType | None) -> None:
    if _CHILDREN.at_work and not _CHILDREN.ending:
        _end(number, frame)
    _CHILDREN.end()
    os._exit(128 + number)


_ABANDONED: list[threading.Thread] = []
"""Threads that were computing when the program was interrupted."""


def interruptible(work: Callable[[], T]) -> T:
    """The result of `work`, computed in a thread of its own, so that a signal ends the waiting for it at once.

    Native code does not look for signals. What it computes is given up when the program ends; in a process that goes
    on it comes to its end unseen.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    result: list[T] = []
    failure: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:  # handed on to the thread that waits
            failure.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, daemon=True, name="computing")
    thread.start()
    try:
        done.wait()
    except BaseException:
        _ABANDONED.append(thread)
        raise
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _end_at_once(status: int) -> NoReturn:
    """End the process without waiting for threads; what is registered for the end is done."""
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)
