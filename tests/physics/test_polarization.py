from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.numerics import normalise
from nanobrag_torch.physics.polarization import polarization_factor

BEAM, AXIS = vector((1.0, 0.0, 0.0)), vector((0.0, 0.0, 1.0))
DIRECTIONS = normalise(torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5)))


def literal(d: torch.Tensor, i: torch.Tensor, axis: torch.Tensor, kahn: float) -> float:
    """The formula with its angle ψ, as specs: intensity 5 writes it."""
    B = normalise(torch.linalg.cross(axis, i))
    E = normalise(torch.linalg.cross(i, B))
    psi = -math.atan2(float(d @ B), float(d @ E))
    c = float(i @ d)
    return 0.5 * (1 + c * c - kahn * math.cos(2 * psi) * (1 - c * c))


@pytest.mark.parametrize("kahn", [0.0, 0.8, 1.0, -1.0])
def test_the_formula(kahn):
    incident, axis = normalise(vector((1.0, 0.02, -0.03))), normalise(vector((0.1, -0.2, 1.0)))
    found = polarization_factor(DIRECTIONS, incident, axis, real(kahn))
    assert found.tolist() == pytest.approx([literal(d, incident, axis, kahn) for d in DIRECTIONS], rel=1e-12)


def test_forward_and_back_scattering_are_not_weakened():
    along = torch.stack([BEAM, -BEAM])
    for kahn in (0.0, 0.7, 1.0):
        assert polarization_factor(along, BEAM, AXIS, real(kahn)).tolist() == [1.0, 1.0]


def test_at_right_angles_a_polarized_beam_scatters_only_across_its_field():
    """K = 1: nothing along the E vector, everything across it; K = -1 the other way round."""
    across = torch.stack([AXIS, vector((0.0, 1.0, 0.0))])
    assert polarization_factor(across, BEAM, AXIS, real(1.0)).tolist() == pytest.approx([0.0, 1.0])
    assert polarization_factor(across, BEAM, AXIS, real(-1.0)).tolist() == pytest.approx([1.0, 0.0])
    assert polarization_factor(across, BEAM, AXIS, real(0.0)).tolist() == pytest.approx([0.5, 0.5])


def test_the_sign_and_the_tilt_of_the_axis_do_not_matter():
    reference = polarization_factor(DIRECTIONS, BEAM, AXIS, real(0.6))
    torch.testing.assert_close(polarization_factor(DIRECTIONS, BEAM, -AXIS, real(0.6)), reference)
    torch.testing.assert_close(polarization_factor(DIRECTIONS, BEAM, AXIS + 0.3 * BEAM, real(0.6)), reference)


@pytest.mark.parametrize("kahn", [0.8, -1.0])
def test_with_the_axis_along_the_beam_the_angle_is_zero(kahn):
    """A custom beam along z with the built-in axis [0 0 1]: E and B vanish, and so does ψ."""
    found = polarization_factor(DIRECTIONS, AXIS, AXIS, real(kahn))
    assert found.tolist() == pytest.approx([literal(d, AXIS, AXIS, kahn) for d in DIRECTIONS], rel=1e-12)
