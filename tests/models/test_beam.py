from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch

from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.models import Beam


def beam() -> Beam:
    return Beam(
        direction=vector((1.0, 0.0, 0.0)),
        wavelength=real(1.2),
        source_positions=torch.tensor([[-10.0, 0.0, 0.0], [-10.0, 0.1, 0.0]], dtype=torch.float64),
        wavelength_ratios=vector((1.0, 1.01)),
        weights=torch.ones(2, dtype=torch.float64),
        polarization_axis=vector((0.0, 0.0, 1.0)),
        polarization_factor=real(0.0),
        polarized=True,
        fluence=real(1e24),
    )


def test_sources_are_counted():
    assert beam().sources == 2


def test_replace_makes_a_copy_and_nothing_else_can_be_changed():
    old = beam()
    new = old.replace(wavelength=real(1.5))
    assert (float(old.wavelength), float(new.wavelength)) == (1.2, 1.5)
    assert new.source_positions is old.source_positions
    with pytest.raises(FrozenInstanceError):
        old.wavelength = real(1.5)
    with pytest.raises(TypeError):
        old.replace(wave=1.5)
