"""Diffuse scattering of cells that are displaced together.

Whole cells are displaced by u, Gaussian, with ⟨u_i u_j⟩ = σ_i² δ_ij along the axes of the crystal's own frame and a
correlation exp(-|r/γ|) between cells r apart. With X = 4π² Σ σ_i² S_i² the mean intensity of a crystal is, to the first
order in the correlation,

    F² [L² + N X D(q)],    D(q) = (8π γ_1 γ_2 γ_3/V)/(1 + 4π² Σ γ_i² q_i²)²,

with N cells of volume V and q the distance of S from the nearest reciprocal lattice point (liquid-like
motions: Caspar et al., Nature 332, 659 (1988); Clarage et al., Proteins 12, 145 (1992)). F is the amplitude as it is
measured or refined, which the displacements have made smaller by exp(-X/2) already: its temperature factors contain
8π² σ². Where a crystal has symmetry, the law is averaged over what its Laue group makes of σ and γ.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

LIKE = 2e-6
"""Part of its largest number within which two forms are the same."""


class DiffuseForms(NamedTuple):
    """The law in indices: X_k = h P_k h, Y_k = Δ G_k Δ, and the mean over k of scale · X_k/(1 + Y_k)².

    Shapes: `displacement` P and `correlation` G [K, 3, 3], symmetric; `scale` [] = N · 8π γ_1 γ_2 γ_3/V.
    """

    displacement: Tensor
    correlation: Tensor
    scale: Tensor


def diffuse_forms(
    reciprocal: Tensor, frame: Tensor, sigma: Tensor, gamma: Tensor, operations: Tensor, cells: Tensor
) -> DiffuseForms:
    """The forms of a crystal at rest.

    Args:
        reciprocal: [3, 3] rows a*, b*, c* (1/Å).
        frame: [3, 3] rows: the axes that σ and γ belong to.
        sigma: [3] Å. gamma: [3] Å.
        operations: [K, 3, 3] h' = h W of the Laue group.
        cells: [] number of cells N.
    """
    rows = reciprocal @ frame.T
    volume = 1.0 / torch.linalg.det(rows).abs()
    four = 4.0 * math.pi**2

    def forms(lengths: Tensor) -> Tensor:
        one = four * (rows * (lengths * lengths)) @ rows.T
        return operations @ one @ operations.mT

    scale = cells * 8.0 * math.pi * gamma.prod() / volume
    return DiffuseForms(forms(sigma), forms(gamma), scale)


def distinct(operations: Tensor, rows: Tensor) -> Tensor:
    """Those of the operations [K, 3, 3] that make different forms of any σ or γ along the rows [3, 3] of a frame."""
    lengths = torch.tensor([1.0, 1.7, 2.3], dtype=rows.dtype)
    form = (rows.detach() * lengths) @ rows.detach().T
    kept: list[Tensor] = []
    seen: list[Tensor] = []
    for operation in operations:
        made = operation @ form @ operation.mT
        if all(float((made - other).abs().max()) > LIKE * float(form.abs().max()) for other in seen):
            kept.append(operation)
            seen.append(made)
    return torch.stack(kept)
