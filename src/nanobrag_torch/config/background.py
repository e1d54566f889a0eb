"""What scatters beside the crystal, as specified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nanobrag_torch.config.values import Real

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Amorphous:
    """A slab of amorphous material across the beam.

    Args:
        table: a file of `sin(theta)/lambda` (1/Å) and amplitude (electrons per molecule), or its two columns [K, 2].
        thickness_mm: along the beam.
        density: g/cm³.
        molar_mass: g/mol of the molecule that the amplitude belongs to.
    """

    table: str | np.ndarray
    thickness_mm: Real
    density: Real
    molar_mass: Real


@dataclass(frozen=True)
class Incoherent:
    """A slab of material that scatters inelastically: chemical `formula` (`H2O`), thickness (mm), density (g/cm³)."""

    formula: str
    thickness_mm: Real
    density: Real


@dataclass(frozen=True)
class BackgroundConfig:
    """Amorphous materials, ice, air, Compton scattering, and measured backgrounds.

    `ice_um` is the thickness of polycrystalline hexagonal ice, `ice_width_invA` the full width at half maximum of its
    rings (1/Å). `air_mm` is the length of air along the beam. `measured_file` holds an image of the size of the
    detector, `measured_image` such arrays; `measured_scale` multiplies either. `curve_file` holds a radial curve of
    photons per pixel against sin(theta)/lambda, q or two-theta.
    """

    materials: tuple[Amorphous, ...] | None = None
    compton: tuple[Incoherent, ...] | None = None
    ice_um: Real | None = None
    ice_width_invA: Real | None = None
    air_mm: Real | None = None
    measured_file: str | None = None
    measured_image: np.ndarray | tuple[np.ndarray, ...] | None = None
    measured_scale: Real | None = None
    curve_file: str | None = None
    curve: np.ndarray | None = None
