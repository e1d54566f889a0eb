"""What a lattice sum needs besides scattering vectors, cells and counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.kernels.structure_factors import StructureFactors


@dataclass(frozen=True)
class LatticeProblem:
    """Shape, structure factors and precision of a lattice sum.

    Args:
        table: the structure factors.
        shape: `square`, `round`, `gauss` or `tophat`.
        reciprocal: [3,3] unrotated a*, b*, c* (rows, 1/Å).
        fudge: [] factor G on the squared radius of ROUND, GAUSS and TOPHAT.
        interpolation: tricubic instead of nearest F.
        radius: `nanobragg` or `exact`, the law of GAUSS and TOPHAT (specs: deviations F, D27).
        dtype: of everything from the fractions of h, k, l to F·L.
    """

    table: StructureFactors
    shape: str
    reciprocal: Tensor
    fudge: Tensor
    interpolation: bool
    radius: str
    dtype: torch.dtype
