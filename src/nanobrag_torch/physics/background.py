"""The background of a water droplet (specs: intensity 6; deviations, D29)."""

from __future__ import annotations

from torch import Tensor

from nanobrag_torch.units import (
    AVOGADRO,
    BACKGROUND_AMPLITUDE,
    BACKGROUND_DENSITY,
    BACKGROUND_MOLAR_MASS,
    CLASSICAL_ELECTRON_RADIUS_SQUARED,
)


def background_intensity(water: Tensor, fluence: Tensor) -> Tensor:
    """I_bg = 2.57²·r_e²·Φ·W³·1e6·N_A/18 [], for a droplet of edge `water` W (m) in fluence Φ (photons/m²)."""
    molecules = water * water * water * BACKGROUND_DENSITY * AVOGADRO / BACKGROUND_MOLAR_MASS
    return BACKGROUND_AMPLITUDE * BACKGROUND_AMPLITUDE * CLASSICAL_ELECTRON_RADIUS_SQUARED * fluence * molecules
