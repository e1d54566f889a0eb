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

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of indices along h, k and l; zeros when there is no grid."""
        if self.values is None:
            return 0, 0, 0
        h, k, l = self.values.shape
        return h, k, l

    def flat(self) -> Tensor:
        """[H·K·L + 1] amplitudes, l fastest, with `default_F` behind them: the form that kernels read."""
        default = self.default_F.reshape(1).to(torch.float64)
        return default if self.values is None else torch.cat([self.values.reshape(-1).to(default), default])

    def place(self, h: Tensor, k: Tensor, l: Tensor) -> Tensor:
        """Position in `flat()` of whole indices h, k, l [P], int64 [P]; outside the grid that of `default_F`."""
        size_h, size_k, size_l = self.sizes
        i, j, m = h - self.origin[0], k - self.origin[1], l - self.origin[2]
        inside = (i >= 0) & (i < size_h) & (j >= 0) & (j < size_k) & (m >= 0) & (m < size_l)
        index = (i * size_k + j) * size_l + m
        return torch.where(inside, index, size_h * size_k * size_l).long()

    def nearest(self, h0: Tensor, k0: Tensor, l0: Tensor, flat: Tensor | None = None) -> Tensor:
        """F [P] of the whole indices h0, k0, l0 [P]; `default_F` outside the grid. specs: structure_factors 3."""
        flat = self.flat() if flat is None else flat
        return flat.index_select(0, self.place(h0, k0, l0))

    def tricubic(self, h: Tensor, k: Tensor, l: Tensor, flat: Tensor | None = None) -> Tensor:
        """F of the fractional indices h, k, l [P] → [P] by cubic Lagrange interpolation along every axis.

        F = Σ_ijm w_i(h) w_j(k) w_m(l) F_ijm over the nodes floor − 1 … floor + 2; `default_F` unless
        minimum + 2 ≤ x ≤ maximum − 2 along every axis. Weights are formed in the dtype of `flat`.
        specs: structure_factors 5.
        """
        flat = self.flat() if flat is None else flat
        inside = torch.ones_like(h, dtype=torch.bool)
        floors, weights = [], []
        for x, first, size in zip((h, k, l), self.origin, self.sizes, strict=True):
            fixed = x.detach()
            inside = inside & (fixed >= first + 2) & (fixed <= first + size - 3)
            floors.append(torch.floor(fixed))
            weights.append(lagrange_weights((x - floors[-1]).to(flat.dtype)))
        total = torch.zeros_like(h, dtype=flat.dtype)
        for i in range(4):
            plane = torch.zeros_like(total)
            for j in range(4):
                row = torch.zeros_like(total)
                for m in range(4):
                    index = self.place(floors[0] + (i - 1), floors[1] + (j - 1), floors[2] + (m - 1))
                    row = row + weights[2][m] * flat.index_select(0, index)
                plane = plane + weights[1][j] * row
            total = total + weights[0][i] * plane
        return torch.where(inside, total, flat[-1])


def lagrange_weights(f: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of the nodes −1, 0, 1, 2 at the fraction 0 ≤ f < 1 [P]."""
    below, above, beyond = f + 1.0, f - 1.0, f - 2.0
    return (
        f * above * beyond * (-1.0 / 6.0),
        below * above * beyond * 0.5,
        below * f * beyond * -0.5,
        below * f * above * (1.0 / 6.0),
    )
