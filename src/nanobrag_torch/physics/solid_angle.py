"""The solid angle of a pixel (specs: geometry 11; deviations F, D28, D46)."""

from __future__ import annotations

from torch import Tensor


def solid_angle(distance: Tensor, pixel_size: Tensor, close_distance: Tensor) -> Tensor:
    """Ω = (p²/R²)·(d_c/R), [P] sr, of flat square pixels at `distance` R [P] (m)."""
    return (pixel_size * pixel_size / distance / distance) * (close_distance / distance)


def point_solid_angle(distance: Tensor, area: Tensor) -> Tensor:
    """Ω = area/R², [P], without obliquity; the C program's area is 1 (specs: deviations, D46)."""
    return area / distance / distance


def sphere_solid_angle(distance: Tensor, pixel_size: Tensor, sinc: Tensor) -> Tensor:
    """Ω = (p²/D²)·sin ρ/ρ, [P] sr, of pixels mapped equidistantly on a sphere."""
    return (pixel_size * pixel_size / distance / distance) * sinc
