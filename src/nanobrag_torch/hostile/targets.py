"""Fuzz targets: every reader, and the command line up to the checks; a refusal is fine, anything else is a finding."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nanobrag_torch.cli.flags import FLAGS
from nanobrag_torch.errors import NanobragError, NanobragWarning
from nanobrag_torch.hostile.mutate import mutated, mutated_words
from nanobrag_torch.hostile.seeds import seeds

Target = Callable[[Path], Any]
LINE = "line"
"""The target that takes a command line, its words apart by zero bytes."""
_SCENE = """
-cell 40 45 50 -default_F 50 -N 4 -detpixels 12 -pixel 4 -distance 100 -lambda 1.2 -oversample 1 -nonoise -nopgm
-seed 1 -quiet
"""
SCENE = tuple(_SCENE.split())
"""A small scene."""


def targets() -> dict[str, Target]:
    """What reads a file of each kind."""
    from nanobrag_torch.cli.batch import jobs
    from nanobrag_torch.io.cbf import read_cbf
    from nanobrag_torch.io.expt import config_fields, read_expt
    from nanobrag_torch.io.fdump import read_dump
    from nanobrag_torch.io.hkl import read_hkl
    from nanobrag_torch.io.model import open_model
    from nanobrag_torch.io.mosflm_matrix import read_matrix
    from nanobrag_torch.io.mtz import read_mtz
    from nanobrag_torch.io.nexus import read_nexus
    from nanobrag_torch.io.pgm import read_pgm
    from nanobrag_torch.io.reflection_cif import read_reflection_cif
    from nanobrag_torch.io.smv import read_mask
    from nanobrag_torch.io.sourcefile import read_sources
    from nanobrag_torch.io.spectrum import read_spectrum
    from nanobrag_torch.io.text_table import read_rows
    from nanobrag_torch.view.headers import scene_of_smv

    return {
        "hkl": read_hkl,
        "dump": read_dump,
        "matrix": read_matrix,
        "sources": read_sources,
        "spectrum": read_spectrum,
        "stol": lambda path: list(read_rows(path, 2)),
        "smv": lambda path: (read_mask(path).header.values("mask"), scene_of_smv(path)),
        "pgm": read_pgm,
        "cbf": read_cbf,
        "expt": lambda path: config_fields(read_expt(path)),
        "model": open_model,
        "mtz": read_mtz,
        "cif": read_reflection_cif,
        "nexus": read_nexus,
        "batch": lambda path: list(jobs(str(path))),
    }


def command_line(content: bytes) -> None:
    """Parse the words of a command line and check what they say, without reading anything."""
    from nanobrag_torch.cli.parse import parse_line
    from nanobrag_torch.settling.checks import check

    words = [word.decode("utf-8", "surrogateescape") for word in content.split(b"\0")]
    parsed = parse_line(words)
    if parsed.action == "run":
        check(parsed.config)


def try_one(kind: str, content: bytes, folder: Path, readers: dict[str, Target]) -> str:
    """What a target makes of an input: nothing, or the exception that nobody foresaw.

    Args:
        kind: the target's name.
        content: the input.
        folder: where a file may be made.
        readers: `targets()`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NanobragWarning)
            if kind == LINE:
                command_line(content)
            else:
                path = folder / f"fuzzed.{kind}"
                path.write_bytes(content)
                readers[kind](path)
    except NanobragError as error:
        return "" if "\n" not in str(error).strip() or kind == LINE else f"several lines: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def inputs(kind: str, seed: int, first: int, count: int) -> Iterator[bytes]:
    """Inputs `first` to `first + count` of a target, which depend on these numbers only; the stored ones come first."""
    flags = [spelling.rstrip("*") for flag in FLAGS for spelling in flag.spellings if not flag.action]
    stored = seeds().get(kind, ())
    for number in range(first, first + count):
        if number < len(stored):
            yield stored[number]
            continue
        rng = random.Random(f"hostile {kind} {seed} {number}")
        if kind == LINE:
            words = [*SCENE, *(word for flag in rng.sample(FLAGS, 3) if not flag.action for word in flag.example_words)]
            yield "\0".join(mutated_words(rng, words, flags)).encode("utf-8", "surrogateescape")
        else:
            yield mutated(rng, stored)


def kinds() -> tuple[str, ...]:
    """The names of all targets."""
    return (*seeds(), LINE)
