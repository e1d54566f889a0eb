"""The amplitudes of an atomic model as the table that a render reads, differentiable in f' and f''."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nanobrag_torch.kernels.structure_factors import StructureFactors

if TYPE_CHECKING:
    from nanobrag_torch.io.model import ModelSums


def model_structure_factors(
    sums: ModelSums, f_prime: Tensor, f_second: Tensor, default_F: Tensor | float = 0.0
) -> StructureFactors:
    """The P1 table of abs(Σ_e (f0_e + f'_e + i f''_e) G_e + solvent).

    Args:
        sums: the sums over the atoms of a model (`io.model.model_sums`).
        f_prime: [E] real part of the anomalous scattering of each element (electrons).
        f_second: [E] imaginary part.
        default_F: amplitude beyond the resolution of the sums.

    The gradient of an amplitude that is exactly 0 is taken as 0.
    """
    device = f_prime.device
    form_factors = torch.as_tensor(sums.form_factors, device=device)
    factors = torch.complex(form_factors + f_prime[:, None], (0.0 * form_factors) + f_second[:, None])
    total = (factors * torch.as_tensor(sums.sums, device=device)).sum(0)
    values = torch.abs(total + torch.as_tensor(sums.solvent, device=device))
    low, high = sums.indices.min(axis=0), sums.indices.max(axis=0)
    shape = [int(n) for n in high - low + 1]
    default = torch.as_tensor(default_F, dtype=torch.float64, device=device)
    place = tuple(torch.as_tensor(axis, device=device) for axis in (sums.indices - low).T)
    grid = default.expand(shape).clone().index_put(place, values)
    origin = int(low[0]), int(low[1]), int(low[2])
    return StructureFactors(grid, origin, default, len(sums.indices))
