"""Rotations, right-handed and active (specs: README, Notation; crystal 5; rng 4)."""

from __future__ import annotations

from math import factorial

import torch
from torch import Tensor

from nanobrag_torch.geometry.vectors import cross, dot


def rotate_xyz(vectors: Tensor, angles: Tensor) -> Tensor:
    """Vectors [..., 3] rotated about lab x by angles[0], then y by angles[1], then z by angles[2] (rad)."""
    x, y, z = vectors.unbind(-1)
    cos, sin = torch.cos(angles), torch.sin(angles)
    y, z = y * cos[0] - z * sin[0], y * sin[0] + z * cos[0]
    x, z = x * cos[1] + z * sin[1], z * cos[1] - x * sin[1]
    x, y = x * cos[2] - y * sin[2], x * sin[2] + y * cos[2]
    return torch.stack([x, y, z], dim=-1)


def rotate_about(vectors: Tensor, axis: Tensor, angle: Tensor) -> Tensor:
    """Vectors [..., 3] rotated about `axis` [3], which is used as given, not normalised, by `angle` [...] (rad).

    n(n·w)(1 - cos φ) + w cos φ + (n×w) sin φ.
    """
    axis = axis.expand_as(vectors)
    cos, sin = torch.cos(angle).unsqueeze(-1), torch.sin(angle).unsqueeze(-1)
    return axis * dot(axis, vectors).unsqueeze(-1) * (1.0 - cos) + vectors * cos + cross(axis, vectors) * sin


def rotation_matrices(axes: Tensor, angles: Tensor) -> Tensor:
    """Matrices [M, 3, 3] of rotations about unit axes [M, 3] by angles [M] (rad; specs: rng 4).

    U = cos ω · 1 + sin ω · [n]x + (1 - cos ω) · n nᵀ.
    """
    nx, ny, nz = axes.unbind(-1)
    zero = torch.zeros_like(nx)
    skew = torch.stack([zero, -nz, ny, nz, zero, -nx, -ny, nx, zero], dim=-1).reshape(-1, 3, 3)
    identity = torch.eye(3, dtype=axes.dtype, device=axes.device)
    outer = axes.unsqueeze(-1) * axes.unsqueeze(-2)
    cos, sin = torch.cos(angles)[:, None, None], torch.sin(angles)[:, None, None]
    return cos * identity + sin * skew + (1.0 - cos) * outer


def matrices_of_vectors(vectors: Tensor) -> Tensor:
    """Matrices [M, 3, 3] of rotations about vectors [M, 3] by their lengths (rad); smooth at 0.

    U = 1 + (sin ω/ω)[v]x + ((1 - cos ω)/ω²)[v]x².
    """
    square = (vectors * vectors).sum(-1)
    near = square.detach() < 1e-2
    small, large = torch.where(near, square, 0.0), torch.where(near, 1.0, square)
    angle = torch.sqrt(large)
    sine = torch.where(near, _series(small, 1), torch.sin(angle) / angle)
    cosine = torch.where(near, _series(small, 2), (1.0 - torch.cos(angle)) / large)
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(-1, 3, 3)
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return identity + sine[:, None, None] * skew + cosine[:, None, None] * (skew @ skew)


def _series(square: Tensor, first: int) -> Tensor:
    """Σ_k (-x²)^k/(2k + first)! of x² < 0.01, in double precision."""
    total = torch.zeros_like(square)
    for k in reversed(range(6)):
        total = total * -square + 1.0 / factorial(2 * k + first)
    return total


def turn(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Matrices [..., 3, 3] applied to vectors [..., 3], written out so that no library reorders the sums."""
    return torch.stack([dot(matrices[..., i, :], vectors) for i in range(3)], dim=-1)
