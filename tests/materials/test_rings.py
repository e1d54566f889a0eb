from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.materials.ready import ICE_CELL, ICE_DENSITY_MOLECULES, ice_rings
from nanobrag_torch.materials.rings import Rings


def test_the_power_of_a_ring_is_that_of_the_powder_formula():
    """Warren: ∫ dΩ over a cone = v λ³ m F²/(4 V² sin θ) for unit polarization and r_e = 1."""
    wavelength, d, volume, multiplicity, F = 1.1, 3.4, 130.0, 6.0, 12.0
    strength = multiplicity * F**2 / (volume * 4 * math.pi / d**2)
    cells = 1e20
    ring = Rings(real([1 / d]), real([strength]), real(1e-4), real(cells))
    theta = math.asin(wavelength / (2 * d))
    twotheta = np.linspace(2 * theta - 2e-3, 2 * theta + 2e-3, 20001)
    found = ring.per_area(real(np.sin(twotheta / 2) / wavelength)).numpy()
    power = np.trapezoid(found * 2 * np.pi * np.sin(twotheta), twotheta)
    expected = cells * volume * wavelength**3 * multiplicity * F**2 / (4 * volume**2 * math.sin(theta))
    assert abs(power / expected - 1) < 1e-6


def test_rings_of_a_powder_are_the_mean_over_orientations_of_a_crystal():
    """Gaussian spots of a simple cubic crystal, averaged over all directions by quadrature."""
    a, sigma = 10.0, 0.0075
    radius = np.linspace(0.08, 0.16, 17)
    cosine, weight = np.polynomial.legendre.leggauss(80)
    phi = (np.arange(160) + 0.5) * 2 * np.pi / 160
    sine = np.sqrt(1 - cosine**2)
    unit = np.stack(
        [np.outer(sine, np.cos(phi)), np.outer(sine, np.sin(phi)), np.outer(cosine, np.ones_like(phi))], -1
    ).reshape(-1, 3)
    share = np.outer(weight, np.ones_like(phi)).reshape(-1) / weight.sum() / len(phi)
    nodes = np.array(list(np.ndindex(5, 5, 5))) - 2
    square = (nodes**2).sum(1)
    nodes = nodes[(square > 0) & (square <= 4)] / a
    mean = np.zeros(len(radius))
    for k, r in enumerate(radius):
        away = ((r * unit[:, None] - nodes[None]) ** 2).sum(-1)
        mean[k] = share @ np.exp(-away / (2 * sigma**2)).sum(1) / (2 * np.pi * sigma**2) ** 1.5 / a**3
    lengths, counts = np.unique(np.round(np.linalg.norm(nodes, axis=1), 12), return_counts=True)
    strengths = counts / (a**3 * 4 * np.pi * lengths**2)
    rings = Rings(real(lengths), real(strengths), real(sigma * math.sqrt(8 * math.log(2))), real(1.0))
    assert np.abs(rings.per_area(real(radius / 2)).numpy() / mean - 1).max() < 1e-6


def test_ice_has_the_rings_that_everybody_knows():
    radii, strengths, volume = ice_rings(0.35)
    spacing = 1 / radii
    assert spacing[np.argmax(strengths)] == pytest.approx(3.895, abs=0.005)
    assert np.abs(spacing[:3] - [3.895, 3.661, 3.438]).max() < 0.005
    for known in (3.90, 3.67, 3.44, 2.67, 2.25, 2.07, 1.95, 1.92, 1.88, 1.72):
        assert np.abs(spacing - known).min() < 0.02
    assert abs(volume - ICE_CELL[0] ** 2 * ICE_CELL[1] * math.sqrt(3) / 2) < 1e-9
    assert abs(ICE_DENSITY_MOLECULES * 18.015 / (0.602214 * volume) - 0.934) < 0.002


def test_gradients():
    width, column = real(0.01).requires_grad_(), real(3.0).requires_grad_()
    stol = real([0.1, 0.13, 0.2]).requires_grad_()
    radii, strengths = real([0.25, 0.28]), real([2.0, 1.0])
    assert torch.autograd.gradcheck(lambda s, w, c: Rings(radii, strengths, w, c).per_area(s), (stol, width, column))
