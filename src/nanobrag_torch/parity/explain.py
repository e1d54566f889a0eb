"""What specs/deviations.md says about a disagreement with an original nanoBragg, and whether it accounts for it."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from nanobrag_torch.parity.words import Use, line, uses
from nanobrag_torch.parity.workarounds import OriginalLine

REFUSED = 9
"""Exit status of both programs for input that they do not take."""
MOST_PIXELS = 12
"""Pixels that may differ at whole indices: they are single pixels, or the defect is another."""
NEAR_WHOLE = 1e-5
_PER_TERM = frozenset({"-oversample_thick", "-oversample_polar", "-oversample_omega"})
_NUDGED_LINE = re.compile(r"^(?:phi\d+ = |\s*\d+ phi steps from|PHI=|OSC_START=)")
_NUDGE = re.compile(r"(?<![\d.])-?1(?:\.0\d*)?e-0?9(?![\d.])")
_AN_ERROR = "is an error here"
_FLAG = r"-{1,2}\w+"
_REFUSALS = tuple(
    (re.compile(words), number, f"{what} {_AN_ERROR}")
    for words, number, what in (
        (rf"{_FLAG}: unknown flag;", "D24", "an unknown word, which is passed over there,"),
        (r"'.*': belongs to no flag;", "D24", "an unknown word, which is passed over there,"),
        (rf"{_FLAG}: \d+ more values? expected, but ", "D16", "a flag without its value"),
        (rf"{_FLAG}: no cell has the angles ", "D18", "an impossible cell"),
        (
            r"-(detpixels|detsize|pixel)\w*: .*\bis more than \d+ pixels;",
            "D17",
            "more than 2^31 - 1 pixels",
        ),
        (r"-detpixels\w*: -\d+ is negative;", "D17", "a negative number of pixels"),
        (r"-(lambda|wave\w*): \S+ is not positive;", "D19", "a wavelength of 0 or less"),
        (r"-energy: a photon energy of \S+ eV is not positive;", "D19", "a photon energy of 0 or less"),
        (r"-pixel\w*: \S+ is not positive;", "D19", "a pixel size of 0 or less"),
        (r"-(close_)?distance: \S+ is not positive;", "D19", "a distance of 0 or less"),
        (r"-water: \S+ is negative;", "D19", "negative water"),
        (rf"{_FLAG}: is the zero vector;", "D19", "a zero vector"),
        (rf"{_FLAG}: the fast and the slow axis are parallel or zero;", "D19", "a detector without a normal"),
        (rf"{_FLAG}: the beam runs parallel to the detector;", "D19", "a detector seen edge-on"),
        (rf"{_FLAG}: the plane of the detector holds the sample;", "D19", "a detector at distance 0"),
        (rf"{_FLAG}: '[-+]?(nan|inf|infinity)' is not a number;", "D19", "a number that is not finite"),
        (r"-mat: the (orientation matrix is singular|unit cell is not finite);", "D19", "a singular matrix"),
        (rf"{_FLAG}: a seed of -?\d+ is out of range;", "section D", "a seed that overflows the generator"),
        (r"-roi: .* leaves no pixel of the \d+ along the (fast|slow) axis;", "D57", "a region without a pixel"),
        (r"-twotheta_axis: has length ", "D52", "a two-theta axis that is no unit vector"),
        (r"-(img|mask) \S+: (unable to open: |line \d+: |header\b)", "D14", "a header that cannot be used"),
        (r"-(img|mask) \S+: .*\bpixels behind the header, expected ", "D14", "an image that is not whole"),
        (r"-mask: .* has \d+ x \d+ pixels, the detector ", "D14", "a mask of another size"),
        (r"-mat \S+: (unable to open: |line \d+: |\d+ numbers, expected)", "D15", "a matrix that cannot be used"),
        (r"-hkl \S+: line \d+: ", "D23", "a reflection that cannot be used"),
        (r"-dump \S+: (line \d+: |.*\bexpected\b)", "D11", "a dump that cannot be used"),
        (r"-(sourcefile|stol|4stol|Q|stolout) \S+: line \d+: ", "D13", "a table that cannot be used"),
    )
)
"""How the refusals of specs/deviations.md begin, behind the program's name, and where they are documented."""
_NO_IMAGE = re.compile(r"the image cannot be: \d+ of \d+ pixels are negative or not finite, ")
_OPTIONAL = {"-source_weights": "D34", "-pix0_override_mm": "D05"}


def unnudged(text: str) -> str:
    """A transcript or header with the phi that was moved off 0 printed as 0 again."""
    return "\n".join(_NUDGE.sub("0", row) if _NUDGED_LINE.match(row) else row for row in text.split("\n"))


def refusal_explained(
    c_status: int | None,
    py_status: int | None,
    c_errors: str,
    py_errors: str,
    c_is_sound: Callable[[], bool] = lambda: True,
) -> list[str]:
    """Why one side took the line and the other did not: a flag that no original has, or an input check of ours.

    Only what specs/deviations.md documents is an explanation, recognised by the words of the refusal; any other
    refusal is a disagreement.

    Args:
        c_status: exit status of the original.
        py_status: exit status of ours.
        c_errors: what the original wrote on its standard error stream.
        py_errors: what ours wrote there; its last line is the refusal.
        c_is_sound: whether every pixel that the original wrote is a finite number of 0 or more.
    """
    if c_status == REFUSED and "no such flag" in c_errors:
        flag = f"-{c_errors.split(':')[0].lstrip('-')}"
        number = _OPTIONAL.get(flag, "section F")
        return [f"{number}: {flag} is an extension that no original has; without it both agree"]
    if py_status != REFUSED or c_status == REFUSED:
        return []
    said = py_errors.strip().rpartition("\n")[2].removeprefix("nanobrag: ")
    if _NO_IMAGE.match(said) and not c_is_sound():
        return [f"D22: an image with values that no image has, which is written there, {_AN_ERROR} ({said})"]
    found = next((f"{number}: {what}" for words, number, what in _REFUSALS if words.match(said)), "")
    return [f"{found} ({said})"] if found else []


def explanation(
    args: Sequence[str],
    original: OriginalLine,
    off: Sequence[tuple[int, int]],
    folder: Path,
    agrees: Callable[[Sequence[str]], bool],
) -> list[str]:
    """The doubts about a line that account for its disagreement; none where they do not.

    Whole indices (D47, D65) account for a few pixels, each with a sample at or near one. The other defects account for
    it where both programs agree once the flags that call them are taken away, and the phi that was moved for the
    original (D01) where they agree once it is moved on our side too.

    Args:
        args: the line.
        original: what the original got, and what may differ.
        off: pixels (slow, fast) beyond their bounds.
        folder: where input files of the line are found from.
        agrees: whether both programs agree on another line.
    """
    numbers = {number: text for text in original.doubts for number in re.findall(r"D\d\d", text.split(":")[0])}
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
    if original.moved_phi and agrees([*line(parts), *original.moved_phi]):
        moved = f"D01: {' '.join(original.moved_phi)} instead of exactly 0 shows in the image; with it both agree"
        return [*(f"{text}; without it both agree" for text in called), moved]
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
