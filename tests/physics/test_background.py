from __future__ import annotations

import pytest

from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.physics.background import background_intensity


def test_the_formula():
    """I_bg = 2.57²·r_e²·Φ·W³·1e6·N_A/18 (specs: intensity 6), with the constants of specs: README."""
    expected = 2.57**2 * 7.94079248018965e-30 * 1e24 * 1e-15 * 1e6 * 6.02214179e23 / 18.0
    assert float(background_intensity(real(1e-5), real(1e24))) == pytest.approx(expected, rel=1e-14)


def test_it_is_proportional_to_fluence_and_volume():
    one = float(background_intensity(real(1e-5), real(1e24)))
    assert float(background_intensity(real(2e-5), real(1e24))) == pytest.approx(8 * one)
    assert float(background_intensity(real(1e-5), real(3e24))) == pytest.approx(3 * one)
    assert float(background_intensity(real(0.0), real(1e24))) == 0.0
