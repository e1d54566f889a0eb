"""The fraction of photons that a sensor layer captures (specs: intensity 5)."""

from __future__ import annotations

import torch
from torch import Tensor


def capture_fraction(layer: int, step: Tensor, attenuation: Tensor, obliquity: Tensor) -> Tensor:
    """κ = exp(-τ w μ/ρ) - exp(-(τ+1) w μ/ρ), [P], of layer τ of thickness w (m) and absorption μ (1/m).

    `obliquity` ρ [P] is d·o, the cosine between the ray and the normal.
    """
    per_layer = step * attenuation / obliquity
    return torch.exp(-layer * per_layer) - torch.exp(-(layer + 1) * per_layer)
