"""How well expected values explain observed ones: smaller is better, averaged over the pixels that count.

A loss is any function of expected [P] and observed [P] values in photons that returns a scalar tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian(
    expected: Tensor, observed: Tensor, *, variance: Tensor | float = 1.0, keep: Tensor | None = None
) -> Tensor:
    """Negative logarithm of the Gaussian likelihood, without its constant: mean of (observed − expected)²/(2 variance).

    Shapes: [P]; `variance` [P] or a number (photons²); `keep` bool [P], False = pixel that does not count.
    """
    return _mean((observed - expected) ** 2 / (2.0 * variance), keep)


def poisson(
    expected: Tensor, observed: Tensor, *, background: Tensor | float = 0.0, keep: Tensor | None = None
) -> Tensor:
    """Half the Poisson deviance: mean of m − n + n log(n/m), m = expected + background, n = observed; 0 when m = n.

    It differs from the negative logarithm of the Poisson likelihood by a constant. Photons where nothing is expected
    make it infinite: give a `background` then. Shapes: [P]; `background` [P] or a number (photons); `keep` bool [P].
    """
    mean = expected + background
    observed = observed.to(mean.dtype)
    return _mean(mean - observed + torch.xlogy(observed, observed) - torch.xlogy(observed, mean), keep)


def correlation(expected: Tensor, observed: Tensor, *, keep: Tensor | None = None) -> Tensor:
    """1 − Pearson's correlation coefficient: blind to scale and offset, for a start whose scale is unknown.

    Shapes: [P]; `keep` bool [P].
    """
    if keep is not None:
        expected, observed = expected[keep], observed[keep]
    x, y = expected - expected.mean(), observed.to(expected.dtype)
    y = y - y.mean()
    return 1.0 - (x * y).sum() / torch.sqrt((x * x).sum() * (y * y).sum())


def _mean(terms: Tensor, keep: Tensor | None) -> Tensor:
    return (terms if keep is None else terms[keep]).mean()
