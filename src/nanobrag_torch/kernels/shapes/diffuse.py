"""DIFFUSE: not a crystal's shape but the diffuse scattering between its spots, in place of L² (`physics.diffuse`).

I = scale · X/(1 + Y)², X = h P h, Y = Δ G Δ with symmetric forms P and G. Its thirteen numbers travel where those of a
shape do: N holds P_11, P_22, P_33, `fudge` the scale, and `reciprocal`, row by row, P_12, P_13, P_23, G_11, G_22, G_33,
G_12, G_13, G_23.
"""

from __future__ import annotations

import torch
from torch import Tensor

CODE = 4


def numbers(displacement: Tensor, correlation: Tensor) -> tuple[Tensor, Tensor]:
    """What stands for N [3] and `reciprocal` [3, 3], of forms P and G [3, 3]."""
    across = [(0, 1), (0, 2), (1, 2)]
    rows = [
        torch.stack([displacement[i, j] for i, j in across]),
        torch.diagonal(correlation),
        torch.stack([correlation[i, j] for i, j in across]),
    ]
    return torch.diagonal(displacement), torch.stack(rows)


def intensity(
    indices: tuple[Tensor, ...], delta: tuple[Tensor, ...], N: Tensor, scale: Tensor, reciprocal: Tensor
) -> Tensor:
    """I [P] at indices h, k, l [P], which are `delta` from the nearest whole ones."""
    X = _form(N, reciprocal[0], indices)
    denominator = 1.0 + _form(reciprocal[1], reciprocal[2], delta)
    return scale * X / (denominator * denominator)


def _form(diagonal: Tensor, across: Tensor, v: tuple[Tensor, ...]) -> Tensor:
    x, y, z = v
    square = diagonal[0] * x * x + diagonal[1] * y * y + diagonal[2] * z * z
    return square + 2.0 * (across[0] * x * y + across[1] * x * z + across[2] * y * z)
