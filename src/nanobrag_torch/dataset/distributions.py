"""What a quantity may be: a few distributions, each a function of uniform deviates; free of torch.

A distribution says how many deviates it takes and turns them, row by row, into values, so that an image's values depend
on the image's own deviates and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.dataset.marked import Marked

Floats = NDArray[np.float64]
FARTHEST_CUT = 4.0
"""Standard deviations at which a normal distribution may still be cut."""


class Unsuitable(ValueError):
    """Parameters from which nothing can be drawn."""


def _refuse(wrong: bool, problem: str) -> None:
    if wrong:
        raise Unsuitable(problem)


@dataclass(frozen=True)
class Uniform:
    """Even between `low` and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _refuse(not self.low < self.high, f"nothing lies between {self.low:g} and {self.high:g}")

    deviates = 1

    def values(self, u: Floats) -> Any:
        """Values [B] of deviates [B, 1]."""
        return self.low + (self.high - self.low) * u[:, 0]


@dataclass(frozen=True)
class LogUniform:
    """Even in the logarithm between `low` and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _refuse(not 0 < self.low < self.high, f"{self.low:g} to {self.high:g} is not a range of positive numbers")

    deviates = 1

    def values(self, u: Floats) -> Any:
        """Values [B] of deviates [B, 1]."""
        return self.low * np.exp(np.log(self.high / self.low) * u[:, 0])


@dataclass(frozen=True)
class Normal:
    """Normal with `mean` and `sd`, cut at `low` and `high` where they are given (values beyond take the limit)."""

    mean: float
    sd: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        _refuse(self.sd < 0, f"the standard deviation is {self.sd:g}")
        low, high = _limits(self.low, self.high)
        _refuse(not low < high, f"nothing lies between {low:g} and {high:g}")
        reach = FARTHEST_CUT * self.sd
        far = self.mean + reach < low or self.mean - reach > high
        _refuse(far, f"the mean {self.mean:g} lies more than {FARTHEST_CUT:g} sd outside {low:g} to {high:g}")

    deviates = 2

    def values(self, u: Floats) -> Any:
        """Values [B] of deviates [B, 2]."""
        return np.clip(self.mean + self.sd * _normal(u), *_limits(self.low, self.high))


@dataclass(frozen=True)
class LogNormal:
    """The logarithm is normal: `median` and the standard deviation `sigma` of the logarithm; cut like `Normal`."""

    median: float
    sigma: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        _refuse(not self.median > 0, f"the median {self.median:g} is not positive")
        _refuse(self.sigma < 0, f"sigma is {self.sigma:g}")
        low, high = _limits(self.low, self.high)
        _refuse(not low < high, f"nothing lies between {low:g} and {high:g}")

    deviates = 2

    def values(self, u: Floats) -> Any:
        """Values [B] of deviates [B, 2]."""
        return np.clip(self.median * np.exp(self.sigma * _normal(u)), *_limits(self.low, self.high))


@dataclass(frozen=True)
class Integers:
    """Every whole number from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _refuse(self.low != int(self.low) or self.high != int(self.high), "give whole numbers")
        _refuse(not self.low <= self.high, f"there is no whole number from {self.low} to {self.high}")

    deviates = 1

    def values(self, u: Floats) -> Any:
        """Values [B] of deviates [B, 1]."""
        count = int(self.high) - int(self.low) + 1
        return int(self.low) + np.minimum((u[:, 0] * count).astype(np.int64), count - 1)


@dataclass(frozen=True)
class Choice:
    """One of `values`, all alike or by `weights`."""

    of: tuple[Any, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _refuse(not self.of, "there is nothing to choose from")
        if self.weights is not None:
            _refuse(len(self.weights) != len(self.of), f"{len(self.weights)} weights for {len(self.of)} values")
            _refuse(min(self.weights) < 0 or sum(self.weights) <= 0, "weights are positive numbers or 0, not all 0")

    deviates = 1

    def values(self, u: Floats) -> Any:
        """The chosen ones, a list [B], of deviates [B, 1]."""
        weights = np.ones(len(self.of)) if self.weights is None else np.asarray(self.weights, dtype=np.float64)
        edges = np.cumsum(weights)[:-1] / weights.sum()
        return [self.of[place] for place in np.searchsorted(edges, u[:, 0], side="right")]


@dataclass(frozen=True)
class Rotations:
    """Rotations, all alike: three angles (degrees) about lab x, then y, then z.

    A random unit quaternion after Shoemake (Graphics Gems III, 1992, p. 124) as the angles of its matrix.
    """

    deviates = 3

    def values(self, u: Floats) -> Any:
        """Angles [B, 3] of deviates [B, 3]."""
        a, b = np.sqrt(1.0 - u[:, 0]), np.sqrt(u[:, 0])
        x, y = a * np.sin(2 * np.pi * u[:, 1]), a * np.cos(2 * np.pi * u[:, 1])
        z, w = b * np.sin(2 * np.pi * u[:, 2]), b * np.cos(2 * np.pi * u[:, 2])
        # Of R = Rz Ry Rx: R20 = -sin y, R21 = cos y sin x, R22 = cos y cos x, R10 = cos y sin z, R00 = cos y cos z.
        sine = np.clip(-2 * (x * z - w * y), -1.0, 1.0)
        about_x = np.arctan2(2 * (y * z + w * x), 1 - 2 * (x * x + y * y))
        about_z = np.arctan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z))
        return np.degrees(np.stack([about_x, np.arcsin(sine), about_z], axis=1))


@dataclass(frozen=True)
class Fixed:
    """Always the same value."""

    value: Any

    deviates = 0

    def values(self, u: Floats) -> Any:
        """The value, a list [B]."""
        return [self.value] * len(u)


Distribution = Uniform | LogUniform | Normal | LogNormal | Integers | Choice | Rotations | Fixed

KINDS: dict[str, Callable[..., Distribution]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "normal": Normal,
    "log_normal": LogNormal,
    "integers": Integers,
    "choice": Choice,
    "rotations": Rotations,
}
"""By the key in a description."""


def _limits(low: float | None, high: float | None) -> tuple[float, float]:
    return -np.inf if low is None else low, np.inf if high is None else high


def _normal(u: Floats) -> Floats:
    """Normal deviates [B] of uniform ones [B, 2] in [0, 1) (Box and Muller, 1958)."""
    found: Floats = np.sqrt(-2.0 * np.log1p(-u[:, 0])) * np.cos(2.0 * np.pi * u[:, 1])
    return found


def distribution_of(said: Marked) -> Distribution:
    """A distribution as a description says it: a plain value, or `{kind: parameters}`.

    `{uniform: [1, 2]}` and `{uniform: {low: 1, high: 2}}` are the same; `{choice: [a, b], weights: [1, 2]}`;
    `{rotations: all}`.

    Raises:
        FileFormatError: an unknown kind or parameter, or one that cannot be sampled; with its line.
    """
    if not isinstance(said.value, dict):
        return Fixed(tuple(said.value) if isinstance(said.value, list) else said.value)
    names = said.keys([*KINDS, "weights"])
    kinds = [name for name in names if name != "weights"]
    if len(kinds) != 1 or ("weights" in names and kinds != ["choice"]):
        raise said.error(f"one kind of distribution was expected, found {', '.join(names) or 'nothing'}")
    inner = said[kinds[0]]
    try:
        if kinds == ["choice"]:
            weights = said.get("weights")
            return Choice(
                tuple(tuple(v.value) if isinstance(v.value, list) else v.value for v in inner.items()),
                None if weights is None else tuple(w.number() for w in weights.items()),
            )
        if kinds == ["rotations"]:
            if inner.value != "all":
                raise inner.error(f"{inner.value!r} is not known; write all")
            return Rotations()
        return _with_numbers(KINDS[kinds[0]], inner)
    except Unsuitable as error:
        raise inner.error(str(error)) from error


def _with_numbers(kind: Any, said: Marked) -> Distribution:
    names = [field.name for field in fields(kind)]
    if isinstance(said.value, dict):
        given = {name: said[name].number() for name in said.keys(names)}
    else:
        parts = said.items()
        if len(parts) > len(names):
            raise said.error(f"{len(parts)} numbers where {', '.join(names)} were expected")
        given = {name: part.number() for name, part in zip(names, parts, strict=False)}
    needed = [field.name for field in fields(kind) if field.default.__class__.__name__ == "_MISSING_TYPE"]
    missing = [name for name in needed if name not in given]
    if missing:
        raise said.error(f"{' and '.join(missing)} missing")
    made: Distribution = kind(**given)
    return made
