"""Folders that a comparison writes into: no file there is an input, by whatever name, none a pipe or a device."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.registry import FileRegistry, refuse_special
from nanobrag_torch.parity.words import INPUT_FLAGS, uses

Said = tuple[str | os.PathLike[str], str]
"""A file, and the word that names it."""
COMPARED = (
    "summary.json",
    "report.html",
    "commands.txt",
    "c.*",
    "py.*",
    "c_*",
    "py_*",
    "difference.*",
    "radial_profile.*",
)
TABLES = ("table.csv", "results.json", "failures/*")
TRACES = ("trace_*",)
"""What `nb-compare`, `nb-parity` and `nb-trace` call their files."""


def inputs_of(args: Sequence[str]) -> Iterator[Said]:
    """The input files that a line names, with their flags."""
    for use in uses(args):
        if use.name in INPUT_FLAGS and use.values:
            yield use.values[0], use.word


def check_folder(folder: Path, patterns: Sequence[str], inputs: Iterable[Said], flag: str) -> None:
    """Refuse an output folder whose files of these names are inputs, or are not regular files.

    Args:
        folder: it need not exist.
        patterns: names that will be written, relative to it.
        inputs: what is read.
        flag: what names the folder.

    Raises:
        InputError: before anything is written.
    """
    if not folder.is_dir():
        return
    files = FileRegistry()
    for path, word in inputs:
        files.reads(path, word)
    for path in sorted(folder.rglob("*") if any("/" in pattern for pattern in patterns) else folder.iterdir()):
        name = path.relative_to(folder).as_posix()
        if not any(fnmatch(name, pattern) for pattern in patterns):
            continue
        owner = files.owner(path)
        if owner is not None:
            raise InputError(flag, f"{path} is the file of {owner} too", "choose another folder")
        refuse_special(path, flag)
