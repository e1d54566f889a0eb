"""Structure factors from MTZ files, expanded to P1 (specs: structure_factors 1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.reading import PathLike, read_bytes, understood
from nanobrag_torch.io.reflections import Reflections, cell_and_group, expand_to_p1

if TYPE_CHECKING:
    import gemmi

_COUNTS = re.compile(rb"NCOL[^\n]{0,3}?\s+[+-]?(\d{1,18})\s+[+-]?(\d{1,18})")
_END = b"MTZENDOFHEADERS"
_LARGEST_INDEX = 1e6
AMPLITUDE, AMPLITUDE_OF_MATE, INTENSITY, INTENSITY_OF_MATE = "F", "G", "J", "K"


class _Choice(NamedTuple):
    """Labels of F(h) and F(-h), equal where Friedel mates are not kept apart; whether they are intensities."""

    plus: str
    minus: str
    intensities: bool


def read_mtz(path: PathLike, column: str | None = None, default_F: float = 0.0) -> Reflections:
    """The P1 grid of an MTZ file: every symmetry mate, Friedel mates apart where the file has them apart.

    Args:
        path: a merged MTZ file.
        column: label of the amplitudes, or of intensities, whose F is √max(I, 0); of a pair such as F(+), F(-) either
            label. By default the first pair of amplitudes, or else the first amplitudes.
        default_F: amplitude where the file has no value.

    Raises:
        FileFormatError: not an MTZ file, truncated, unmerged, no cell, no space group, no amplitudes.
        InputError: there is no such column; the message lists those present.
    """
    with understood(path, "truncated or corrupt MTZ file"):
        return _read(path, column, default_F)


def _read(path: PathLike, column: str | None, default_F: float) -> Reflections:
    mtz = _open(path)
    cell, group = cell_and_group(path, mtz.cell, mtz.spacegroup)
    if mtz.batches:
        raise FileFormatError(path, "", "observations are not merged; merge them first")
    choice = _chosen(path, mtz, column)
    indices = _indices(path, mtz)
    plus, minus = (_amplitudes(mtz, label, choice.intensities) for label in (choice.plus, choice.minus))
    grid = expand_to_p1(path, indices, plus, minus, mtz.spacegroup, default_F)
    source = choice.plus if choice.plus == choice.minus else f"{choice.plus}, {choice.minus}"
    return Reflections(grid, cell, group, source)


def _open(path: PathLike) -> gemmi.Mtz:
    import gemmi

    content = read_bytes(path)
    if content[:4] != b"MTZ ":
        raise FileFormatError(path, "", "not an MTZ file: it does not begin with `MTZ `")
    if _END not in content:
        raise FileFormatError(path, "", "truncated or corrupt MTZ file (the header has no end)")
    if not _has_header(content):
        raise FileFormatError(path, "", "truncated or corrupt MTZ file (the header is not where it should be)")
    for found in _COUNTS.finditer(content):
        # The library takes this much memory before it looks for the numbers.
        if 80 + 4 * int(found[1]) * int(found[2]) > len(content):
            raise FileFormatError(path, "", f"truncated or corrupt MTZ file (no room for {int(found[2])} reflections)")
    try:
        return gemmi.read_mtz_file(str(path))
    except (RuntimeError, ValueError, OSError, IndexError, TypeError) as error:
        raise FileFormatError(path, "", f"truncated or corrupt MTZ file ({_one_line(error)})") from error


def _has_header(content: bytes) -> bool:
    """Whether the header stands where the beginning of the file says, in the order of bytes that its stamp says."""
    order: Literal["little", "big"] | None = {4: "little", 1: "big"}.get(content[9] >> 4) if len(content) > 20 else None  # type: ignore[assignment]
    if order is not None:
        place = int.from_bytes(content[4:8], order, signed=True)
        if place == -1:
            place = int.from_bytes(content[12:20], order, signed=True)
        if place > 1 and content[4 * (place - 1) :][:4] == b"VERS":
            return True
    return False


def _indices(path: PathLike, mtz: gemmi.Mtz) -> NDArray[np.int64]:
    """h, k, l [n, 3]."""
    found = np.array(mtz.array[:, :3], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        wrong = ~((found == np.rint(found)) & (np.abs(found) < _LARGEST_INDEX)).all(axis=1)
    if wrong.any():
        text = " ".join(f"{x:g}" for x in found[wrong][0])
        raise FileFormatError(path, f"reflection {int(wrong.argmax()) + 1}", f"{text} are no Miller indices")
    return found.astype(np.int64)


def _chosen(path: PathLike, mtz: gemmi.Mtz, column: str | None) -> _Choice:
    types = {one.label: one.type for one in mtz.columns}
    present = ", ".join(f"{label} ({kind})" for label, kind in types.items())
    if column is None:
        for wanted in (AMPLITUDE_OF_MATE, AMPLITUDE):
            labels = [label for label, kind in types.items() if kind == wanted]
            if labels:
                return _pair(types, labels[0])
        raise FileFormatError(
            path, "", f"no column of amplitudes (type F or G); -mtz_column takes one of: {present or 'none'}"
        )
    if column not in types:
        raise InputError("mtz_column", f"{path} has no column {column!r}", f"the columns are: {present or 'none'}")
    if types[column] not in (AMPLITUDE, AMPLITUDE_OF_MATE, INTENSITY, INTENSITY_OF_MATE):
        advice = f"give amplitudes (F, G) or intensities (J, K); the columns are: {present}"
        raise InputError("mtz_column", f"column {column!r} of {path} has type {types[column]}", advice)
    return _pair(types, column)


def _pair(types: dict[str, str], label: str) -> _Choice:
    """A column, with that of the Friedel mates where they are apart."""
    kind = types[label]
    intensities = kind in (INTENSITY, INTENSITY_OF_MATE)
    if kind in (AMPLITUDE, INTENSITY):
        return _Choice(label, label, intensities)
    both = [one for one, other in types.items() if other == kind]
    first = both.index(label) // 2 * 2
    plus, minus = both[first], both[min(first + 1, len(both) - 1)]
    if "-" in plus and "+" in minus:
        plus, minus = minus, plus
    return _Choice(plus, minus, intensities)


def _amplitudes(mtz: gemmi.Mtz, label: str, intensities: bool) -> NDArray[np.float64]:
    values = np.array(mtz.column_with_label(label).array, dtype=np.float64)
    return np.sqrt(np.maximum(values, 0.0)) if intensities else values


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
