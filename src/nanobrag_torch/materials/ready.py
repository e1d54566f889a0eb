"""Materials that are known by name: dry air, and hexagonal ice."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.materials.composition import composition

AIR_MOLECULES = (("N", 2, 1.0977, 0.78084), ("O", 2, 1.2075, 0.20946), ("Ar", 1, 0.0, 0.0097))
"""Element, atoms, bond length (Å) and share of the molecules of dry air."""
AIR_DENSITY = 1.2041e-3
"""g/cm³ at 20 °C and 1013.25 hPa."""
AIR_FORMULA = "N1.56168O0.41892Ar0.0097"
"""Atoms per molecule of dry air."""
LARGEST_STOL = 2.0
"""sin θ/λ (1/Å) to which the International Tables' form factors hold."""

ICE_CELL = (4.497, 7.322)
"""a and c of hexagonal ice (Å) at 100 K (Röttger et al., Acta Cryst. B50, 644 (1994))."""
ICE_SITES = (
    ("O", 1.0, (1 / 3, 2 / 3, 0.0622)),
    ("H", 0.5, (1 / 3, 2 / 3, 0.1989)),
    ("H", 0.5, (0.4551, 0.9102, 0.0173)),
)
"""Element, occupancy and place of the sites in P 63/m m c (Kuhs and Lehmann, J. Phys. Chem. 87, 4312 (1983))."""
ICE_B = {"O": 1.0, "H": 2.0}
"""Å²."""
ICE_DENSITY_MOLECULES = 4
"""Molecules in the cell."""


def form_factor(element: str, stol: NDArray[np.float64]) -> NDArray[np.float64]:
    """f0 [K] of an element at sin θ/λ [K] (1/Å)."""
    a, b, c = (table[0] for table in composition(element).form_factor_terms())
    return np.asarray(np.exp(-np.multiply.outer(np.square(stol), b)) @ a + c)


def air_table() -> NDArray[np.float64]:
    """sin θ/λ (1/Å) and amplitude (electrons) of a mean molecule of dry air, [K, 2], by Debye's formula.

    F² = Σ share · (n f² + 2 (n - 1) f² sin(4π s r)/(4π s r)) for molecules of n = 1 or 2 atoms r apart: molecules of a
    gas scatter independently.
    """
    stol = np.linspace(0.0, LARGEST_STOL, 801)
    square = np.zeros_like(stol)
    for element, count, bond, share in AIR_MOLECULES:
        f = form_factor(element, stol)
        square += share * f * f * (count + 2.0 * (count - 1) * np.sinc(4.0 * stol * bond))
    return np.stack([stol, np.sqrt(square)], axis=1)


def ice_rings(largest_stol: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Radii 1/d [K] (1/Å), strengths m F²/(V 4π G²) [K] (electrons²/Å) and cell volume (Å³) of hexagonal ice."""
    import gemmi

    a, c = ICE_CELL
    cell = gemmi.UnitCell(a, a, c, 90, 90, 120)
    reach = [int(2.0 * largest_stol * length) + 1 for length in (a, a, c)]
    indices = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))))
    vectors = indices @ np.array(cell.frac.mat.tolist())
    radius = np.sqrt(np.einsum("ni,ni->n", vectors, vectors))
    keep = (radius > 0) & (radius <= 2.0 * largest_stol)
    indices, radius = indices[keep], radius[keep]
    factors = np.zeros(len(indices), dtype=np.complex128)
    for element, occupancy, place in ICE_SITES:
        amplitude = occupancy * form_factor(element, radius / 2.0) * np.exp(-ICE_B[element] * radius**2 / 4.0)
        for site in _mates(place):
            factors += amplitude * np.exp(2j * np.pi * (indices @ site))
    square = np.abs(factors) ** 2
    rounded, ring = np.unique(np.round(radius, 9), return_inverse=True)
    strengths = np.bincount(ring.ravel(), weights=square) / (cell.volume * 4.0 * np.pi * rounded**2)
    seen = strengths > 1e-6 * strengths.max()
    return rounded[seen], strengths[seen], float(cell.volume)


def _mates(place: tuple[float, float, float]) -> NDArray[np.float64]:
    """The distinct places [n, 3] that the symmetry of ice makes of one, within the cell."""
    import gemmi

    found: list[NDArray[np.float64]] = []
    for operation in gemmi.SpaceGroup("P 63/m m c").operations():
        new = np.array(operation.apply_to_xyz(list(place))) % 1.0
        if all(np.abs((new - old + 0.5) % 1.0 - 0.5).max() > 1e-3 for old in found):
            found.append(new)
    return np.array(found)
