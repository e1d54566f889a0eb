from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.physics.absorption import capture_fraction

STEP, MU = real(25e-6), real(1 / 300e-6)
OBLIQUITY = vector((1.0, 0.8, 0.3))


def test_the_formula():
    """exp(-τ w μ/ρ) - exp(-(τ+1) w μ/ρ) (specs: intensity 5)."""
    for layer in range(4):
        expected = [math.exp(-layer / 12 / r) - math.exp(-(layer + 1) / 12 / r) for r in OBLIQUITY.tolist()]
        assert capture_fraction(layer, STEP, MU, OBLIQUITY).tolist() == pytest.approx(expected, rel=1e-13)


def test_layers_together_capture_what_the_whole_thickness_does():
    total = sum(capture_fraction(layer, STEP, MU, OBLIQUITY) for layer in range(4))
    torch.testing.assert_close(total, 1 - torch.exp(-4 * STEP * MU / OBLIQUITY))
    endless = sum(capture_fraction(layer, real(1e-3), MU, OBLIQUITY) for layer in range(200))
    torch.testing.assert_close(endless, torch.ones_like(OBLIQUITY))


def test_every_layer_captures_less_than_the_one_before_and_oblique_rays_more_in_the_first():
    fractions = torch.stack([capture_fraction(layer, STEP, MU, OBLIQUITY) for layer in range(4)])
    assert (fractions.diff(dim=0) < 0).all()
    assert (fractions[0].diff() > 0).all()
