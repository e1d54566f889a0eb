"""Powder rings of a polycrystalline material."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rings:
    """A powder of `column` unit cells per area (1/m²), all orientations alike.

    The mean over orientations of a crystal's intensity, per cell, is (1/V) Σ_G F_G² g(S - G)/(4π G²) with S = 1/d and
    g the profile of unit area; integrated over a cone it is the powder formula of Warren (X-ray Diffraction, 1969,
    section 4.1): power/incident intensity = r_e² v λ³ m F²/(4 V² sin θ) times polarization.

    Args:
        radii: [K] G = 1/d of the rings (1/Å).
        strengths: [K] multiplicity · F² / (V · 4π G²) (electrons²/Å).
        width: [] full width at half maximum of the Gaussian profile (1/Å).
        column: [] cells per area (1/m²).
    """

    radii: Tensor
    strengths: Tensor
    width: Tensor
    column: Tensor

    def to(self, device: torch.device) -> Rings:
        """The rings on another device."""
        return Rings(*(t.to(device) for t in (self.radii, self.strengths, self.width, self.column)))

    def per_area(self, stol: Tensor) -> Tensor:
        """Column times the mean intensity of a cell at sin θ/λ [P]: electrons² per area (1/m²), [P]."""
        sigma = self.width / math.sqrt(8.0 * math.log(2.0))
        total = torch.zeros_like(stol)
        for radius, strength in zip(self.radii.unbind(), self.strengths.unbind(), strict=True):
            z = (2.0 * stol - radius) / sigma
            total = total + strength * torch.exp(-0.5 * z * z)
        return self.column / (sigma * math.sqrt(2.0 * math.pi)) * total
