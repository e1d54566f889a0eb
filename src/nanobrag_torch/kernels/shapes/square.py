"""SQUARE: a parallelepiped of N_a × N_b × N_c cells; the fringes of three slit rows (specs: intensity 4).

L = Π_i sin(πN_i Δ_i)/sin(πΔ_i), and N_a·N_b·N_c at a lattice point. An axis with one cell contributes 1.
"""

from __future__ import annotations

from torch import Tensor

from nanobrag_torch.numerics import sincg

CODE = 0


def amplitude(
    delta: tuple[Tensor, Tensor, Tensor], N: Tensor, fudge: Tensor, reciprocal: Tensor, radius: str
) -> Tensor:
    """L [P] of the distances `delta`, up to sign; `fudge`, `reciprocal` and `radius` do not matter."""
    return sincg(delta[0], N[0]) * sincg(delta[1], N[1]) * sincg(delta[2], N[2])
