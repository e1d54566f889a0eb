"""The lattice sum by compiled kernels, as a backend: packs the problem and calls the operator of the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.kernels import op, packing
from nanobrag_torch.kernels.problem import LatticeProblem


@dataclass(frozen=True)
class Compiled:
    """One of the compiled implementations; `reason` says why it cannot serve, or `None`."""

    reason: Callable[[torch.device, torch.dtype, str, bool], str | None]

    def why_not(self, device: torch.device, dtype: torch.dtype, shape: str, interpolation: bool) -> str | None:
        """`None` if it can serve, else one sentence that says why not and what would."""
        return self.reason(device, dtype, shape, interpolation)

    def lattice_sum(self, S: Tensor, A: Tensor, N: Tensor, problem: LatticeProblem) -> Tensor:
        """Σ_m F_cell² F_latt² [P] of S [P,3] (1/Å) and the cells A [M,3,3] (Å)."""
        lattice = packing.lattice_parameters(N, problem)
        config = packing.lattice_config(problem, len(A))
        intensity: Tensor = op.lattice_sum(S, A, lattice, problem.table.flat(), config)
        return intensity
