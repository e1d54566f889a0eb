"""The settled background."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nanobrag_torch.materials.amorphous import Table
from nanobrag_torch.materials.compton import Compton
from nanobrag_torch.materials.rings import Rings


@dataclass(frozen=True)
class Measured:
    """Photons that were measured: per panel an image [slow, fast], times `scale` []."""

    images: tuple[Tensor, ...]
    scale: Tensor


@dataclass(frozen=True)
class Curve:
    """Photons per pixel [K] against sin θ/λ [K] (1/Å), used as they are."""

    stol: Tensor
    photons: Tensor


@dataclass(frozen=True)
class Background:
    """What scatters beside the crystal; empty unless something was specified.

    Args:
        elastic: amorphous materials and powders.
        compton: materials that scatter inelastically.
        area: [] cross-section of the beam (m²); with the fluence it gives the photons.
        measured: images that are added.
        curve: a radial curve that is added.
    """

    elastic: tuple[Table | Rings, ...] = ()
    compton: tuple[Compton, ...] = ()
    area: Tensor | None = None
    measured: Measured | None = None
    curve: Curve | None = None

    @property
    def scatters(self) -> bool:
        """Whether any material is in the beam."""
        return bool(self.elastic or self.compton)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to add."""
        return not self.scatters and self.measured is None and self.curve is None

    def tensors(self) -> list[Tensor]:
        """Every tensor of it."""
        parts = [*self.elastic, *self.compton, self.measured, self.curve]
        found = [v for part in parts if part is not None for v in vars(part).values() if isinstance(v, Tensor)]
        found += [] if self.measured is None else list(self.measured.images)
        return found if self.area is None else [*found, self.area]

    def replace(self, **changes: Any) -> Background:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def to(self, device: torch.device) -> Background:
        """The materials on another device; images and curve stay."""
        return replace(
            self,
            elastic=tuple(part.to(device) for part in self.elastic),
            compton=tuple(part.to(device) for part in self.compton),
        )
