"""What sensors are made of, and how strongly they absorb."""

from __future__ import annotations

from nanobrag_torch.materials.composition import composition

SENSORS = {"Si": ("Si", 2.329), "CdTe": ("CdTe", 5.85), "GaAs": ("GaAs", 5.3176)}
"""Formula and density (g/cm³) of each sensor material."""


def sensor_attenuation(material: str, wavelength: float) -> float:
    """Photoabsorption coefficient (1/m) of a sensor at a wavelength (Å), from f'' of Cromer and Liberman.

    Within 3 % of the photoabsorption of xraydb from 6 to 40 keV. DIALS' `mu` is the total attenuation, scattering
    included, which is larger (by a tenth for silicon at 18 keV).

    Raises:
        KeyError: the material is none of `SENSORS`.
    """
    formula, density = SENSORS[material]
    return composition(formula).attenuation(density, wavelength)
