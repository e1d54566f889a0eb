"""Structure factors from reflection mmCIF files, expanded to P1 (specs: structure_factors 1)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.reading import PathLike, read_bytes, understood, unpacked
from nanobrag_torch.io.reflections import Reflections, cell_and_group, expand_to_p1

if TYPE_CHECKING:
    import gemmi

_INDEX = re.compile(r"[+-]?\d{1,6}", re.ASCII)
_VALUE = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)(?:\(\d+\))?", re.ASCII)
_MISSING = ("?", ".")
_PAIRS = (("pdbx_F_plus", "pdbx_F_minus"), ("pdbx_I_plus", "pdbx_I_minus"))
_AMPLITUDES = ("F_meas_au", "F_meas", "F_calc_au", "F_calc", "pdbx_FWT")
_INTENSITIES = ("intensity_meas", "F_squared_meas", "F_squared_calc", "intensity_calc", "pdbx_I_plus", "pdbx_I_minus")


def read_reflection_cif(path: PathLike, column: str | None = None, default_F: float = 0.0) -> Reflections:
    """The P1 grid of the first block of reflections: every symmetry mate, Friedel mates apart where they are apart.

    Args:
        path: a reflection mmCIF file, as the Protein Data Bank keeps it; may be gzipped.
        column: name of the item behind `_refln.`: amplitudes, or intensities, whose F is √max(I, 0). By default
            pdbx_F_plus with pdbx_F_minus, or else the first of F_meas_au, F_meas, F_calc_au, F_calc, pdbx_FWT.
        default_F: amplitude where the file has no value.

    Raises:
        FileFormatError: not CIF, truncated, no merged reflections, no cell, no space group, no amplitudes.
        InputError: there is no such column; the message lists those present.
    """
    with understood(path, "truncated or corrupt CIF file"):
        return _read(path, column, default_F)


def _read(path: PathLike, column: str | None, default_F: float) -> Reflections:
    block = _block(path)
    cell, group = cell_and_group(path, block.cell, block.spacegroup)
    labels = [label.removeprefix("_refln.") for label in block.column_labels()]
    plus, minus = _chosen(path, labels, column)
    indices = _indices(path, block)
    values = [_amplitudes(path, block, label) for label in (plus, minus)]
    grid = expand_to_p1(path, indices, values[0], values[1], block.spacegroup, default_F)
    return Reflections(grid, cell, group, plus if plus == minus else f"{plus}, {minus}")


def _block(path: PathLike) -> gemmi.ReflnBlock:
    import gemmi

    unpacked(path, read_bytes(path))
    try:
        blocks = gemmi.as_refln_blocks(gemmi.cif.read(str(path)))
    except (RuntimeError, ValueError, OSError, IndexError, TypeError) as error:
        raise FileFormatError(path, "", f"truncated or corrupt CIF file ({' '.join(str(error).split())})") from error
    for block in blocks:
        if block and block.is_merged():
            return block
    raise FileFormatError(path, "", "no table of merged reflections (_refln) in the file; atoms go to -model")


def _chosen(path: PathLike, labels: list[str], column: str | None) -> tuple[str, str]:
    present = ", ".join(labels)
    if column is not None:
        column = column.removeprefix("_refln.")
        if column not in labels:
            raise InputError("mtz_column", f"{path} has no column {column!r}", f"the columns are: {present}")
        for pair in _PAIRS:
            if column in pair and set(pair) <= set(labels):
                return pair
        return column, column
    if set(_PAIRS[0]) <= set(labels):
        return _PAIRS[0]
    for label in _AMPLITUDES:
        if label in labels:
            return label, label
    raise FileFormatError(path, "", f"no column of amplitudes; -mtz_column takes one of: {present}")


def _words(path: PathLike, block: gemmi.ReflnBlock, label: str) -> list[str]:
    """The words of a column."""
    words = [str(word) for word in block.block.find_values(f"_refln.{label}")]
    if not words:
        raise FileFormatError(path, f"column {label}", "is missing")
    return words


def _indices(path: PathLike, block: gemmi.ReflnBlock) -> NDArray[np.int64]:
    """h, k, l [n, 3]."""
    columns = []
    for label in ("index_h", "index_k", "index_l"):
        words = _words(path, block, label)
        wrong = next((n for n, word in enumerate(words) if _INDEX.fullmatch(word) is None), None)
        if wrong is not None:
            raise FileFormatError(path, f"reflection {wrong + 1}", f"{label} is {words[wrong]!r}, not a Miller index")
        columns.append(np.array(words, dtype=np.int64))
    return np.stack(columns, axis=1)


def _amplitudes(path: PathLike, block: gemmi.ReflnBlock, label: str) -> NDArray[np.float64]:
    """Amplitudes [n], NaN where the file says that there is none (`?` or `.`)."""
    words = _words(path, block, label)
    numbers = [math.nan if word in _MISSING else _number(word) for word in words]
    wrong = next((n for n, number in enumerate(numbers) if number is None), None)
    if wrong is not None:
        raise FileFormatError(path, f"reflection {wrong + 1}", f"{label} is {words[wrong]!r}, not a number")
    values = np.array(numbers, dtype=np.float64)
    return np.sqrt(np.maximum(values, 0.0)) if label in _INTENSITIES else values


def _number(word: str) -> float | None:
    """The number that a word spells, its standard uncertainty left out; `None` if it spells none."""
    found = _VALUE.fullmatch(word)
    return None if found is None else float(found[1])
