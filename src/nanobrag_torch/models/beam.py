"""The settled beam."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Beam:
    """Direction, spectrum, divergence, polarization and fluence of the incident X-rays.

    Args:
        direction: [3] unit vector of travel, lab frame.
        wavelength: [] central wavelength (Å).
        source_positions: [Q, 3] vectors from the sample to each source; only their directions matter.
        wavelength_ratios: [Q] wavelength of each source over the central one.
        weights: [Q] factor on the terms of each source; all 1 unless weights count, mean 1 then.
        polarization_axis: [3] unit vector of the electric field.
        polarization_factor: [] Kahn's factor K, 0 = unpolarized.
        polarized: whether the polarization factor applies at all.
        fluence: [] photons/m².
    """

    direction: Tensor
    wavelength: Tensor
    source_positions: Tensor
    wavelength_ratios: Tensor
    weights: Tensor
    polarization_axis: Tensor
    polarization_factor: Tensor
    polarized: bool
    fluence: Tensor

    @property
    def sources(self) -> int:
        """Number of sources."""
        return int(self.source_positions.shape[0])

    def replace(self, **changes: Any) -> Beam:
        """A copy with some fields changed."""
        return replace(self, **changes)
