from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch.geometry.rotation import rotate_about, rotate_xyz, rotation_matrices, turn
from nanobrag_torch.geometry.vectors import real, vector

AXES = torch.eye(3, dtype=torch.float64)


def about(axis: int, angle: float) -> torch.Tensor:
    """The textbook matrix of a right-handed rotation about a lab axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = AXES.clone()
    matrix[i, i] = matrix[j, j] = math.cos(angle)
    matrix[i, j], matrix[j, i] = -math.sin(angle), math.sin(angle)
    return matrix


def test_xyz_is_about_x_first_then_y_then_z():
    angles = (0.3, -1.1, 2.0)
    expected = about(2, angles[2]) @ about(1, angles[1]) @ about(0, angles[0])
    torch.testing.assert_close(rotate_xyz(AXES, vector(angles)).T, expected)


@pytest.mark.parametrize(("axis", "turned"), [(0, 1), (1, 2), (2, 0)])
def test_rotations_are_right_handed(axis, turned):
    """A quarter turn takes y to z about x, z to x about y, x to y about z."""
    quarter = torch.zeros(3, dtype=torch.float64)
    quarter[axis] = math.pi / 2
    expected = AXES[(turned + 1) % 3]
    torch.testing.assert_close(rotate_xyz(AXES[turned], quarter), expected)
    torch.testing.assert_close(rotate_about(AXES[turned], AXES[axis], real(math.pi / 2)), expected)


def test_angle_zero_changes_no_bit():
    w = torch.randn(50, 3, dtype=torch.float64)
    assert torch.equal(rotate_xyz(w, torch.zeros(3, dtype=torch.float64)), w)
    assert torch.equal(rotate_about(w, vector((0.6, 0.0, 0.8)), torch.zeros(50, dtype=torch.float64)), w)


def test_about_an_axis_follows_the_formula_with_the_axis_as_given():
    """The axis is not normalised: twice the axis is not the same rotation (specs: README, Notation)."""
    w, angle = vector((0.2, -0.7, 1.3)), real(0.8)
    for n in (vector((0.0, 0.6, 0.8)), vector((0.0, 1.2, 1.6))):
        along = n * (n @ w) * (1 - math.cos(0.8))
        expected = along + w * math.cos(0.8) + torch.linalg.cross(n, w) * math.sin(0.8)
        torch.testing.assert_close(rotate_about(w, n, angle), expected)
    assert not torch.allclose(rotate_about(w, n, angle), rotate_about(w, n / 2, angle))


def test_a_two_theta_axis_of_length_two_stretches_as_measured():
    """Deviation D52: about [0 0 2] by 10 degrees, the MOSFLM fast axis [0 0 1] grows to 1.04558."""
    turned = rotate_about(AXES[2], vector((0.0, 0.0, 2.0)), real(math.radians(10.0)))
    assert f"{float(turned.norm()):g}" == "1.04558"


def test_matrices_agree_with_rotations_and_are_proper():
    generator = torch.Generator().manual_seed(3)
    axes = torch.nn.functional.normalize(torch.randn(20, 3, dtype=torch.float64, generator=generator), dim=1)
    angles = torch.randn(20, dtype=torch.float64, generator=generator)
    matrices = rotation_matrices(axes, angles)
    w = torch.randn(20, 3, dtype=torch.float64, generator=generator)
    expected = torch.stack([rotate_about(v, n, t) for v, n, t in zip(w, axes, angles, strict=True)])
    torch.testing.assert_close(turn(matrices, w), expected)
    torch.testing.assert_close(matrices @ matrices.mT, AXES.expand(20, 3, 3))
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(20, dtype=torch.float64))
    assert torch.equal(rotation_matrices(axes, torch.zeros(20, dtype=torch.float64)), AXES.expand(20, 3, 3))


def test_an_angle_per_vector():
    w = torch.randn(4, 3, 3, dtype=torch.float64)
    angles = torch.arange(4, dtype=torch.float64)[:, None].expand(-1, 3)
    together = rotate_about(w, AXES[1], angles)
    for t in range(4):
        assert torch.equal(together[t, 1], rotate_about(w[t, 1], AXES[1], angles[t, 1]))
