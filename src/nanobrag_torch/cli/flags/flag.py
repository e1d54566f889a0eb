"""One row of the flag table: everything the program knows about one flag."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nanobrag_torch.cli.flags.words import Words, nothing


@dataclass(frozen=True)
class Flag:
    """A flag: parsing, help, the documentation page and the tests are all made from these values.

    Args:
        spellings: as in `specs/cli.md`: matched exactly, or as a prefix when a star ends them.
        help: one line that says what it does.
        example: a command-line fragment.
        gives: the configuration fields that the example sets, with their values.
        takes: the words that follow, and how they become values.
        unit: unit of the value, or empty.
        default: what holds when the flag is not given, as the help shows it.
        sets: further fields that the flag sets, with fixed values.
        convention: detector convention that the flag selects, or `None`.
        pivot: pivot that the flag selects (it counts only in CUSTOM), or `None`.
        says: a line for the user whenever the flag is given, or empty.
        action: `help`, `version`, `completion` or `batch` when the flag asks for that instead of a run.
        extension: whether nanoBragg.c lacks it.
        repeats: whether every use adds to the earlier ones; its values are tuples then.
    """

    spellings: tuple[str, ...]
    help: str
    example: str
    gives: Mapping[str, Any] = field(default_factory=dict)
    takes: Words = field(default_factory=nothing)
    unit: str = ""
    default: str = ""
    sets: Mapping[str, Any] = field(default_factory=dict)
    convention: str | None = None
    pivot: str | None = None
    says: str = ""
    action: str = ""
    extension: bool = False
    repeats: bool = False

    @property
    def name(self) -> str:
        """The first spelling, without a star."""
        return self.spellings[0].rstrip("*")

    @property
    def example_words(self) -> list[str]:
        """The example as a list of words."""
        return shlex.split(self.example)

    @property
    def fields(self) -> tuple[str, ...]:
        """The configuration fields that the flag's words and switches set."""
        return (*self.takes.fields, *self.sets)
