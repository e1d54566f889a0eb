"""The only place with conversion factors and physical constants (specs: README, Units and Constants).

Inside the package: lab lengths in metres, crystal lengths in Å, reciprocal lengths in 1/Å, angles in radians,
fluence in photons/m².
"""

from __future__ import annotations

import math
from typing import TypeVar

T = TypeVar("T")

DEGREES_PER_RADIAN = 180.0 * (1.0 / math.pi)
"""Degrees are divided by it, as in the C program (specs: README, Units)."""

METRES_PER_ANGSTROM = 1e-10
ANGSTROM_PER_METRE = 1e10
ENERGY_WAVELENGTH_EV_A = 12398.42
"""Photon energy times wavelength, eV Å."""
JOULES_PER_ELECTRONVOLT = 1.602176634e-19
CLASSICAL_ELECTRON_RADIUS_SQUARED = 7.94079248018965e-30
"""r_e², m²."""
AVOGADRO = 6.02214179e23
DEFAULT_FLUENCE = 125932015286227086360700780544.0
"""photons/m²; its product with r_e² is exactly 1 in double precision."""
BACKGROUND_AMPLITUDE = 2.57
"""Electrons per water molecule, forward scattering."""
BACKGROUND_MOLAR_MASS = 18.0
BACKGROUND_DENSITY = 1.0e6
"""g/m³."""
APPARENT_DENSITY = 1.2e6
"""g/m³, for the apparent molecular weight message only."""


def metres_from_mm(value: T) -> T:
    """Length in metres of a length in millimetres."""
    return value / 1000.0  # type: ignore[operator,return-value]


def metres_from_um(value: T) -> T:
    """Length in metres of a length in micrometres (sensor thickness, attenuation depth)."""
    return value * 1e-6  # type: ignore[operator,return-value]


def metres_from_water_um(value: T) -> T:
    """Water size in metres of a size in micrometres; a division, as in the C program."""
    return value / 1e6  # type: ignore[operator,return-value]


def mm_from_metres(value: T) -> T:
    """Length in millimetres of a length in metres."""
    return value * 1000.0  # type: ignore[operator,return-value]


def um_from_metres(value: T) -> T:
    """Length in micrometres of a length in metres."""
    return value * 1e6  # type: ignore[operator,return-value]


def metres_from_angstrom(value: T) -> T:
    """Length in metres of a length in Å."""
    return value * METRES_PER_ANGSTROM  # type: ignore[operator,return-value]


def angstrom_from_metres(value: T) -> T:
    """Length in Å of a length in metres."""
    return value * ANGSTROM_PER_METRE  # type: ignore[operator,return-value]


def radians_from_degrees(value: T) -> T:
    """Angle in radians of an angle in degrees."""
    return value / DEGREES_PER_RADIAN  # type: ignore[operator,return-value]


def degrees_from_radians(value: T) -> T:
    """Angle in degrees of an angle in radians."""
    return value * DEGREES_PER_RADIAN  # type: ignore[operator,return-value]


def radians_from_mrad(value: T) -> T:
    """Angle in radians of an angle in milliradians."""
    return value / 1000.0  # type: ignore[operator,return-value]


def fraction_from_percent(value: T) -> T:
    """Fraction of a value in percent."""
    return value / 100.0  # type: ignore[operator,return-value]


def per_cubic_metre(density: T, molar_mass: T) -> T:
    """Molecules per m³ of a density in g/cm³ and a molar mass in g/mol."""
    return density * (AVOGADRO * 1e6) / molar_mass  # type: ignore[operator,return-value]


def per_metre_from_per_mm(value: T) -> T:
    """Attenuation coefficient in 1/m of one in 1/mm."""
    return value * 1000.0  # type: ignore[operator,return-value]


def wavelength_from_energy(energy_eV: T) -> T:
    """Wavelength in Å of a photon energy in eV."""
    return ENERGY_WAVELENGTH_EV_A / energy_eV  # type: ignore[operator,return-value]
