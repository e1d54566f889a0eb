from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch.geometry.sources import SOURCE_DISTANCE, Divergence, kept_directions, source_position
from nanobrag_torch.geometry.vectors import vector

ONE = Divergence(1, 0.0, 0.0)


def spread(count: int, width: float = 0.02) -> Divergence:
    return Divergence(count, width, width / (count - 1))


def test_angles_start_at_minus_half_the_range():
    assert [Divergence(2, 0.010, 0.005).angle(k) for k in range(2)] == [-0.005, 0.0]
    assert [spread(3).angle(k) for k in range(3)] == pytest.approx([-0.01, 0.0, 0.01])


@pytest.mark.parametrize(("side", "kept"), [(5, 13), (4, 12), (2, 4)])
def test_elliptical_trimming_keeps_as_many_as_measured(side, kept):
    """specs: sources 6."""
    assert len(kept_directions(spread(side), spread(side), trim=True)) == kept
    assert len(kept_directions(spread(side), spread(side), trim=False)) == side * side


def test_the_ellipse_follows_unequal_ranges():
    assert len(kept_directions(spread(5, 0.03), spread(5, 0.01), trim=True)) == 13


@pytest.mark.parametrize(("horizontal", "vertical"), [(spread(5), ONE), (ONE, spread(5))])
def test_nothing_is_trimmed_when_one_range_is_zero(horizontal, vertical):
    assert len(kept_directions(horizontal, vertical, trim=True)) == 5


def test_the_horizontal_angle_is_outermost():
    kept = kept_directions(spread(2), spread(3, 0.04), trim=False)
    expected = [(h, v) for h in (-0.01, 0.01) for v in (-0.02, 0.0, 0.02)]
    torch.testing.assert_close(kept, expected)


def test_without_divergence_the_source_stands_upstream():
    b, p = vector((1.0, 0.0, 0.0)), vector((0.0, 0.0, 1.0))
    assert source_position(b, p, 0.0, 0.0).tolist() == [-SOURCE_DISTANCE, 0.0, 0.0]


def test_vertical_turns_about_the_polarization_axis_first_then_horizontal_about_its_companion():
    """b = x, p = z, so v = b x p = -y: -10 b goes in the xy plane by δv, then about -y by δh."""
    b, p = vector((1.0, 0.0, 0.0)), vector((0.0, 0.0, 1.0))
    h, v = 0.1, 0.2
    raised = vector((-10 * math.cos(v), -10 * math.sin(v), 0.0))
    expected = vector((raised[0] * math.cos(h), raised[1], raised[0] * math.sin(h)))
    torch.testing.assert_close(source_position(b, p, h, v), expected)
