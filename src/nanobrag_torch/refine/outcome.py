"""What a refinement is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nanobrag_torch.materials.amorphous import interpolate
from nanobrag_torch.models import Experiment

Restraints = Mapping[str, tuple[float | Tensor | None, float | Tensor]]
"""By name, the mean (`None`: where each shot starts) and the width of a normal prior, settled units."""
Elements = Sequence[tuple[str, int]]
"""Numbers of quantities: `("cell_lengths", 0)` is a."""
Present = Callable[[], list[dict[str, Tensor]]]
"""Gives, per shot, values by name."""


@dataclass(frozen=True)
class Schedule:
    """When to stop, and who is told.

    Args:
        steps: at most so many accepted or refused steps.
        tolerance: of the decrease in the logarithm of the likelihood that the next step promises.
        progress: called after each step with its number, the loss, and a function that gives per shot the present
            values by name, settled units.
        keep_pixels: whether estimates have the values of all pixels; without them many shots need no memory for it.
    """

    steps: int = 50
    tolerance: float = 1e-6
    progress: Callable[[int, float, Present], None] | None = None
    keep_pixels: bool = True


@dataclass(frozen=True)
class Constraints:
    """What parameters may not do.

    Args:
        bounds: smallest and largest values by name, settled units.
        restraints: priors by name, those of own quantities for every shot.
        tied: numbers that move together by the same raw step (equal lengths stay equal), all shared or all own.
        fixed: numbers that stay.
        smooth: by the names of quantities that vary over a scan, the standard deviation of the change from one knot to
            the next, settled units.
    """

    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    restraints: Restraints = field(default_factory=dict)
    tied: Sequence[Elements] = ()
    fixed: Elements = ()
    smooth: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Amplitudes:
    """Structure amplitudes that all shots share: F = F0 exp(f) with a normal prior of f about 0.

    Args:
        count: how many there are; `Shot.amplitudes` says which region shows which.
        width: standard deviation of f: what is known of the amplitudes before.
    """

    count: int
    width: float = 1.0


@dataclass(frozen=True)
class Estimate:
    """What one shot's parameters became.

    Args:
        experiment: with the refined values.
        columns: (name, index) of every refined number, the shared ones first.
        values: [n] settled units (m, rad, Å), in the order of the columns.
        covariance: [n, n] of the values, everything that was refined together taken into account.
        planes: [R, 3] background in photons: in the middle, and its rise there over half a region along slow and fast.
        expected: [P] photons, with the background; this and the next two are empty unless they were kept.
        background: [P] photons of the background alone.
        residuals: [P] signed roots of the deviance.
        at_bound: [n] -1 for a value that a bound keeps from becoming smaller, 1 for one at its largest, else 0.
        knots: by the names of quantities that vary over the scan, their values [K, ...] at the knots; `experiment` has
            their means.
    """

    experiment: Experiment
    columns: tuple[tuple[str, int], ...]
    values: Tensor
    covariance: Tensor = field(repr=False)
    planes: Tensor = field(repr=False)
    expected: Tensor = field(repr=False)
    background: Tensor = field(repr=False)
    residuals: Tensor = field(repr=False)
    at_bound: Tensor = field(repr=False)
    knots: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def sigma(self) -> Tensor:
        """Standard deviations [n], settled units."""
        return self.covariance.diagonal().clamp_min(0.0).sqrt()

    @property
    def correlations(self) -> Tensor:
        """Correlation coefficients [n, n]."""
        width = self.sigma.clamp_min(1e-300)
        return self.covariance / width[:, None] / width


@dataclass(frozen=True)
class Profile:
    """The profile likelihood of one number: all others, backgrounds included, are the most likely ones for each value.

    Args:
        name, index: which number of which quantity.
        shot: of which shot; 0 where the quantity is shared.
        values: [n] settled units, ascending.
        deviance: [n] -2 ln L above the smallest one.
        sigma: standard deviation by the Fisher information, settled units.
    """

    name: str
    index: int
    shot: int
    values: Tensor
    deviance: Tensor
    sigma: float

    @property
    def best(self) -> float:
        """The most likely value."""
        return float(self.values[self.deviance.argmin()])

    def interval(self, factor: float = 1.0) -> tuple[float | None, float | None]:
        """Where -2 ln L is the square of `factor` above its minimum: one standard deviation below and above.

        `None` on a side on which it does not rise so far: the number is not bounded there by the counts.

        Args:
            factor: what standard deviations are multiplied by, as where pixels scatter more than they should.
        """
        middle = int(self.deviance.argmin())
        # The root of a parabola is a straight line, so that values are interpolated along it.
        root = self.deviance.clamp_min(0.0).sqrt()
        root = torch.cat([-root[:middle], root[middle:]])
        low = high = middle
        while low > 0 and root[low - 1] < root[low]:
            low -= 1
        while high + 1 < len(root) and root[high + 1] > root[high]:
            high += 1
        at = torch.tensor([-factor, factor], dtype=torch.float64)
        if high == low:
            return None, None
        below, above = interpolate(root[low : high + 1], self.values[low : high + 1], at).tolist()
        return below if root[low] <= -factor else None, above if root[high] >= factor else None


@dataclass(frozen=True)
class Refined:
    """How a refinement went.

    Args:
        shots: an estimate per shot.
        losses: half the deviance, restraints included, after every accepted step.
        converged: whether the next step promised less than the tolerance.
        chi_square: Pearson's, per degree of freedom: 1 when the model is right, however few the counts; wild pixels
            count as five standard deviations.
        amplitudes: [U] refined amplitudes over those of the start, where there are any.
        amplitude_sigma: [U] their standard deviations.
        path: after every accepted step, the values [n] of the shared parameters, settled units.
        profiles: the profile likelihoods that were asked for.
    """

    shots: tuple[Estimate, ...]
    losses: tuple[float, ...]
    converged: bool
    chi_square: float
    amplitudes: Tensor | None = field(default=None, repr=False)
    amplitude_sigma: Tensor | None = field(default=None, repr=False)
    path: tuple[Tensor, ...] = field(default=(), repr=False)
    profiles: tuple[Profile, ...] = field(default=(), repr=False)
