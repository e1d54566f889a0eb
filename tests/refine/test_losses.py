"""Likelihoods against torch.distributions, and their masks."""

from __future__ import annotations

import pytest
import torch

from nanobrag_torch.refine import correlation, gaussian, poisson

EXPECTED = torch.tensor([0.5, 3.0, 12.0, 1.0], dtype=torch.float64)
OBSERVED = torch.tensor([0.0, 4.0, 10.0, 9.0], dtype=torch.float64)
KEEP = torch.tensor([True, True, True, False])


def test_gaussian_is_the_likelihood_but_for_a_constant() -> None:
    variance = EXPECTED + 1.0
    normal = torch.distributions.Normal(EXPECTED, variance.sqrt())
    wanted = (normal.log_prob(EXPECTED) - normal.log_prob(OBSERVED)).mean()
    torch.testing.assert_close(gaussian(EXPECTED, OBSERVED, variance=variance), wanted)


def test_poisson_is_the_likelihood_but_for_a_constant() -> None:
    at_best = torch.distributions.Poisson(OBSERVED.clamp(min=1e-300)).log_prob(OBSERVED)
    wanted = (at_best - torch.distributions.Poisson(EXPECTED + 0.5).log_prob(OBSERVED)).mean()
    torch.testing.assert_close(poisson(EXPECTED, OBSERVED, background=0.5), wanted)
    assert float(poisson(OBSERVED, OBSERVED)) == 0.0
    assert torch.isinf(poisson(torch.zeros(1), torch.ones(1)))


@pytest.mark.parametrize("loss", [gaussian, poisson, correlation])
def test_masked_pixels_do_not_count(loss) -> None:  # type: ignore[no-untyped-def]
    torch.testing.assert_close(loss(EXPECTED, OBSERVED, keep=KEEP), loss(EXPECTED[:3], OBSERVED[:3]))


def test_correlation_is_blind_to_scale_and_offset() -> None:
    torch.testing.assert_close(correlation(EXPECTED, OBSERVED), correlation(7.0 * EXPECTED + 2.0, OBSERVED))
    torch.testing.assert_close(correlation(EXPECTED, 3.0 * EXPECTED), torch.tensor(0.0, dtype=torch.float64))


@pytest.mark.parametrize("loss", [gaussian, poisson, correlation])
def test_gradients(loss) -> None:  # type: ignore[no-untyped-def]
    torch.autograd.gradcheck(lambda x: loss(x, OBSERVED), EXPECTED.clone().requires_grad_())
