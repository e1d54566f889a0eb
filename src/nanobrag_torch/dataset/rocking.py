"""How bright a reflection is at a distance from the sphere of reflection, and how much of it a rotation takes in.

A spot holds all of |L|² on the sphere around a lattice point. Near the point the sphere is a plane at the distance ε
(1/Å) across the unit vector n, so the rocking law is the projection of |L|² on n. By the projection theorem it is the
Fourier transform of the autocorrelation of the crystal along n,

    g(ε) = ∫ C(t) cos(2π ε t) dt / ∫ C(t) dt,

where C(t) is the share of the crystal that still overlaps with itself when it is shifted by t n (Å). With p_i = n·a*_i:

    square   C = Π_i F_i(t p_i), F_i about 1 - |t p_i|/N_i, 0 where a factor is negative
    round    C = 1 - 3/2 x + 1/2 x³, x = t √(Σ(p_i/N_i)²/G) < 1
    gauss    g = exp(-ε²/κ),       κ = 0.63/(2G) Σ(p_i/N_i)²    (nanobragg: 0.63/(2G N²), N = N_a N_b N_c)
    tophat   g = 1 - ε²/κ, >= 0,   κ = 0.3969/G Σ(p_i/N_i)²     (nanobragg: 0.3969/(G N²))

The streaks of a square crystal fall off so slowly that where they end decides where the spot is centred. A reflection
has |Δ_i| <= 1/2 around its lattice point, beyond it is its neighbour. So with f(Δ) = sin²(πNΔ)/sin²(πΔ) and

    K(x) = ∫_{-1/2}^{1/2} (1 - cos 2πxΔ) / (2 sin² πΔ) dΔ    (|x| at whole numbers, and nearly between)

the transform of f within the half cells is, from sin² πNΔ = (1 - cos 2πNΔ)/2 and products of cosines,

    F(x) = 1/N ∫_{-1/2}^{1/2} f cos 2πxΔ dΔ = (½ K(N + x) + ½ K(N - x) - K(x)) / N.

specs: intensity 4, deviations D27.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import pi

import numpy as np
from numpy.typing import NDArray

RADIUS_FACTOR, TOPHAT_CUT = 0.63, 0.3969
"""Constants of gauss and tophat (specs: intensity 4)."""

Floats = NDArray[np.float64]

NODES = 32
"""Of the quadrature over t, in [0, T]; phases up to 2π · `MOST_FRINGES` are integrated to 1e-12."""
SMALLEST_PHASE = 1e-4
MOST_FRINGES = 6.0
"""Beyond this many fringes g is taken as 0; it is below 1e-3 there."""

K_RANGE, K_STEPS = 64, 32
"""K(x) is tabulated to 64 in steps of 1/32."""


@dataclass(frozen=True)
class Rocking:
    """The law of some reflections, one row each.

    Args:
        shape: `square`, `round`, `gauss` or `tophat`.
        width: [n] of gauss and tophat √κ (1/Å), of the others 1/T, T the longest shift with any overlap.
        slopes: [n, 3] of square, T|p_i|; else empty.
        N: [n, 3] of square, cells; else empty.
    """

    shape: str
    width: Floats
    slopes: Floats
    N: Floats

    def take(self, places: NDArray[np.int64]) -> Rocking:
        """Some rows."""
        return Rocking(self.shape, self.width[places], self.slopes[places], self.N[places])

    def relative(self, epsilon: Floats) -> Floats:
        """g [n, ...] at distances [n, ...]; 1 at 0."""
        if self.shape == "gauss":
            return np.asarray(np.exp(-((epsilon / _like(self.width, epsilon)) ** 2)))
        if self.shape == "tophat":
            return np.asarray(np.maximum(1.0 - (epsilon / _like(self.width, epsilon)) ** 2, 0.0))
        return self._quadrature(epsilon, False)

    def integral(self, epsilon: Floats) -> Floats:
        """∫_{-∞}^{ε} g / ∫_{-∞}^{∞} g, [n, ...]."""
        scaled = epsilon / _like(self.width, epsilon)
        if self.shape == "gauss":
            return 0.5 * (1.0 + _erf(scaled))
        if self.shape == "tophat":
            x = np.clip(scaled, -1.0, 1.0)
            return np.asarray(0.5 + 0.75 * (x - x**3 / 3.0))
        return self._quadrature(epsilon, True)

    def pull(self, epsilon: Floats) -> Floats:
        """Of square: c [n, ..., 3], such that the spot on the plane at ε is centred along Σ c_i sign(p_i) a*_i / N_i.

        The first moment of |L|² on the plane is the Fourier transform of the slope of the autocorrelation across the
        line t n: c_i ∝ ∫ -N_i F_i'(t|p_i|) Π_{j≠i} F_j(t|p_j|) sin(2π ε t) dt.
        """
        x, w = _nodes()
        share, fall = self._factors(x)
        others = [np.prod(np.delete(share, i, axis=1), axis=1) * fall[:, i] * w for i in range(3)]
        phase = np.clip(epsilon / _like(self.width, epsilon), -MOST_FRINGES, MOST_FRINGES)
        # At ε = 0 the ratio of the coefficients is that of their slopes.
        phase = np.where(np.abs(phase) < SMALLEST_PHASE, SMALLEST_PHASE, phase)
        sine = np.sin(2.0 * pi * phase[..., None] * x)
        shape = (len(phase), *(1 for _ in range(phase.ndim - 1)), NODES)
        return np.stack([(part.reshape(shape) * sine).sum(-1) for part in others], axis=-1)

    def reach(self, threshold: float) -> Floats:
        """The distance [n] beyond which g stays below a threshold."""
        if self.shape == "gauss":
            return np.asarray(self.width * np.sqrt(-np.log(threshold)))
        if self.shape == "tophat":
            return self.width
        # sinc² (a slab, C = 1 - x): below 1/(π ε T)².
        return np.asarray(self.width * min(1.0 / (pi * np.sqrt(threshold)) + 1.0, MOST_FRINGES))

    def _quadrature(self, epsilon: Floats, integrated: bool) -> Floats:
        """g, or its integral: ½ + ∫ C sin(2πεt)/(πt) dt, since ∫ g dε = C(0)/∫C = 1/∫C."""
        x, w = _nodes()
        overlap = self._overlap(x) * w
        phase = epsilon / _like(self.width, epsilon)
        inside = np.abs(phase) < MOST_FRINGES
        angle = 2.0 * pi * np.where(inside, phase, 0.0)[..., None] * x
        shape = (len(overlap), *(1 for _ in range(angle.ndim - 2)), NODES)
        if integrated:
            summed = (overlap.reshape(shape) * np.sin(angle) / (pi * x)).sum(-1)
            return np.where(inside, 0.5 + summed, np.where(phase > 0, 1.0, 0.0))
        found = (overlap.reshape(shape) * np.cos(angle)).sum(-1) / overlap.sum(1).reshape(shape[:-1])
        return np.where(inside, np.maximum(found, 0.0), 0.0)

    def _overlap(self, x: Floats) -> Floats:
        """C [n, NODES] at shifts x T."""
        if self.shape == "round":
            return np.broadcast_to(1.0 - 1.5 * x + 0.5 * x**3, (len(self.width), len(x)))
        return np.asarray(np.prod(self._factors(x)[0], axis=1))

    def _factors(self, x: Floats) -> tuple[Floats, Floats]:
        """Of square: F_i and -N_i F_i' [n, 3, NODES] at shifts x T."""
        shift, N = self.slopes[:, :, None] * x, self.N[:, :, None]
        (k, slope), (k_more, slope_more), (k_less, slope_less) = map(_k, (shift, N + shift, N - shift))
        return (0.5 * (k_more + k_less) - k) / N, slope + 0.5 * (slope_less - slope_more)


def rocking(shape: str, radius: str, n: Floats, reciprocal: Floats, N: Floats, fudge: Floats) -> Rocking:
    """The law along unit vectors `n` [n, 3].

    Args:
        shape: the crystal's.
        radius: law of gauss and tophat, `exact` or `nanobragg`.
        n: [n, 3] lab frame.
        reciprocal: [n, 3, 3] rows a*, b*, c* (1/Å), lab frame.
        N: [n, 3] cells.
        fudge: [n].
    """
    p = np.abs(np.einsum("nj,nij->ni", n, reciprocal))
    shares = p / N
    none = np.empty((len(n), 0))
    if shape == "square":
        longest = shares.max(1)
        return Rocking(shape, longest, p / longest[:, None], N)
    square = (shares**2).sum(1)
    if shape == "round":
        return Rocking(shape, np.sqrt(square / fudge), none, none)
    if radius == "nanobragg":
        square = 1.0 / N.prod(1) ** 2
    factor = RADIUS_FACTOR / 2.0 if shape == "gauss" else TOPHAT_CUT
    return Rocking(shape, np.sqrt(factor * square / fudge), none, none)


@cache
def _nodes() -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss and Legendre on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    return 0.5 * (x + 1.0), 0.5 * w


@cache
def _table_of_k() -> tuple[Floats, Floats, Floats]:
    """x, K(x), K'(x), with K' = 2π ∫_0^{1/2} Δ sin(2πxΔ) / sin²(πΔ) dΔ."""
    x = np.arange(K_RANGE * K_STEPS + 1) / K_STEPS
    nodes, weights = np.polynomial.legendre.leggauss(3 * K_RANGE)
    delta, weights = 0.25 * (nodes + 1.0), 0.25 * weights / np.sin(0.25 * pi * (nodes + 1.0)) ** 2
    angle = 2.0 * pi * x[:, None] * delta
    return x, (1.0 - np.cos(angle)) @ weights, np.sin(angle) @ (2.0 * pi * delta * weights)


def _k(x: Floats) -> tuple[Floats, Floats]:
    """K and K' at x; beyond the table their limits, |x| and sign x."""
    grid, values, slopes = _table_of_k()
    size = np.abs(x)
    far = size > K_RANGE
    k = np.where(far, size, np.interp(size, grid, values))
    return k, np.where(far, 1.0, np.interp(size, grid, slopes)) * np.sign(x)


def _like(row: Floats, values: Floats) -> Floats:
    return row.reshape(len(row), *(1 for _ in range(values.ndim - 1)))


def _erf(x: Floats) -> Floats:
    import torch

    return np.asarray(torch.special.erf(torch.from_numpy(np.ascontiguousarray(x))).numpy())
