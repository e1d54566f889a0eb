"""Signals that end a program: blocks are left in order, children end with it, native code is not waited for."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, TypeVar

_SIGNALS = ("SIGTERM", "SIGHUP")

T = TypeVar("T")


class Ended(KeyboardInterrupt):
    """A signal that asks the program to end; it passes through code like Ctrl-C."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@contextmanager
def heard_signals() -> Iterator[None]:
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
    if _CHILDREN.begetting:
        _CHILDREN.put_off = lambda: _end(number, None)
        return
    _CHILDREN.end()
    raise Ended(number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _CHILDREN.begetting:
        _CHILDREN.put_off = lambda: _interrupt(number, None)
        return
    _CHILDREN.end()
    raise KeyboardInterrupt


class _Children:
    """Groups of processes that end with this one.

    Attributes:
        ending: whether this process is about to end, so that threads start no more of them.
        at_work: whether a worker process is inside a piece of work.
        begetting: whether the main thread is starting a process, which nobody would know if a signal came between.
        put_off: what such a signal does afterwards.
    """

    def __init__(self) -> None:
        self.groups: set[int] = set()
        self.ending = False
        self.at_work = False
        self.begetting = False
        self.put_off: Callable[[], None] | None = None

    def end(self) -> None:
        """Kill them all; they hold nothing that is not in files."""
        self.ending = True
        for group in list(self.groups):
            with suppress(OSError):
                os.killpg(group, signal.SIGKILL)


_CHILDREN = _Children()


@contextmanager
def begetting() -> Iterator[None]:
    """A block that starts a process; a signal that ends this program does so at the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _CHILDREN.begetting = True
    try:
        yield
    finally:
        _CHILDREN.begetting = False
        put_off, _CHILDREN.put_off = _CHILDREN.put_off, None
        if put_off is not None:
            put_off()


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


ABANDONED: list[threading.Thread] = []
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
        ABANDONED.append(thread)
        raise
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def leave(status: int) -> NoReturn:
    """End the process with a status, without taking the interpreter apart.

    With torch loaded that takes longer than a small image. Threads that compute something are waited for, and what is
    registered for the end is done.
    """
    with suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]
    end_at_once(status)


def end_at_once(status: int) -> NoReturn:
    """End the process without waiting for threads; what is registered for the end is done."""
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)
