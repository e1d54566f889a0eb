"""Chemical formulas: atoms, masses, form factors and photoabsorption of a material; numbers from gemmi's tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.units import (
    ANGSTROM_PER_METRE,
    CLASSICAL_ELECTRON_RADIUS_SQUARED,
    ENERGY_WAVELENGTH_EV_A,
    per_cubic_metre,
)

if TYPE_CHECKING:
    import gemmi

_PART = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?")


@dataclass(frozen=True)
class Composition:
    """Elements of a formula unit and how many atoms of each, with the mass of all (g/mol)."""

    elements: tuple[str, ...]
    atoms: NDArray[np.float64]
    mass: float

    def form_factor_terms(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """a [E, 4], b [E, 4], c [E] of f = Σ a exp(-b s²) + c (International Tables C)."""
        tables = [_element(name).it92 for name in self.elements]
        return np.array([t.a for t in tables]), np.array([t.b for t in tables]), np.array([t.c for t in tables])

    def numbers(self) -> NDArray[np.float64]:
        """Atomic numbers [E]."""
        return np.array([float(_element(name).atomic_number) for name in self.elements])

    def attenuation(self, density: float, wavelength: float) -> float:
        """Photoabsorption coefficient μ (1/m) at a wavelength (Å): 2 r_e λ Σ n f'' by the optical theorem.

        `density` in g/cm³; f'' of Cromer and Liberman (0 for hydrogen and helium). Scattering losses are left out.
        """
        import gemmi

        energy = ENERGY_WAVELENGTH_EV_A / wavelength
        second = np.array([gemmi.cromer_liberman(z=int(z), energy=energy)[1] if z > 2 else 0.0 for z in self.numbers()])
        units = per_cubic_metre(density, self.mass)
        radius = float(np.sqrt(CLASSICAL_ELECTRON_RADIUS_SQUARED))
        return float(2.0 * radius * wavelength / ANGSTROM_PER_METRE * units * (self.atoms @ second))


def composition(formula: str) -> Composition:
    """The atoms of a formula such as `H2O` or `C22H10N2O5`; counts may be fractions.

    Raises:
        ValueError: with the reason: an unknown element, or something that is no formula.
    """
    found: dict[str, float] = {}
    end = 0
    for match in _PART.finditer(formula):
        if match.start() != end:
            break
        end = match.end()
        name, count = match.group(1), match.group(2)
        if _element(name).it92 is None or _element(name).atomic_number == 0:
            raise ValueError(f"{name!r} of {formula!r} is no element with a form factor")
        found[name] = found.get(name, 0.0) + (1.0 if count is None else float(count))
    if end != len(formula) or not found or not all(n > 0 for n in found.values()):
        raise ValueError(f"{formula!r} is no chemical formula, such as H2O or C22H10N2O5")
    mass = sum(n * _element(name).weight for name, n in found.items())
    return Composition(tuple(found), np.array(list(found.values())), mass)


def _element(name: str) -> gemmi.Element:
    import gemmi

    return gemmi.Element(name)
