"""Powder rings of a polycrystalline material."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_PART = 1e-3
"""Part of its radius below which a ring is not followed: there is nothing left of it there."""


@dataclass(frozen=True)
class Rings:
    """A powder of `column` unit cells per area (1/m²), all orientations alike.

    The mean over orientations of a crystal with Gaussian spots is, per cell, (1/V) Σ_G F_G² g(S - G)/(4π G S) with S =
    1/d and g the Gaussian of unit area that a spot has along its radius; for narrow rings its integral over a cone is
    the powder formula of Warren (X-ray Diffraction, 1969, section 4.1): power over incident intensity = r_e² v λ³ m
    F²/(4 V² sin θ) times polarization.

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
        total, length = torch.zeros_like(stol), 2.0 * stol
        for radius, strength in zip(self.radii.unbind(), self.strengths.unbind(), strict=True):
            z = (length - radius) / sigma
            closer = radius / torch.clamp(length, min=SMALLEST_PART * radius)
            total = total + strength * closer * torch.exp(-0.5 * z * z)
        return self.column / (sigma * math.sqrt(2.0 * math.pi)) * total
