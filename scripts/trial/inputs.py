"""Bad command lines, fuzzed inputs, scenes and golden cases under sanitizers, and the cost of starting up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from trial.processes import ROOT, Told, in_a_worker, report

Piece = tuple[str, Callable[[], Told]]
"""The name of a piece and its work."""
FUZZED, FUZZ_PIECE = 1_000_000, 12_500
BAD_PIECE = 1000
SCENES, SCENES_PIECE = 50_000, 2_500
SPARE = 10_000
"""Scenes beyond those wanted, for lines that are drawn and refused; they are left out where they are not needed."""
CASES_PIECE = 10
SLOW = {"nexus": 8}
"""Kinds of which fewer are fuzzed, and how many times fewer: HDF5 takes milliseconds."""


def bad() -> Iterator[Piece]:
    """Every bad command line."""
    from nanobrag_torch.hostile.lines import bad_lines

    lines = sum(1 for _ in bad_lines())
    for first in range(0, lines, BAD_PIECE):
        yield f"{first:06d}", partial(_hostile, ".judge", f"{first}", f"{min(BAD_PIECE, lines - first)}")


def fuzzed() -> Iterator[Piece]:
    """A share of the inputs for every kind of file, and for the command line."""
    from nanobrag_torch.hostile.targets import kinds

    weights = {kind: 1.0 / SLOW.get(kind, 1) for kind in kinds()}
    for kind, weight in weights.items():
        share = int(FUZZED * weight / sum(weights.values())) + 1
        for first in range(0, share, FUZZ_PIECE):
            count = min(FUZZ_PIECE, share - first)
            yield f"{kind}-{first:06d}", partial(_hostile, "", kind, "1", f"{first}", f"{count}")


def _hostile(module: str, *words: str) -> Told:
    return in_a_worker([sys.executable, "-P", "-m", f"nanobrag_torch.hostile{module}", *words], " ".join(words))


def scenes() -> Iterator[Piece]:
    """Random scenes under the sanitizers."""
    for first in range(0, SCENES + SPARE, SCENES_PIECE):
        yield f"{first:06d}", partial(_sanitized, "--first", f"{first}", "--scenes", f"{SCENES_PIECE}")


def golden() -> Iterator[Piece]:
    """Golden cases under the sanitizers: all that are at hand."""
    for first in range(0, golden_cases(), CASES_PIECE):
        yield f"{first:03d}", partial(_sanitized, "--golden", f"{first}", f"{CASES_PIECE}")


def golden_cases() -> int:
    """How many golden cases there are, in the folder NANOBRAG_GOLDEN or among the tests."""
    from nanobrag_torch.parity.golden import load_cases

    return len(load_cases(os.environ.get("NANOBRAG_GOLDEN") or Path(ROOT, "tests", "golden_data")))


def faults() -> Iterator[Piece]:
    """Faults made on purpose, which the sanitizers have to find."""
    yield "made", partial(_sanitized, "--faults")


def _sanitized(*words: str) -> Told:
    return in_a_worker([sys.executable, str(ROOT / "scripts" / "sanitize.py"), *words], f"sanitized {' '.join(words)}")


def startup() -> Iterator[Piece]:
    """What starting up costs more than before the programs were guarded."""
    yield "cost", _started


def _started() -> Told:
    from startup import MOST_MS, measured

    rows = measured()
    over = [f"{name}: {row['more_ms']:.0f} ms" for name, row in rows.items() if row["more_ms"] > MOST_MS]
    return report([f"start-up of {text} more than before" for text in over], rows=rows)
