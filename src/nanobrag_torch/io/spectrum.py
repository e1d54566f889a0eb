"""Spectra: lines of photon energy or wavelength and weight (specs: sources 9)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.reading import LARGEST_LIST, PathLike, read_lines
from nanobrag_torch.io.text_table import read_rows
from nanobrag_torch.units import wavelength_from_energy

SMALLEST_EV = 100.0
"""Without a word about units, numbers from here on are energies in eV (124 Å), smaller ones wavelengths in Å."""
_UNITS = {
    "keV": re.compile(r"\bkev\b", re.IGNORECASE),
    "eV": re.compile(r"\bev\b|\benerg(?:y|ies)\b(?!.*\bkev\b)", re.IGNORECASE),
    "Å": re.compile(r"\b(?:wavelengths?|angstroms?|lambda)\b|\(A\)", re.IGNORECASE),
}
"""What names a unit in a comment."""


@dataclass(frozen=True)
class Spectrum:
    """`wavelengths` [n] (Å), rising, and `weights` [n], shares of the photons with sum 1."""

    wavelengths: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """The mean wavelength of the photons, Å."""
        return float(self.wavelengths @ self.weights)


def read_spectrum(path: PathLike) -> Spectrum:
    """The spectrum of a file with two columns: energy or wavelength, and the relative number of photons.

    Comments start with `#`; delimiters are those of source files (specs: io_formats 9). A comment that names `keV`,
    `eV` or `energy`, `wavelength` or `angstrom` says what the first column holds; without one, numbers of at
    least `SMALLEST_EV` are eV, smaller ones Å. Lines of weight 0 are left out, equal wavelengths are added up.

    Raises:
        FileFormatError: names the line: fewer than two numbers, a value that is not positive, a negative weight,
            numbers on both sides of the limit; or no line has a weight.
    """
    unit = _unit(path)
    said, first = bool(unit), ""
    found: list[tuple[float, float]] = []
    for number, (value, weight) in read_rows(path, 2):
        where = f"line {number}"
        if math.isnan(value) or math.isnan(weight):
            raise FileFormatError(path, where, "expected two numbers: energy or wavelength, and weight")
        if value <= 0.0:
            raise FileFormatError(path, where, f"{value:g} is neither an energy nor a wavelength: it is not positive")
        if weight < 0.0:
            raise FileFormatError(path, where, f"the weight {weight:g} is negative")
        if not said:
            guess = "eV" if value >= SMALLEST_EV else "Å"
            unit, first = unit or guess, first or where
            if guess != unit:
                text = f"{value:g} does not look like {unit}, as {first} does; name the unit in a comment (`# eV`)"
                raise FileFormatError(path, where, text)
        if weight > 0.0:
            found.append((_wavelength(value, unit), weight))
    if not found:
        raise FileFormatError(path, "", "no line with a weight above 0, expected lines `energy weight`")
    table = np.array(found)
    wavelengths, place = np.unique(table[:, 0], return_inverse=True)
    weights = np.bincount(place.ravel(), weights=table[:, 1])
    return Spectrum(wavelengths, weights / weights.sum())


def _unit(path: PathLike) -> str:
    """The unit that the comments name, or nothing."""
    named = set()
    for line in read_lines(path, LARGEST_LIST):
        if line.lstrip().startswith("#"):
            named |= {unit for unit, pattern in _UNITS.items() if pattern.search(line)}
    if len(named) > 1:
        raise FileFormatError(path, "", f"its comments name several units ({', '.join(sorted(named))}); name one")
    return named.pop() if named else ""


def _wavelength(value: float, unit: str) -> float:
    if unit == "Å":
        return value
    return wavelength_from_energy(value * 1000.0 if unit == "keV" else value)
