"""Unit cells: six parameters, reciprocal vectors, direct vectors (specs: crystal 2, 6)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.geometry.vectors import cross, dot
from nanobrag_torch.numerics import norm


class Lattice(NamedTuple):
    """Direct and reciprocal vectors of an oriented cell, as rows, and its volume.

    Shapes and units: `direct` [3, 3] Å, `reciprocal` [3, 3] 1/Å, `volume` [] Å³ (negative for a left-handed
    matrix without a cell).
    """

    direct: Tensor
    reciprocal: Tensor
    volume: Tensor


def cell_volume(cell: Tensor) -> Tensor:
    """Volume [] in Å³ of a cell [6] (Å, rad): 2abc √|sin h sin(h-α) sin(h-β) sin(h-γ)|, h half the sum of angles."""
    a, b, c, alpha, beta, gamma = cell.unbind()
    half = (alpha + beta + gamma) / 2.0
    skew = torch.sin(half) * torch.sin(half - alpha) * torch.sin(half - beta) * torch.sin(half - gamma)
    return 2.0 * a * b * c * torch.sqrt(torch.abs(skew))


def reciprocal_vectors(cell: Tensor, exact: bool) -> Tensor:
    """Rows a*, b*, c* [3, 3] (1/Å) of a cell [6] (Å, rad) in the default orientation (specs: crystal 2).

    The z component of c* is c*·V/(abc sin γ*) in the faithful mode and V*/(a* b* sin γ*) in the exact one; the two
    differ when fewer than two angles are right angles (specs: deviations, D26).
    """
    a, b, c, alpha, beta, gamma = cell.unbind()
    volume = cell_volume(cell)
    a_star = b * c * torch.sin(alpha) / volume
    b_star = c * a * torch.sin(beta) / volume
    c_star = a * b * torch.sin(gamma) / volume
    cos = torch.cos(cell[3:])
    sin = torch.sin(cell[3:])
    cos_alpha_star = (cos[1] * cos[2] - cos[0]) / (sin[1] * sin[2])
    cos_beta_star = (cos[2] * cos[0] - cos[1]) / (sin[2] * sin[0])
    cos_gamma_star = (cos[0] * cos[1] - cos[2]) / (sin[0] * sin[1])
    sin_gamma_star = c / (volume * a_star * b_star)
    if exact:
        c_z = 1.0 / (volume * a_star * b_star * sin_gamma_star)
    else:
        c_z = c_star * volume / (a * b * c * sin_gamma_star)
    zero = torch.zeros_like(a)
    c_y = c_star * (cos_alpha_star - cos_beta_star * cos_gamma_star) / sin_gamma_star
    return torch.stack(
        [
            torch.stack([a_star, zero, zero]),
            torch.stack([b_star * cos_gamma_star, b_star * sin_gamma_star, zero]),
            torch.stack([c_star * cos_beta_star, c_y, c_z]),
        ]
    )


def direct_lattice(reciprocal: Tensor, cell: Tensor | None) -> Lattice:
    """Direct vectors of oriented reciprocal vectors [3, 3] (specs: crystal 6).

    With a cell [6], lengths and volume are the cell's, directions the reciprocal vectors' (specs: deviations, D55,
    D56).
    """
    a_star, b_star, c_star = reciprocal.unbind()
    axes = [cross(b_star, c_star), cross(c_star, a_star), cross(a_star, b_star)]
    volume_star = dot(a_star, axes[0])
    if cell is not None:
        volume = cell_volume(cell)
        axes = [axis * (length / volume / norm(axis)) for axis, length in zip(axes, cell[:3].unbind(), strict=True)]
        volume_star = 1.0 / volume
    volume_cell = 1.0 / volume_star
    a, b, c = (volume_cell * axis for axis in axes)
    recomputed = torch.stack([cross(b, c), cross(c, a), cross(a, b)]) * volume_star
    return Lattice(torch.stack([a, b, c]), recomputed, volume_cell)


def cell_parameters(vectors: Tensor, dual: Tensor, volume: Tensor) -> Tensor:
    """Lengths and angles [6] (rad) of vectors [3, 3] as the C program prints them (specs: crystal 6).

    sin α = |dual a|·V/(bc), cos α = b·c/(|b||c|), α = atan2(sin α, cos α), and cyclic. `volume` is that of the
    lattice of `vectors`.
    """
    lengths, dual_lengths = norm(vectors), norm(dual)
    angles = []
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        sin = dual_lengths[i] * volume / (lengths[j] * lengths[k])
        cos = dot(vectors[j], vectors[k]) / (lengths[j] * lengths[k])
        angles.append(torch.atan2(sin, cos))
    return torch.cat([lengths, torch.stack(angles)])
