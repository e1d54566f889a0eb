"""Photons on their way into a sensor: efficiency, parallax, the shadow of a beam stop. All of it has gradients."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

DEPTHS = 24
"""Points of the Gauss-Legendre quadrature over depth."""


def efficiency(attenuation: Tensor, thickness: Tensor, obliquity: Tensor) -> Tensor:
    """The fraction of photons that a sensor absorbs, 1 - exp(-μ t / ρ).

    Args:
        attenuation: μ, 1/m.
        thickness: t, m.
        obliquity: ρ [...], the cosine between the ray and the sensor's normal.
    """
    return -torch.expm1(-attenuation * thickness / obliquity)


def parallax(photons: Tensor, attenuation: Tensor, thickness: Tensor, slopes: tuple[Tensor, Tensor]) -> Tensor:
    """Absorbed photons [slow, fast] moved to the pixels below which they are absorbed.

    A photon that enters a pixel at any place of it and travels sideways by k pixels per depth (slopes along fast and
    slow, [slow, fast], per metre) is absorbed at depth z with the density μ' exp(-μ' z) / (1 - exp(-μ' t)), where
    μ' = μ / ρ. Shifted by a fraction of a pixel, its pixel's square falls on neighbours in proportion to area. What
    passes the edge of the frame is lost.

    Args:
        photons: absorbed per pixel, [slow, fast].
        attenuation: μ / ρ, 1/m, [slow, fast].
        thickness: m.
        slopes: pixels per metre of depth.
    """
    nodes, weights = np.polynomial.legendre.leggauss(DEPTHS)
    found = torch.zeros(photons.numel(), dtype=photons.dtype, device=photons.device)
    absorbed = -torch.expm1(-attenuation * thickness)
    rows, columns = (torch.arange(n, device=photons.device) for n in photons.shape)
    for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
        depth = 0.5 * (node + 1.0) * thickness
        share = 0.5 * weight * thickness * attenuation * torch.exp(-attenuation * depth) / absorbed
        fast, slow = columns[None, :] + slopes[0] * depth, rows[:, None] + slopes[1] * depth
        found = _deposited(found, photons * share, fast, slow)
    return found.reshape(photons.shape)


def _deposited(found: Tensor, photons: Tensor, fast: Tensor, slow: Tensor) -> Tensor:
    """Add pixels whose first corners are at `fast` and `slow`, split among the four pixels they overlap."""
    slow_pixels, fast_pixels = photons.shape
    f0, s0 = fast.detach().floor(), slow.detach().floor()
    df, ds = fast - f0, slow - s0
    for step_s, part_s in ((0, 1.0 - ds), (1, ds)):
        for step_f, part_f in ((0, 1.0 - df), (1, df)):
            f, s = f0.long() + step_f, s0.long() + step_s
            inside = (f >= 0) & (f < fast_pixels) & (s >= 0) & (s < slow_pixels)
            value = torch.where(inside, photons * part_s * part_f, torch.zeros_like(photons))
            at = torch.where(inside, s * fast_pixels + f, torch.zeros_like(f))
            found = found.index_add(0, at.reshape(-1), value.reshape(-1))
    return found


def stop_transmission(distance: Tensor, radius: Tensor, width: Tensor, transmission: Tensor) -> Tensor:
    """The fraction of photons that pass a round beam stop, T + (1 - T) Φ((d - r)/σ), with its half-shadow.

    Args:
        distance: d [...] of each pixel from the middle of the shadow, pixels.
        radius: r, where half of the light passes. width: σ of the edge, above 0. transmission: T of the stop.
    """
    lit: Tensor = 0.5 * (1.0 + torch.special.erf((distance - radius) / (width * math.sqrt(2.0))))
    return transmission + (1.0 - transmission) * lit
