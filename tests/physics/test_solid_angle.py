from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.physics.solid_angle import point_solid_angle, solid_angle, sphere_solid_angle


def test_pixels_add_up_to_the_solid_angle_of_the_square_they_tile():
    """A square of side 2a at distance d subtends 4 atan(a²/(d √(2a² + d²)))."""
    n, a, d = 200, 0.05, 0.06
    line = (torch.arange(n, dtype=torch.float64) + 0.5) * (2 * a / n) - a
    y, z = torch.meshgrid(line, line, indexing="ij")
    R = torch.sqrt(y * y + z * z + d * d).reshape(-1)
    total = float(solid_angle(R, real(2 * a / n), real(d)).sum())
    assert total == pytest.approx(4 * math.atan(a * a / (d * math.sqrt(2 * a * a + d * d))), rel=1e-4)


def test_the_formulas():
    R, p = vector((0.06, 0.08)), real(0.0004)
    assert solid_angle(R, p, real(0.06)).tolist() == pytest.approx([(4e-4 / r) ** 2 * 0.06 / r for r in (0.06, 0.08)])
    assert point_solid_angle(R, real(1.0)).tolist() == pytest.approx([1 / r**2 for r in (0.06, 0.08)])
    assert sphere_solid_angle(R, p, vector((1.0, 0.9))).tolist() == pytest.approx(
        [(4e-4 / 0.06) ** 2, 0.9 * (4e-4 / 0.08) ** 2]
    )


def test_a_pixel_that_faces_the_sample_has_no_obliquity():
    R, p = vector((0.06,)), real(0.0004)
    torch.testing.assert_close(solid_angle(R, p, real(0.06)), point_solid_angle(R, p * p))
