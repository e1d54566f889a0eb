"""TOPHAT: every lattice point a ball of even brightness (specs: intensity 4).

L = N if G ϱ² < 0.3969, else 0, with N = N_a N_b N_c and ϱ² as for GAUSS. Only N passes a gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nanobrag_torch.kernels.shapes.gauss import squared_radius

CODE = 3
CUT = 0.3969


def amplitude(
    delta: tuple[Tensor, Tensor, Tensor], N: Tensor, fudge: Tensor, reciprocal: Tensor, radius: str
) -> Tensor:
    """L [P] of the distances `delta`."""
    inside = (fudge * squared_radius(delta, N, reciprocal, radius)).detach() < CUT
    return torch.where(inside, N[0] * N[1] * N[2], 0.0)
