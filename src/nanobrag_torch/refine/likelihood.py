"""The likelihood of counts with read-out noise over local planes of background, with closed-form derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError


@dataclass(frozen=True)
class Noise:
    """How a detector counts: observed = gain · Poisson(mean) + a normal deviate of width `readout`.

    Args:
        gain: counts per photon.
        readout: standard deviation of the read-out noise, counts.
        zinger: signed roots of the deviance beyond this many standard deviations grow linearly instead of
            quadratically (Huber, Ann. Math. Statist. 35, 73, 1964), so that a few wild pixels do not pull;
            infinite: the plain likelihood.
        relative: how wrong the model may be in a single pixel, as a part of its value: counts of mean m then have the
            variance m + (relative m)² (a negative binomial distribution: Poisson counts whose mean is known so well),
            and a few bright spots do not decide alone.

    Raises:
        InputError: a gain or a threshold that is not positive, or a negative noise.
    """

    gain: float = 1.0
    readout: float = 0.0
    zinger: float = float("inf")
    relative: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.gain < float("inf"):
            raise InputError("gain", f"{self.gain} counts per photon", "give a positive number")
        if not 0.0 <= self.readout < float("inf"):
            raise InputError("readout", f"{self.readout} counts", "give 0 or a positive number")
        if not 0.0 <= self.relative < float("inf"):
            raise InputError("relative", f"{self.relative}", "give 0 or a positive part of the model")
        if not self.zinger > 0.0:
            raise InputError("zinger", f"{self.zinger} standard deviations", "give a positive number")


WILD = 5.0
"""Standard deviations beyond which a pixel says nothing of how much the others scatter."""


@dataclass(frozen=True)
class Scored:
    """A likelihood and its derivatives by the expected values.

    Args:
        terms: [P] negative logarithm of the likelihood less that of a perfect model: half the deviance.
        score: d loss / d expected [P], 1/photons.
        information: Fisher information of each pixel about its expected value [P], 1/photons².
        residual: signed root of the deviance [P]: nearly standard normal when the model is right.
    """

    terms: Tensor
    score: Tensor
    information: Tensor
    residual: Tensor

    @property
    def loss(self) -> Tensor:
        """The sum [] of the terms."""
        return self.terms.sum()

    @property
    def squares(self) -> Tensor:
        """(observed - expected)² over the variance of the counts [P]: 1 on average when the model is right.

        The squared `residual` is not: at a mean of one count its average is 1.15, at 0.1 it is 0.5. A pixel whose
        residual exceeds `WILD` counts as that, so that a few wild ones (a spot of another lattice) do not decide.
        """
        even = torch.where(self.information > 0.0, self.score**2 / self.information, self.residual**2)
        return torch.where(self.residual.abs() > WILD, WILD**2, even)


def scored(expected: Tensor, observed: Tensor, noise: Noise) -> Scored:
    """The likelihood of observed counts [P] given expected photons [P], background included.

    Read-out noise of variance s² (photons²) is taken as Poisson: y + s² counts of mean m + s² have the mean and
    variance of y (Snyder, Hammoud & White, J. Opt. Soc. Am. A 10, 1014, 1993); exact for s = 0. A mean that is not
    positive makes the loss infinite.
    """
    shift = (noise.readout / noise.gain) ** 2
    mean = expected + shift
    seen = observed.to(mean.dtype) / noise.gain + shift
    if not bool((mean > 0.0).all()):
        infinite = torch.full_like(mean, float("inf"))
        return Scored(infinite, torch.zeros_like(mean), torch.zeros_like(mean), torch.zeros_like(mean))
    # Below zero, as noise may have it, a deviance has no constant: it is left out, and the score stays unbiased.
    positive = seen.clamp_min(0.0)
    if noise.relative == 0.0:
        half = mean - positive + torch.xlogy(positive, positive) - seen * torch.log(mean)
        variance = mean
    else:
        spare = noise.relative**-2
        ratio = torch.log1p((mean - positive) / (positive + spare))
        half = torch.xlogy(positive, positive) - seen * torch.log(mean) + (seen + spare) * ratio
        variance = mean * (1.0 + mean / spare)
    root = torch.sign(seen - mean) * torch.sqrt(2.0 * half.clamp_min(0.0))
    residual = torch.where(seen >= 0.0, root, (seen - mean) / torch.sqrt(variance))
    score = (mean - seen) / variance
    if noise.zinger == float("inf"):
        return Scored(half, score, 1.0 / variance, residual)
    size = residual.abs()
    wild = (size > noise.zinger) & (seen >= 0.0)
    weight = torch.where(wild, noise.zinger / size.clamp_min(1e-300), torch.ones_like(size))
    terms = torch.where(wild, noise.zinger * (size - 0.5 * noise.zinger), half)
    return Scored(terms, weight * score, weight / variance, residual)


def planes(pixels: Tensor, labels: Tensor) -> Tensor:
    """Design [P, 3] of a plane per region: 1, and slow and fast from the region's middle in half its size.

    Args:
        pixels: [P, 3] (panel, slow, fast).
        labels: [P] region of each pixel, 0 to R - 1, all of them used.
    """
    count = int(labels.max()) + 1
    where = pixels[:, 1:].to(torch.float64)
    index = labels[:, None].expand(-1, 2)
    low = where.new_zeros(count, 2).scatter_reduce(0, index, where, "amin", include_self=False)
    high = where.new_zeros(count, 2).scatter_reduce(0, index, where, "amax", include_self=False)
    half = ((high - low) / 2.0).clamp_min(1.0)
    return torch.cat([torch.ones_like(where[:, :1]), (where - (low + high)[labels] / 2.0) / half[labels]], dim=1)
