"""What the programs beside `nanobrag` have in common: words are parsed, a refusal is one line and a status."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from nanobrag_torch.errors import NanobragError
from nanobrag_torch.guard import complain

OK, REFUSED = 0, 9


def run_parsed(
    name: str,
    parser: argparse.ArgumentParser,
    words: Sequence[str],
    work: Callable[[argparse.Namespace], int],
) -> int:
    """Parse a program's words and do its work.

    Args:
        name: the program, as its messages begin.
        parser: of its words; it prints help, version and usage errors itself.
        words: what stands behind the program's name.
        work: from the parsed options to the exit status.

    Returns:
        What `work` returns; `OK` after help or version; `REFUSED` when the words are wrong, or `work` raises a
        `NanobragError`, whose text is then printed as one line.
    """
    try:
        options = parser.parse_args(words)
    except SystemExit as leaving:
        return REFUSED if leaving.code else OK
    try:
        return work(options)
    except NanobragError as error:
        complain(name, " ".join(str(error).split()))
        return REFUSED
