"""Poisson deviates: the right distribution, and a function of seed, image and pixel only."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nanobrag_torch.dataset.noise import counts, photons
from nanobrag_torch.dataset.population import Noise


@pytest.mark.parametrize("mean", [0.02, 1.0, 6.0, 11.99, 12.0, 80.0, 5000.0])
def test_the_distribution(mean):
    """Chi-squared of observed frequencies against the probabilities, cells of at least 20 expected."""
    count = 1 << 18
    found = photons(np.full((4, count // 4), mean), 11, range(4)).ravel()
    lowest, highest = max(int(mean - 8 * mean**0.5), 0), int(mean + 8 * mean**0.5) + 8
    n = np.arange(lowest, highest)
    expected = count * np.exp(n * math.log(mean) - mean - np.array([math.lgamma(k + 1.0) for k in n]))
    observed = (
        np.array([(found == k).sum() for k in n])
        if len(n) < 300
        else np.histogram(found, np.arange(lowest, highest + 1))[0]
    )
    kept = expected > 20
    chi = ((observed[kept] - expected[kept]) ** 2 / expected[kept]).sum()
    assert abs(chi - kept.sum()) < 5 * math.sqrt(2 * kept.sum())
    assert abs(found.mean() - mean) < 4 * math.sqrt(mean / count)


def test_no_two_draws_share_anything():
    means = np.full((1, 4096), 30.0)
    one = photons(means, 1, [5])
    assert np.array_equal(one, photons(means, 1, [5]))
    others = [
        photons(means, 2, [5]),
        photons(means, 1, [6]),
        photons(means, 1, [5 + 2**32]),
        photons(means, 1 + 2**32, [5]),
    ]
    for other in others:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.08
    assert abs(np.corrcoef(one[0, 1:], one[0, :-1])[0, 1]) < 0.08


def test_a_pixel_does_not_depend_on_the_others():
    means = np.random.default_rng(1).uniform(0, 40, (1, 999))
    whole = photons(means, 1, [5])
    changed = means.copy()
    changed[0, 500] = 7
    again = photons(changed, 1, [5])
    assert (np.flatnonzero(again != whole) == 500).all()
    assert np.array_equal(photons(means[:, :300], 1, [5])[0], whole[0, :300])


def test_what_is_stored():
    drawn = np.array([0.0, 1.0, 99.0, 1e7])
    assert counts(drawn, Noise(offset=10, saturation=100)).tolist() == [10, 11, 100, 100]
    assert counts(drawn, Noise(gain=1.5, offset=1)).tolist() == [1, 3, 149, 65535]
    assert counts(np.array([0.4, 0.6]), Noise(photons=False)).tolist() == [0, 1]
