"""ROUND: an ellipsoid with axes N_a, N_b, N_c cells long; the form factor of a sphere (specs: intensity 4).

L = N · 0.723601254558268 · B(π√(G r²)), r² = Σ (N_i Δ_i)², B(x) = 3 (sin x/x − cos x)/x², N = N_a N_b N_c.
"""

from __future__ import annotations

from math import pi

from torch import Tensor

from nanobrag_torch.numerics import sinc3_of_square

CODE = 1
AMPLITUDE_FACTOR = 0.723601254558268


def amplitude(
    delta: tuple[Tensor, Tensor, Tensor], N: Tensor, fudge: Tensor, reciprocal: Tensor, radius: str
) -> Tensor:
    """L [P] of the distances `delta`; `reciprocal` and `radius` do not matter."""
    x, y, z = N[0] * delta[0], N[1] * delta[1], N[2] * delta[2]
    square = (pi * pi) * fudge * (x * x + y * y + z * z)
    return N[0] * N[1] * N[2] * AMPLITUDE_FACTOR * sinc3_of_square(square)
