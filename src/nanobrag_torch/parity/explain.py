"""What specs/deviations.md says about a disagreement with an original nanoBragg, and whether it accounts for it."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from nanobrag_torch.parity.words import Use, line, uses

MOST_PIXELS = 12
"""Pixels that may differ at whole indices: they are single pixels, or the defect is another."""
NEAR_WHOLE = 1e-5
_PER_TERM = frozenset({"-oversample_thick", "-oversample_polar", "-oversample_omega"})
_NUDGED_LINE = re.compile(r"^(?:phi\d+ = |\s*\d+ phi steps from|PHI=|OSC_START=)")
_NUDGE = re.compile(r"(?<![\d.])-?1(?:\.0\d*)?e-0?9(?![\d.])")
_REFUSALS = (
    ("unknown flag", "D24", "an unknown word is an error here, and passed over there"),
    ("is not a flag", "D24", "an unknown word is an error here, and passed over there"),
    ("unit cell", "D18", "an impossible cell is an error here"),
    ("cell", "D18", "an impossible cell is an error here"),
    ("lacks", "D16", "a flag without its value is an error here"),
    ("needs", "D16", "a flag without its value is an error here"),
    ("region", "D57", "a region without a pixel is an error here"),
    ("twotheta_axis", "D52", "a two-theta axis that is no unit vector is an error here"),
    ("-img", "D14", "a header that cannot be used is an error here"),
    ("-mask", "D14", "a mask that cannot be used is an error here"),
    ("-mat", "D15", "a matrix that cannot be used is an error here"),
    ("-hkl", "D23", "a reflection that cannot be used is an error here"),
    ("-dump", "D11", "a dump that cannot be used is an error here"),
    ("-sourcefile", "D13", "a table that cannot be used is an error here"),
)


def unnudged(text: str) -> str:
    """A transcript or header with the phi that was moved off 0 printed as 0 again."""
    return "\n".join(_NUDGE.sub("0", row) if _NUDGED_LINE.match(row) else row for row in text.split("\n"))


def refusal_explained(
    c_status: int | None, py_status: int | None, c_errors: str, py_errors: str, refused: int = 9
) -> list[str]:
    """Why one side took the line and the other did not: a flag that no original has, or an input check of ours."""
    if c_status == refused and "no such flag" in c_errors:
        flag = c_errors.split(":")[0]
        number = {"-source_weights": "D34", "-pix0_override_mm": "D05"}.get(flag, "section F")
        return [f"{number}: {flag} is an extension that no original has; without it both agree"]
    if py_status == refused and c_status != refused:
        said = py_errors.strip().splitlines()[-1] if py_errors.strip() else ""
        for words, number, why in _REFUSALS:
            if words in said:
                return [f"{number}: {why} ({said})"]
        return [f"D19: input that gives no sound image is an error here ({said})"] if said else []
    return []


def explanation(
    args: Sequence[str],
    doubts: Sequence[str],
    off: Sequence[tuple[int, int]],
    folder: Path,
    agrees: Callable[[Sequence[str]], bool],
) -> list[str]:
    """The doubts about a line that account for its disagreement; none where they do not.

    Whole indices (D47, D65) account for a few pixels, each with a sample at or near one. The other defects account for
    it where both programs agree once the flags that call them are taken away.

    Args:
        args: the line.
        doubts: what may differ (`workarounds.OriginalLine.doubts`).
        off: pixels (slow, fast) beyond their bounds.
        folder: where input files of the line are found from.
        agrees: whether both programs agree on another line.
    """
    numbers = {number: text for text in doubts for number in re.findall(r"D\d\d", text.split(":")[0])}
    if "D47" in numbers and 0 < len(off) <= MOST_PIXELS and all(_near_whole(args, at, folder) for at in off):
        places = ", ".join(f"({s}, {f})" for s, f in off)
        return [f"D47, D65: pixels {places} (slow, fast) hold a sample at whole Miller indices"]
    parts, called = uses(args), list[str]()
    if "D02" in numbers:
        parts, called = [use for use in parts if use.name not in _PER_TERM], [*called, numbers["D02"]]
    if "D21" in numbers:
        parts, called = [use for use in parts if use.name != "-adc"], [*called, numbers["D21"]]
    if "D03" in numbers:
        parts, called = [*parts, Use("-nointerpolate", None, ())], [*called, numbers["D03"]]
    if called and agrees(line(parts)):
        return [f"{text}; without it both agree" for text in called]
    return []


def _near_whole(args: Sequence[str], at: tuple[int, int], folder: Path) -> bool:
    """Whether a sample of this pixel lies within 1e-5 of a whole index, other than 0 for the square shape."""
    from nanobrag_torch.parity.trace import settled
    from nanobrag_torch.pipeline.trace import trace_pixel

    with contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()):
        experiment = settled(args)
    round_crystal = experiment.crystal.shape == "round"
    for tap in trace_pixel(experiment, *at, every_term=True):
        if tap.name != "hkl_frac":
            continue
        off = [abs(x - round(x)) for x in tap.values]
        whole = (
            max(off) < NEAR_WHOLE * 10
            if round_crystal
            else any(d < NEAR_WHOLE and round(x) != 0 for d, x in zip(off, tap.values, strict=True))
        )
        if whole:
            return True
    return False
