"""The words of a command line, cut into flags with their values, for harnesses that have to change some of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nanobrag_torch.cli.flags import NEVER_EXISTED, Flag
from nanobrag_torch.cli.flags.words import is_number
from nanobrag_torch.cli.parse import find_flag

INPUT_FLAGS = frozenset({"-hkl", "-dump", "-mat", "-img", "-mask", "-sourcefile", "-stol"})
OUTPUT_FLAGS = frozenset({"-floatfile", "-intfile", "-pgmfile", "-noisefile", "-png", "-cbf", "-nexus", "-expt"})
OURS_ONLY = frozenset({"-device", "-dtype", "-threads", "-memory", "-png", "-cbf", "-nexus", "-expt", "-frames"})
"""Flags that no C program has and that change nothing but where, how or into which further files ours computes."""
FLOAT_FILE = "float.bin"


@dataclass(frozen=True)
class Use:
    """One flag of a line: the word as typed, its row of the flag table (`None` for an unknown word), its values."""

    word: str
    flag: Flag | None
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """The first spelling of the flag, or the word itself."""
        return self.flag.name if self.flag else self.word

    @property
    def words(self) -> tuple[str, ...]:
        """The flag and its values."""
        return (self.word, *self.values)


def uses(args: Sequence[str]) -> list[Use]:
    """The line, flag by flag. Nothing is judged: an unknown word stands alone, missing values are just missing."""
    found = []
    i = 0
    while i < len(args):
        word, rest = args[i], args[i + 1 :]
        flag = find_flag(word)
        if flag is not None:
            values = tuple(rest[: flag.takes.count(rest)])
        else:
            values = tuple(rest[: word in NEVER_EXISTED and bool(rest) and is_number(rest[0])])
        found.append(Use(word, flag, values))
        i += 1 + len(values)
    return found


def line(parts: Sequence[Use]) -> list[str]:
    """The words of several uses."""
    return [word for use in parts for word in use.words]


def portable(args: Sequence[str], base: Path) -> list[str]:
    """The line for a run in another folder: input files by their whole paths, output files by their last part.

    Args:
        args: the line.
        base: folder that relative input names start from.
    """
    moved = []
    for use in uses(args):
        values = use.values
        if values and use.name in INPUT_FLAGS and (base / values[0]).exists():
            values = (os.fspath((base / values[0]).resolve()), *values[1:])
        elif values and use.name in OUTPUT_FLAGS:
            values = (Path(values[0]).name, *values[1:])
        moved.append(Use(use.word, use.flag, values))
    return line(moved)


def without(args: Sequence[str], names: frozenset[str]) -> list[str]:
    """The line without the flags of these names."""
    return line([use for use in uses(args) if use.name not in names])


def region_of(words: Sequence[str]) -> tuple[int, int, int, int]:
    """A region (xmin, xmax, ymin, ymax), both ends included, from `--roi`'s words.

    Raises:
        ValueError: they are neither four whole numbers nor two half-open ranges, or hold no pixel.
    """
    form = "takes XMIN XMAX YMIN YMAX (ends included) or X0:X1 Y0:Y1 (upper ends left out)"
    try:
        if len(words) == 2 and all(word.count(":") == 1 for word in words):
            (x0, x1), (y0, y1) = (map(int, word.split(":")) for word in words)
            found = (x0, x1 - 1, y0, y1 - 1)
        elif len(words) == 4:
            x0, x1, y0, y1 = map(int, words)
            found = (x0, x1, y0, y1)
        else:
            raise ValueError(form)
    except ValueError as error:
        raise ValueError(f"{form}, not {' '.join(words)}") from error
    if found[0] > found[1] or found[2] > found[3]:
        raise ValueError(f"{' '.join(words)} holds no pixel: {form}")
    return found
