"""Every exception and warning of the package, and the rule for choosing one.

A value that a person gave is wrong: `InputError`. A file's content is wrong: `FileFormatError`.
A backend, device or dtype that cannot serve: `BackendUnavailable`. A C program that fails in a comparison:
`ParityError`. Everything else that goes wrong is a bug and keeps its own exception.
"""

from __future__ import annotations

import os
from typing import Any


class NanobragError(Exception):
    """Root of every error that the package raises on purpose; its text is one line that says what to do."""


class InputError(NanobragError, ValueError):
    """A value given by the user cannot be used.

    Args:
        field: the flag or configuration field, as the user spelt it (`-distance`, `distance_mm`).
        problem: what is wrong with it, in a few words, the offending value included.
        advice: what to do instead.
    """

    def __init__(self, field: str, problem: str, advice: str = "") -> None:
        self.field, self.problem, self.advice = field, problem, advice
        super().__init__(f"{field}: {problem}" + (f"; {advice}" if advice else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.field, self.problem, self.advice)


class UsageError(InputError):
    """Something is missing without which nothing can be simulated: the command line shows its usage as well."""


class FileFormatError(NanobragError, ValueError):
    """A file cannot be read, or its content is not what it should be.

    Args:
        path: the file.
        where: place in the file (`line 12`), or empty.
        problem: what is wrong, with what was expected.
        flag: the flag that names the file, or empty.
    """

    def __init__(self, path: str | os.PathLike[str], where: str, problem: str, flag: str = "") -> None:
        self.path, self.where, self.problem, self.flag = os.fspath(path), where, problem, flag
        begin = f"{flag} {self.path}" if flag else self.path
        super().__init__(f"{begin}: {where + ': ' if where else ''}{problem}")

    def behind(self, flag: str) -> FileFormatError:
        """The same, naming the flag that the file was given with."""
        return FileFormatError(self.path, self.where, self.problem, flag)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.where, self.problem)


class BackendUnavailable(NanobragError, RuntimeError):
    """A named backend, device or dtype cannot serve this call; `reason` says why and what would."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name}: {reason}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.reason)


class ImageError(NanobragError, ArithmeticError):
    """The image of a scene has values that no image has: it is not written."""


class CostError(NanobragError, RuntimeError):
    """A render would take longer, or more memory, than anybody can mean; the text says how to go on."""


class MemoryBudgetError(NanobragError, MemoryError):
    """The render does not fit into memory even in the smallest chunks."""


class ParityError(NanobragError, RuntimeError):
    """A C program that takes part in a comparison is missing, failed or ran out of time."""


class WorkersLost(NanobragError, RuntimeError):
    """The workers of a map, or their scheduler, are gone; what was finished is kept."""


class NanobragWarning(UserWarning):
    """Category of every warning of the package."""


class LegacyDefectWarning(NanobragWarning):
    """A defect of nanoBragg.c takes part in this run (specs: deviations, section F); `identifier` names it."""

    def __init__(self, identifier: str, message: str) -> None:
        self.identifier = identifier
        super().__init__(f"{identifier}: {message}")


class TableRangeWarning(NanobragWarning):
    """A sample lies where amplitudes cannot be interpolated and takes the default; `lines` are the C program's."""

    def __init__(self, lines: tuple[str, str]) -> None:
        self.lines = lines
        super().__init__(f"{lines[0].removeprefix('WARNING: ').strip()}: such samples take the default amplitude")
