"""Two standard outputs, line by line: the same lines in the same order, numbers equal as printed (specs: cli 8)."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|nan)")
_TITLE = re.compile(r"\s*a\S*\s+b\S*\s+c\S*\s*")
_FREE = ("random orientation seed:", "TRACE_")
"""Lines that only one of the programs prints."""
NOISE = 1e-12
"""Numbers below this fraction of the largest of their line are rounding noise around 0."""
LAST_DIGIT = 1.1e-5
"""One unit in the sixth digit, over the number."""
ROUNDED = 2
"""Lines of one run in which a number may lie on the edge between two printed digits."""


def lines_of(output: str) -> list[str]:
    """The lines that both programs have to print: without banner, blank lines, column titles and extensions."""
    return [
        line
        for line in output.splitlines()[1:]
        if line.strip() and not _TITLE.fullmatch(line) and not line.strip().startswith(_FREE)
    ]


def transcript_differences(ours: str, theirs: str) -> list[str]:
    """Lines that differ, as `ours | theirs`; a missing line is shown as nothing.

    A sum or product whose last bit differs can be printed with a last digit off by one: two such lines are let pass.
    """
    mine, c = lines_of(ours), lines_of(theirs)
    found = []
    i = j = rounded = 0
    while i < len(mine) or j < len(c):
        a, b = mine[i] if i < len(mine) else "", c[j] if j < len(c) else ""
        if a and b and same_line(a, b):
            i, j = i + 1, j + 1
            continue
        if a and b and rounded < ROUNDED and same_line(a, b, LAST_DIGIT):
            i, j, rounded = i + 1, j + 1, rounded + 1
            continue
        # A line that only one side has: find whichever comes back into step first.
        skip = _resynchronise(mine[i:], c[j:])
        found += [f"{x.strip()} | " for x in mine[i : i + skip[0]]] if skip[1] == 0 else []
        found += [f" | {x.strip()}" for x in c[j : j + skip[1]]] if skip[0] == 0 else []
        if skip[0] and skip[1]:
            pairs = zip(mine[i : i + skip[0]], c[j : j + skip[1]], strict=False)
            found += [f"{x.strip()} | {y.strip()}" for x, y in pairs]
        i, j = i + skip[0], j + skip[1]
    return found


def _resynchronise(mine: list[str], c: list[str]) -> tuple[int, int]:
    """How many lines to pass over on either side until two are equal again."""
    for distance in range(1, len(mine) + len(c) + 1):
        for a in range(distance + 1):
            b = distance - a
            if a < len(mine) and b < len(c) and same_line(mine[a], c[b]):
                return a, b
    return len(mine), len(c)


def same_line(ours: str, theirs: str, slack: float = 0.0) -> bool:
    """Whether two lines have the same words and the same printed numbers, or numbers within a fraction `slack`."""
    if ours.split() == theirs.split():
        return True
    if _NUMBER.sub("#", ours).split() != _NUMBER.sub("#", theirs).split():
        return False
    a, b = ([float(x) for x in _NUMBER.findall(text)] for text in (ours, theirs))
    top = max((abs(x) for x in (*a, *b) if x == x and abs(x) != float("inf")), default=0.0)
    return all(
        x == y or (x != x and y != y) or abs(x - y) <= max(NOISE * top, slack * abs(y))
        for x, y in zip(a, b, strict=True)
    )
