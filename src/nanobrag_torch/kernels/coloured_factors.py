"""Structure factors that follow the photon energy of each source (specs: structure_factors 7)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.numerics import safe_sqrt

LARGEST_KEPT = 2**24
"""Amplitudes of all tables together that are kept from one render to the next."""


@dataclass(frozen=True)
class ColouredFactors:
    """The parts from which the amplitudes at every energy are put together.

    At energy q, F_q = F0 + Σ_e (f'_qe + i f''_qe) G_e. A table may stand for several energies, with weights: its
    amplitude is then the root of the mean of F_q², which is what sources of one direction and wavelength add up to.

    Args:
        place: [n] places of the reflections in the flattened grid.
        sizes: of the grid. origin: smallest (h, k, l) of the grid.
        default_F: [] amplitude outside.
        base: complex [n] F0.
        sums: complex [E, n] G_e of the elements whose f' and f'' count.
        f_prime, f_second: [C, E] at every energy (electrons).
        of_energy: [C] the table that each energy goes into, from 0.
        weights: [C] of the energies; only their ratios within a table matter.
        of_source: [Q] the table of each source.
    """

    place: Tensor
    sizes: tuple[int, int, int]
    origin: tuple[int, int, int]
    default_F: Tensor
    base: Tensor
    sums: Tensor
    f_prime: Tensor
    f_second: Tensor
    of_energy: Tensor
    weights: Tensor
    of_source: Tensor
    _made: dict[int, StructureFactors] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def tables(self) -> int:
        """Number of tables."""
        return int(self.of_source.max()) + 1

    def table(self, number: int) -> StructureFactors:
        """One of the tables, differentiable in f', f'' and the weights; kept where no gradient asks for it."""
        tensors = (self.default_F, self.base, self.sums, self.f_prime, self.f_second, self.weights)
        if any(tensor.requires_grad for tensor in tensors):
            return self._table(number)
        if number not in self._made:
            made = self._table(number)
            if self.tables * made.flat().numel() > LARGEST_KEPT:
                return made
            self._made[number] = made
        return self._made[number]

    def _table(self, number: int) -> StructureFactors:
        chosen = torch.nonzero(self.of_energy == number).reshape(-1)
        share = self.weights[chosen] / self.weights[chosen].sum()
        factors = torch.complex(self.f_prime[chosen], self.f_second[chosen])
        ones = torch.ones_like(factors[:, :1])
        rows = torch.cat([ones, factors], dim=1)
        parts = torch.cat([self.base[None], self.sums])
        if len(chosen) == 1:
            values = torch.abs((rows[0][:, None] * parts).sum(0))
        else:
            form = (share[:, None, None] * rows[:, :, None] * rows[:, None, :].conj()).sum(0)
            square = torch.zeros_like(self.base.real)
            for i in range(len(parts)):
                square = square + (form[i, i] * parts[i] * parts[i].conj()).real
                for j in range(i):
                    square = square + 2.0 * (form[i, j] * parts[i] * parts[j].conj()).real
            values = safe_sqrt(torch.clamp(square, min=0.0))
        count = self.sizes[0] * self.sizes[1] * self.sizes[2]
        grid = self.default_F.expand(count).clone().index_put((self.place,), values)
        return StructureFactors(grid.reshape(self.sizes), self.origin, self.default_F, len(self.place))

    def replace(self, **changes: Any) -> ColouredFactors:
        """A copy with some fields changed."""
        return replace(self, **changes)
