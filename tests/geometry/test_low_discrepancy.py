from __future__ import annotations

import math

import numpy as np
import pytest

from nanobrag_torch.geometry.low_discrepancy import gaussian_points, lorentzian_points, sequence


def test_the_sequence_fills_boxes_evenly():
    points = sequence(1000, 3)
    counts, _ = np.histogramdd(points, bins=(4, 4, 4), range=[(0, 1)] * 3)
    assert abs(counts - 1000 / 64).max() < 5
    assert points.min() > 0
    assert points.max() < 1


@pytest.mark.parametrize("count", [8, 20, 50, 300])
def test_gaussian_moments(count):
    points = gaussian_points(count)
    assert np.abs(points.mean(0)).max() < 1e-8
    assert np.abs(points.T @ points / count - np.eye(3)).max() < 1e-8
    assert np.abs((points**4).mean(0) - 3).max() < 3 * count ** (-1 / 3)


def test_the_same_every_time_and_unharmed_by_its_users():
    first = gaussian_points(20)
    kept = first.copy()
    first += 1.0
    assert np.array_equal(gaussian_points(20), kept)


def test_rounding_does_not_change_where_the_points_end(monkeypatch):
    """A start that is off by a thousand roundings gives the same points: other machines draw the same domains."""
    from nanobrag_torch.geometry import low_discrepancy

    kept = gaussian_points(20)
    exact = low_discrepancy.sequence
    monkeypatch.setattr(low_discrepancy, "sequence", lambda n, d: exact(n, d) * (1 - 1e-13))
    assert np.abs(low_discrepancy._gaussian.__wrapped__(20) - kept).max() < 2e-9


def test_means_of_smooth_functions():
    """⟨exp(-|x - c|²/2)⟩ of the normal distribution has a closed form; 20 points are better than 200 random ones."""
    generator = np.random.default_rng(5)
    centres = generator.normal(size=(300, 3)) * 0.8

    def error(points):
        found = np.exp(-0.5 * ((points[:, None] - centres) ** 2).sum(-1)).mean(0)
        return np.sqrt(np.mean((found - 2**-1.5 * np.exp(-0.25 * (centres**2).sum(-1))) ** 2))

    even = error(gaussian_points(20))
    random = np.median([error(generator.normal(size=(200, 3))) for _ in range(20)])
    assert even < random


def test_projections_are_lorentzian():
    """A quarter of the points beyond the half width on either side, half within it, along any axis."""
    points = lorentzian_points(3000)
    for axis in np.vstack([np.eye(3), np.ones(3) / math.sqrt(3)]):
        within = (np.abs(points @ axis) < 1).mean()
        assert within == pytest.approx(0.5, abs=0.02)
        assert (np.abs(points @ axis) < 3).mean() == pytest.approx(2 / math.pi * math.atan(3), abs=0.02)
