"""The scattering vector (specs: intensity 3)."""

from __future__ import annotations

from torch import Tensor


def scattering_vectors(directions: Tensor, incident: Tensor, wavelength: Tensor) -> Tensor:
    """S = (d - i)/λ, [P, 3] in 1/Å.

    Shapes: `directions` [P, 3] unit vectors from sample to pixel, `incident` [3] unit vector of travel,
    `wavelength` [] Å.
    """
    return (directions - incident) / wavelength


def within_resolution(S: Tensor, dmin: float) -> Tensor:
    """Boolean [P]: which scattering vectors a resolution limit `dmin` (Å) keeps; all where |S| = 0."""
    square = (S * S).detach()
    length = (square[:, 0] + square[:, 1] + square[:, 2]).sqrt()
    return ~((length > 0) & (dmin > 1.0 / length))
