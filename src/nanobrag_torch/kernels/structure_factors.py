"""The table of structure-factor amplitudes, and how F is looked up (specs: structure_factors 3 and 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class StructureFactors:
    """Amplitudes of a P1 cell on a grid of Miller indices, and the value outside it.

    Args:
        values: [H, K, L] amplitudes (electrons), or `None` when every reflection has `default_F`.
        origin: smallest (h, k, l) of the grid.
        default_F: [] amplitude outside the grid.
        entries: number of reflections that were read.
    """

    values: Tensor | None
    origin: tuple[int, int, int]
    default_F: Tensor
    entries: int = 0

    @staticmethod
    def constant(default_F: float | Tensor) -> StructureFactors:
        """The same amplitude for every reflection."""
        return StructureFactors(None, (0, 0, 0), torch.as_tensor(default_F, dtype=torch.float64))
