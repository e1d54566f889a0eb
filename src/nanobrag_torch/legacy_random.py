"""The legacy random generator: uniform, Gaussian and Poisson deviates and random rotations (specs: rng).

The results agree with the C program bit for bit, so the single-precision steps are deliberate: `_single(x)` stands
wherever the specification stores a float32. Everything else is double precision.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from ctypes import c_float
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MULTIPLIER = 16807
MODULUS = 2147483647
TABLE_SIZE = 32
DIVISOR = 67108864
WARM_UP = 8
UPPER_CLAMP = 1.0 - 1.2e-7
MOSAIC_SEED = 12345678
"""Seed of the mosaic stream when none is given; its state is then -12345678."""
SERIES_FACTOR = 268999385
"""MULTIPLIER to the power 1327217887 (modulo MODULUS): the golden section of the generator's period."""
RANDOM_MISSET_CAP = 90.0
"""Cap of the random misset, used as radians (specs: deviations D25)."""

Array = NDArray[np.float64]

_REJECTION_ABOVE = 12.0
_GAUSSIAN_ABOVE = 1.0e6
_LANCZOS = (
    76.18009172947146,
    -86.50532032941677,
    24.01409824083091,
    -1.231739572450155,
    0.1208650973866179e-2,
    -0.5395239384953e-5,
)


def _single(value: float) -> float:
    """`value` rounded to IEEE single precision."""
    return c_float(value).value


def series_seed(seed: int, frame: int) -> int:
    """Seed of the noise of frame 0, 1, ... of a series: seed * SERIES_FACTOR^frame modulo MODULUS (specs: rng 9).

    All frames have different seeds, and for any number of frames their places in the generator's period lie far apart.
    """
    return max(abs(seed), 1) * pow(SERIES_FACTOR, frame, MODULUS) % MODULUS


@dataclass
class Stream:
    """The integer state x of one stream; the shuffle table is shared by all streams (specs: rng 1)."""

    state: int

    @classmethod
    def from_seed(cls, seed: int) -> Stream:
        """The stream that a `-*seed N` flag starts: x = -N (specs: rng 2)."""
        return cls(-seed)


@dataclass
class LegacyRandom:
    """The part of the generator's state that all streams share (specs: rng 1, 5 and 6).

    Args:
        table: T, 32 integers.
        last: y, 0 before the first draw.
        spare: the second deviate of the last Gaussian pair, if not used yet.
    """

    table: list[int] = field(default_factory=lambda: [0] * TABLE_SIZE)
    last: int = 0
    spare: float | None = None

    def copy(self) -> LegacyRandom:
        """An independent generator in the same state."""
        return LegacyRandom(list(self.table), self.last, self.spare)

    def uniform(self, stream: Stream) -> float:
        """The next deviate in (0, 1), a float32 value (specs: rng 1)."""
        x = stream.state
        if x <= 0 or self.last == 0:
            x = -x if -x >= 1 else 1
            for i in range(TABLE_SIZE + WARM_UP - 1, -1, -1):
                x = MULTIPLIER * x % MODULUS
                if i < TABLE_SIZE:
                    self.table[i] = x
            self.last = self.table[0]
        stream.state = x = MULTIPLIER * x % MODULUS
        j = self.last // DIVISOR
        self.last = self.table[j]
        self.table[j] = x
        deviate = _single(self.last * (1.0 / MODULUS))
        return _single(UPPER_CLAMP) if deviate > UPPER_CLAMP else deviate

    def gaussian(self, stream: Stream) -> float:
        """The next normal deviate, polar Box-Muller, a float32 value (specs: rng 6)."""
        if self.spare is not None:
            deviate, self.spare = self.spare, None
            return deviate
        while True:
            v1 = _single(2.0 * self.uniform(stream) - 1.0)
            v2 = _single(2.0 * self.uniform(stream) - 1.0)
            square = _single(_single(v1 * v1) + _single(v2 * v2))
            if 0.0 < square < 1.0:
                break
        factor = _single(math.sqrt(-2.0 * math.log(square) / square))
        self.spare = _single(v1 * factor)
        return _single(v2 * factor)

    def poisson(self, stream: Stream, mean: float) -> float:
        """A Poisson deviate of a float32 mean, a float32 value (specs: rng 5).

        Above 1e6 it is a Gaussian of the same mean and variance, in general not a whole number; a mean <= 0 gives
        0 and takes one draw.
        """
        if mean > _GAUSSIAN_ABOVE:
            return _single(mean + math.sqrt(mean) * self.gaussian(stream))
        if mean < _REJECTION_ABOVE:
            limit = _single(math.exp(-max(mean, 0.0)))
            product = self.uniform(stream)
            count = 0
            while product > limit:
                count += 1
                product = _single(product * self.uniform(stream))
            return float(count)
        if math.isnan(mean):
            self.uniform(stream)
            self.uniform(stream)
            return math.nan
        return self._poisson_rejection(stream, mean)

    def _poisson_rejection(self, stream: Stream, mean: float) -> float:
        root = _single(math.sqrt(2.0 * mean))
        log_mean = _single(math.log(mean))
        log_peak = _single(_single(mean * log_mean) - log_gamma(_single(mean + 1.0)))
        while True:
            while True:
                y = _single(math.tan(math.pi * self.uniform(stream)))
                n = _single(_single(root * y) + mean)
                if n >= 0.0:
                    break
            n = float(math.floor(n))
            exponent = _single(_single(n * log_mean) - log_gamma(_single(n + 1.0)))
            exponent = _single(exponent - log_peak)
            t = _single(0.9 * (1.0 + _single(y * y)) * math.exp(exponent))
            if self.uniform(stream) <= t:
                return n


def log_gamma(x: float) -> float:
    """ln of the gamma function of a float32 argument, six-term Lanczos form, a float32 value (specs: rng 5)."""
    t = x + 5.5
    t -= (x + 0.5) * math.log(t)
    series = 1.000000000190015
    for j, coefficient in enumerate(_LANCZOS, start=1):
        series += coefficient / (x + j)
    return _single(-t + math.log(2.5066282746310005 * series / x))


class RotationDraw(NamedTuple):
    """One random rotation: unit `axis` [3], `angle` in rad, and `relative_angle`, the angle over its cap."""

    axis: Array
    relative_angle: float
    angle: float


class MosaicDraws(NamedTuple):
    """The rotations of M mosaic domains: `axes` [M, 3], `relative_angles` [M], `angles` [M] in rad.

    `angles` are the single-precision products of the specification; `relative_angles` are what they have in common
    for every spread. Both are 0 for the first domain.
    """

    axes: Array
    relative_angles: Array
    angles: Array


def _three_draws(generator: LegacyRandom, stream: Stream) -> tuple[float, float, float]:
    r1, r2, r3 = (2.0 * generator.uniform(stream) - 1.0 for _ in range(3))
    return r1, r2, r3


def _axis(r1: float, r2: float) -> Array:
    radius = math.sqrt(1.0 - r2 * r2)
    return np.array([radius * math.sin(math.pi * r1), radius * math.cos(math.pi * r1), r2])


def _library_power() -> Callable[[float, float], float] | None:
    """`powf` of the C library that this process runs on, or nothing."""
    try:
        power = ctypes.CDLL(None).powf
    except (OSError, AttributeError, TypeError):
        return None
    power.restype, power.argtypes = c_float, (c_float, c_float)
    return power


_POWER = _library_power()


def single_power(base: float, exponent: float) -> float:
    """base to the power `exponent`, both float32, as the C program gets it: `powf` of the C library (specs: rng 4).

    Where there is none: the power in double, rounded once, which differs in the last bit for 7 in 10,000 arguments.
    """
    return _single(math.pow(base, exponent)) if _POWER is None else _POWER(base, exponent)


def rotation_draws(generator: LegacyRandom, stream: Stream, cap: float) -> RotationDraw:
    """A random rotation by at most `cap` radians; takes three draws (specs: rng 4).

    angle = cap · (1 - r3²)^(1/3), cap, power and product in single precision.
    """
    r1, r2, r3 = _three_draws(generator, stream)
    relative = single_power(_single(1.0 - r3 * r3), _single(1.0 / 3.0))
    return RotationDraw(_axis(r1, r2), relative, _single(_single(cap) * relative))


def uniform_rotation_draws(generator: LegacyRandom, stream: Stream) -> RotationDraw:
    """A uniformly distributed random rotation from the same three draws (specs: deviations F, D25).

    The axis is that of `rotation_draws`; the angle θ in [0, π] solves (θ - sin θ)/π = u, the third draw.
    `relative_angle` is θ/π.
    """
    r1, r2, r3 = _three_draws(generator, stream)
    target = math.pi * (r3 + 1.0) / 2.0
    low, high = 0.0, math.pi
    theta = min((6.0 * target) ** (1.0 / 3.0), math.pi)
    for _ in range(200):
        excess = theta - math.sin(theta) - target
        low, high = (theta, high) if excess < 0.0 else (low, theta)
        slope = 1.0 - math.cos(theta)
        step = theta - excess / slope if slope > 0.0 else low
        new = step if low < step < high else 0.5 * (low + high)
        if new == theta or high - low <= 0.0:
            break
        theta = new
    return RotationDraw(_axis(r1, r2), theta / math.pi, theta)


def rotation_matrix(axis: Array, angle: float) -> Array:
    """U [3, 3] = cos ω I + sin ω [n]ₓ + (1 - cos ω) n nᵀ, which turns a vector by U·w (specs: rng 4)."""
    n = np.asarray(axis, dtype=np.float64)
    cross = np.array([[0.0, -n[2], n[1]], [n[2], 0.0, -n[0]], [-n[1], n[0], 0.0]])
    cosine: Array = math.cos(angle) * np.eye(3)
    return cosine + math.sin(angle) * cross + (1.0 - math.cos(angle)) * np.outer(n, n)


def misset_angles(matrix: Array) -> Array:
    """The angles [3] in rad about lab x, y, z, in this order, of a rotation U [3, 3] (specs: crystal 5)."""
    xx, xy, _, yx, yy, _, zx, zy, zz = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).ravel().tolist()
    if zx * zx < 1.0:
        return np.array([math.atan2(zy, zz), math.atan2(-zx, math.sqrt(zy * zy + zz * zz)), math.atan2(yx, xx)])
    return np.array([math.pi, math.pi / 2.0, math.atan2(xy, -yy)])


def random_misset(generator: LegacyRandom, stream: Stream, *, uniform: bool = False) -> Array:
    """The misset angles [3] in rad of `-misset random` (specs: crystal 4); `uniform` is the exact mode's."""
    draw = (
        uniform_rotation_draws(generator, stream) if uniform else rotation_draws(generator, stream, RANDOM_MISSET_CAP)
    )
    return misset_angles(rotation_matrix(draw.axis, draw.angle))


def mosaic_draws(generator: LegacyRandom, stream: Stream, spread: float, domains: int) -> MosaicDraws:
    """The rotations of the mosaic domains for a spread in rad; three draws each (specs: crystal 10, rng 3).

    The first domain takes its draws and is then the identity: its angle is 0.
    """
    draws = [rotation_draws(generator, stream, spread) for _ in range(domains)]
    first = [1.0] * domains
    first[0] = 0.0
    keep = np.array(first)
    return MosaicDraws(
        np.stack([d.axis for d in draws]),
        keep * np.array([d.relative_angle for d in draws]),
        keep * np.array([d.angle for d in draws]),
    )
