"""The lattice sum by compiled kernels, as a backend: packs the problem and calls the operator of its device."""

from __future__ import annotations

from torch import Tensor

from nanobrag_torch.kernels import op, packing
from nanobrag_torch.kernels.cpu import why_not
from nanobrag_torch.kernels.problem import LatticeProblem

__all__ = ["lattice_sum", "why_not"]


def lattice_sum(S: Tensor, A: Tensor, N: Tensor, problem: LatticeProblem) -> Tensor:
    """Σ_m F_cell² F_latt² [P] of S [P,3] (1/Å) and the cells A [M,3,3] (Å)."""
    config = packing.lattice_config(problem, len(A))
    intensity: Tensor = op.lattice_sum(S, A, packing.lattice_parameters(N, problem), problem.table.flat(), config)
    return intensity
