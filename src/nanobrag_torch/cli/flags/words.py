"""How the words behind a flag become values.

A builder such as `real("detector.distance_mm")` makes the `Words` of a row: how many words follow, and a function
from these words to {configuration field: value}. Numbers are read strictly: the whole word, finite, in ASCII.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanobrag_torch.units import wavelength_from_energy

Values = dict[str, Any]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITY = re.compile(r"\+?inf(inity)?", re.IGNORECASE)


@dataclass(frozen=True)
class Words:
    """What follows a flag.

    Args:
        shown: the words as the help shows them, one entry per word.
        fields: the configuration fields they set (`detector.distance_mm`).
        count: number of words taken, given all words behind the flag.
        values: the fields and values that the taken words give; raises `ValueError` with the reason.
    """

    shown: tuple[str, ...]
    fields: tuple[str, ...]
    count: Callable[[Sequence[str]], int]
    values: Callable[[Sequence[str]], Values]


def number(word: str, infinite: bool = False) -> float:
    """The finite real number that the whole of `word` spells.

    Args:
        word: one word of the command line.
        infinite: whether `inf` is a number too.

    Raises:
        ValueError: with the reason, when it is not one.
    """
    if infinite and _INFINITY.fullmatch(word):
        return math.inf
    if not _NUMBER.fullmatch(word):
        raise ValueError(f"{word!r} is not a number")
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{word!r} is too large for a number")
    return value


def is_number(word: str) -> bool:
    """Whether the whole word spells a real number."""
    return _NUMBER.fullmatch(word) is not None


def whole(word: str) -> int:
    """The integer that the whole of `word` spells: `8` and `8.0`, not `8.9`."""
    if re.fullmatch(r"[+-]?\d+", word, re.ASCII):
        if len(word) > 20:
            raise ValueError(f"{word!r} is too large for a number")
        return int(word)
    value = number(word)
    if not value.is_integer():
        raise ValueError(f"{word!r} is not a whole number")
    return int(value)


def looks_like_flag(word: str) -> bool:
    """Whether a word starts as flags do: one or two dashes and a letter."""
    return re.match(r"--?[A-Za-z]", word) is not None


def _fixed(shown: tuple[str, ...], fields: tuple[str, ...], values: Callable[[Sequence[str]], Values]) -> Words:
    return Words(shown, fields, lambda words: len(shown), values)


def nothing() -> Words:
    """No word; the row's `sets` says what happens."""
    return _fixed((), (), lambda words: {})


def real(*fields: str, infinite: bool = False) -> Words:
    """One real number, stored in each of `fields`."""
    return _fixed(("x",), fields, lambda words: dict.fromkeys(fields, number(words[0], infinite)))


def integer(*fields: str) -> Words:
    """One whole number, stored in each of `fields`."""
    return _fixed(("n",), fields, lambda words: dict.fromkeys(fields, whole(words[0])))


def integers(field: str, *shown: str) -> Words:
    """Several whole numbers, stored as one tuple."""
    return _fixed(shown, (field,), lambda words: {field: tuple(whole(word) for word in words)})


def reals(field: str, *shown: str) -> Words:
    """Several real numbers, stored as one tuple."""
    return _fixed(shown, (field,), lambda words: {field: tuple(number(word) for word in words)})


def vector(field: str) -> Words:
    """Three real numbers, stored as one tuple."""
    return _fixed(("x", "y", "z"), (field,), lambda words: {field: tuple(number(word) for word in words)})


def energy(field: str) -> Words:
    """A photon energy in eV, stored as a wavelength in Å."""

    def values(words: Sequence[str]) -> Values:
        value = number(words[0])
        if value <= 0:
            raise ValueError(f"a photon energy of {words[0]} eV is not positive")
        return {field: wavelength_from_energy(value)}

    return _fixed(("x",), (field,), values)


def name(field: str, shown: str = "file") -> Words:
    """A file name or other free word; a word that looks like a flag is not one."""

    def values(words: Sequence[str]) -> Values:
        if looks_like_flag(words[0]) or not words[0]:
            raise ValueError(f"a name was expected, not {words[0]!r} (write ./{words[0]} for such a file)")
        return {field: words[0]}

    return _fixed((shown,), (field,), values)


def choice(field: str, *allowed: str) -> Words:
    """One of a few words."""

    def values(words: Sequence[str]) -> Values:
        if words[0] not in allowed:
            raise ValueError(f"{words[0]!r} is none of {', '.join(allowed)}")
        return {field: words[0]}

    return _fixed(("|".join(allowed),), (field,), values)


def containing(field: str, meanings: Mapping[str, Any]) -> Words:
    """A word that contains one of a few texts; the last text of `meanings` that it contains counts."""

    def values(words: Sequence[str]) -> Values:
        found = [value for text, value in meanings.items() if text in words[0]]
        if not found:
            raise ValueError(f"{words[0]!r} contains none of {', '.join(meanings)}")
        return {field: found[-1]}

    return _fixed(("|".join(meanings),), (field,), values)


def cell(*fields: str) -> Words:
    """Up to six numbers; a word that starts with a dash ends them, fields without a word keep what they had."""

    def count(words: Sequence[str]) -> int:
        ends = (i for i, word in enumerate(words[: len(fields)]) if word.startswith("-"))
        return max(1, next(ends, min(len(words), len(fields))))

    def values(words: Sequence[str]) -> Values:
        return {field: number(word) for field, word in zip(fields, words, strict=False)}

    return Words(("a", "[b", "c", "alpha", "beta", "gamma]"), fields, count, values)


def misset(angles: str, random: str) -> Words:
    """Three angles, or one word that contains `rand`; whichever form comes last counts."""

    def is_random(words: Sequence[str]) -> bool:
        return bool(words) and "rand" in words[0] and not looks_like_flag(words[0])

    def values(words: Sequence[str]) -> Values:
        if is_random(words):
            return {angles: None, random: True}
        return {angles: tuple(number(word) for word in words), random: False}

    return Words(("random", "|", "x", "y", "z"), (angles, random), lambda w: 1 if is_random(w) else 3, values)


def ignored_number() -> Words:
    """One number that is skipped when there is one."""
    return Words((), (), lambda words: int(bool(words) and is_number(words[0])), lambda words: {})


def ignored(kind: str, count: int = 1) -> Words:
    """Words that are read and forgotten: `x` for numbers, anything else for a name."""

    def values(words: Sequence[str]) -> Values:
        for word in words:
            if kind == "x":
                number(word)
            else:
                name("").values([word])
        return {}

    return _fixed((kind,) * count, (), values)
