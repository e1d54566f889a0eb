"""GAUSS: spots without fringes, a Gaussian around every lattice point (specs: intensity 4).

L = N exp(−G ϱ²/0.63), N = N_a N_b N_c, with ϱ² of `squared_radius`.
"""

from __future__ import annotations

import torch
from torch import Tensor

CODE = 2
RADIUS_FACTOR = 0.63


def squared_radius(delta: tuple[Tensor, Tensor, Tensor], N: Tensor, reciprocal: Tensor, radius: str) -> Tensor:
    """ϱ² [P]: squared distance from the lattice point in the measure of GAUSS and TOPHAT.

    `nanobragg`: |Δh a* + Δk b* + Δl c*|² N_a² N_b² N_c² (1/Å², a quirk: specs: deviations, D27).
    `exact`: Σ (N_i Δ_i)².
    """
    if radius == "exact":
        x, y, z = (N[i] * delta[i] for i in range(3))
    else:
        x, y, z = (
            delta[0] * reciprocal[0, j] + delta[1] * reciprocal[1, j] + delta[2] * reciprocal[2, j] for j in range(3)
        )
    square = x * x + y * y + z * z
    if radius == "exact":
        return square
    cells = N[0] * N[1] * N[2]
    return square * (cells * cells)


def amplitude(
    delta: tuple[Tensor, Tensor, Tensor], N: Tensor, fudge: Tensor, reciprocal: Tensor, radius: str
) -> Tensor:
    """L [P] of the distances `delta`."""
    exponent = squared_radius(delta, N, reciprocal, radius) * (fudge * (-1.0 / RADIUS_FACTOR))
    return N[0] * N[1] * N[2] * torch.exp(exponent)
