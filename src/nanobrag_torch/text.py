"""Numbers as text: written the way C's printf does, read strictly."""

from __future__ import annotations

import re
from typing import SupportsFloat

_REAL = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?)", re.ASCII | re.IGNORECASE)


def format_g(value: SupportsFloat) -> str:
    """A number as `%g`: six significant digits, no trailing zeros, `-0` kept (specs: io_formats 3)."""
    return f"{float(value):g}" if float(value) == float(value) else "nan"


def c_format(template: str, *values: object) -> str:
    """`template` with printf directives filled in; Python's `%` operator agrees with C for e, f, g, d and s."""
    return template % values


def real(word: str) -> float:
    """The number that a whole word writes in decimal; `nan` and `inf` are read, for the caller to judge.

    Raises:
        ValueError: the word is anything else (`12abc`, `1_000`, `0x10`).
    """
    if _REAL.fullmatch(word) is None:
        raise ValueError(f"{word!r} is not a number")
    return float(word)
