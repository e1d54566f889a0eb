"""Damage to files and words, decided by a random number generator alone."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

_NUMBERS = """
0 -0 1 -1 2 7 0.5 -0.5 1e-300 1e300 -1e300 1e308 1e309 nan inf -inf NaN Infinity 1e-10 1e10 2147483647
2147483648 -2147483648 4294967295 4294967297 9223372036854775807 9223372036854775808 1e30 99999999999999999999
0x10 1_000 1,5 1e 1e+ . - + ++1 1.2.3 1d5 ? * None true
"""
NUMBERS = tuple(_NUMBERS.split())
"""What a number may be replaced by."""
PIECES = (
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x1f\x8b\x08\x00",
    b"\n",
    b"\r",
    b"\f",
    b"\n" * 300,
    b" " * 300,
    b"[" * 300,
    b"{" * 40,
    b"}",
    b'"',
    b"'",
    b"#",
    b"=",
    b";",
    b"%s%n",
    b"../../../etc/passwd",
    b"A" * 700,
    b"9" * 400,
    "\N{GREEK SMALL LETTER LAMDA}é".encode(),
)
_NUMBER = re.compile(rb"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with one to four damages."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        content = _damaged(rng, content, seeds)
    return bytes(content)


def _damaged(rng: random.Random, content: bytearray, seeds: Sequence[bytes]) -> bytearray:
    kind = rng.randrange(9)
    place = rng.randrange(len(content) + 1)
    end = min(len(content), place + rng.choice((1, 2, 4, 16, 200)))
    if kind == 0 and content:
        content[place % len(content)] ^= 1 << rng.randrange(8)
    elif kind == 1:
        content[place:end] = rng.randbytes(end - place)
    elif kind == 2:
        del content[place:end]
    elif kind == 3:
        content[place:place] = rng.choice(PIECES)
    elif kind == 4:
        content = content[:place]
    elif kind == 5:
        content[place:place] = content[rng.randrange(len(content) + 1) :][: rng.choice((1, 8, 64, 500))]
    elif kind == 6:
        other = rng.choice(seeds)
        content[place:] = other[rng.randrange(len(other) + 1) :]
    else:
        _replace_number(rng, content, place)
    return content


def _replace_number(rng: random.Random, content: bytearray, place: int) -> None:
    found = _NUMBER.search(content, place) or _NUMBER.search(content)
    if found is not None:
        content[found.start() : found.end()] = rng.choice(NUMBERS).encode("ascii")


def mutated_words(rng: random.Random, words: Sequence[str], flags: Sequence[str]) -> list[str]:
    """A command line with one to four damages."""
    line = list(words)
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        place = rng.randrange(len(line) + 1)
        kind = rng.randrange(7)
        if kind == 0 and line:
            line[place % len(line)] = rng.choice(NUMBERS)
        elif kind == 1:
            line.insert(place, rng.choice(NUMBERS))
        elif kind == 2 and line:
            del line[place % len(line)]
        elif kind == 3:
            line.insert(place, rng.choice(flags))
        elif kind == 4 and line:
            line[place % len(line)] += rng.choice(("x", "_and_more", "\n", "é", "=5", "5"))
        elif kind == 5:
            line[place:place] = [rng.choice(flags), rng.choice(NUMBERS), rng.choice(NUMBERS)]
        elif line:
            rng.shuffle(line)
    return line
