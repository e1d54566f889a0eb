"""noisify's noise chain, bit for bit, with its defects (specs: noisify 3 to 6).

Two random streams share one shuffle table and one spare Gaussian, flicker differs from pixel to pixel, a truncated
kernel loses photons and what crosses the right edge enters the next row. `exact` puts these right.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch import native
from nanobrag_torch.detector.chain import DEFAULT_CALIBRATION_STATE, FIBER, LN16, Chain, Floats, NoiseImage, Spread
from nanobrag_torch.legacy_random import LegacyRandom, Stream
from nanobrag_torch.physics.noise import LegacyState

_LIBRARY = "nanobrag_noise"


def noiseless(photons: Floats, chain: Chain) -> NDArray[Any]:
    """Stored values of expected photons [slow, fast]; at most 65535, for 32 bits too (N08)."""
    values = np.minimum(photons.astype(np.float64) * chain.gain + chain.adc, 65535.0)
    return np.trunc(values).astype(np.int64).astype(chain.stored)


def noise_image(photons: Floats, chain: Chain) -> NoiseImage:
    """A noise image [slow, fast] of expected photons."""
    generator, seed = LegacyRandom(), Stream.from_seed(chain.seed)
    calibration = Stream(DEFAULT_CALIBRATION_STATE if chain.calibration_seed is None else -chain.calibration_seed)
    counted = _counted(photons, chain, generator, seed, calibration)
    before, spread = None, None
    if chain.spread is not None:
        before = float(counted.sum(dtype=np.float64))
        spread = spread_image(counted, chain)
        counted = spread.image
    values = _read_out(counted, chain, generator, seed)
    overloads = int((values > chain.largest).sum())
    whole = np.trunc(np.minimum(values, chain.largest)).astype(np.int64)
    total = float(counted.sum(dtype=np.float64))
    return NoiseImage(whole.astype(chain.stored), total, overloads, before, spread)


def _counted(photons: Floats, chain: Chain, generator: LegacyRandom, seed: Stream, calibration: Stream) -> Floats:
    library = native.load(_LIBRARY)
    expected = np.ascontiguousarray(photons, dtype=np.float32)
    out = np.empty_like(expected)
    if library is None:
        flat = out.reshape(-1)
        for i, p in enumerate(expected.reshape(-1).tolist()):
            if chain.flicker > 0.0:
                p *= 1.0 + chain.flicker * generator.gaussian(seed)
            if chain.calibration > 0.0:
                p *= 1.0 + chain.calibration * generator.gaussian(calibration)
            flat[i] = generator.poisson(seed, float(np.float32(p)))
        return out
    state, other = LegacyState.of(generator, seed), ctypes.c_int64(calibration.state)
    library.nanobrag_noisify_photons(
        expected.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(expected.size), ctypes.c_double(chain.flicker),
        ctypes.c_double(chain.calibration), out.ctypes.data_as(ctypes.c_void_p), ctypes.byref(state),
        ctypes.byref(other),
    )  # fmt: skip
    state.give_back(generator, seed)
    return out


def _read_out(photons: Floats, chain: Chain, generator: LegacyRandom, seed: Stream) -> NDArray[np.float64]:
    values: NDArray[np.float64] = photons.astype(np.float64) * chain.gain + chain.adc
    if not chain.readout > 0.0:
        return values
    library = native.load(_LIBRARY)
    if library is None:
        for i, value in enumerate(values.reshape(-1).tolist()):
            values.reshape(-1)[i] = value + chain.readout * generator.gaussian(seed)
        return values
    counted, state = np.ascontiguousarray(photons, dtype=np.float32), LegacyState.of(generator, seed)
    library.nanobrag_noisify_readout(
        counted.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(counted.size), ctypes.c_double(chain.gain),
        ctypes.c_double(chain.adc), ctypes.c_double(chain.readout), values.ctypes.data_as(ctypes.c_void_p),
        ctypes.byref(state),
    )  # fmt: skip
    state.give_back(generator, seed)
    return values


def spread_image(photons: Floats, chain: Chain) -> Spread:
    """The photons [slow, fast] spread by the truncated kernel, pixel by pixel (specs: noisify 5)."""
    slow, fast = photons.shape
    brightest, most = float(photons.max(initial=0.0)), max(slow, fast)
    if not brightest > 0.0:
        return Spread(np.zeros_like(photons), 0.0, 0, 0.0)
    asked = chain.radius or _radius(brightest, chain)
    radius = min(asked, most)
    kernel = _kernel(chain, radius)
    out = np.zeros((slow + 2) * fast, dtype=np.float32)
    lost = 0.0
    for y0, x0 in np.argwhere(photons > 0.0).tolist():
        value = float(photons[y0, x0])
        own = chain.radius or _radius(value, chain)
        if own < 0:  # a faint pixel, whose radius is not a number (N05)
            continue
        own = min(own or 1, most)
        lost += value * _escaped(own, chain)
        _add(out, kernel, radius, (x0, y0, value, own), (fast, slow))
    image = out[: slow * fast].reshape(slow, fast)
    image = (image.astype(np.float64) + lost / (slow * fast)).astype(np.float32)
    return Spread(image, brightest, asked, lost)


def _add(
    out: Floats, kernel: NDArray[np.float64], radius: int, source: tuple[int, int, float, int], size: tuple[int, int]
) -> None:
    """Add one pixel's photons; its column beyond the right edge comes last, in the order of the C loop (N04)."""
    (x0, y0, value, own), (fast, slow) = source, size
    reach = min(own, radius)
    left, right = max(-reach, -x0), min(reach, fast - x0)
    up, down = max(-reach, -y0), min(reach, slow - y0)
    if right < left or down < up:
        return
    dx, dy = np.arange(left, right + 1), np.arange(up, down + 1)
    part = kernel[up + radius : down + radius + 1, left + radius : right + radius + 1]
    inside = (dx[None, :] ** 2 + dy[:, None] ** 2 <= own * own) & (part != 0.0)
    place = (y0 + dy)[:, None] * fast + (x0 + dx)[None, :]
    edge = np.broadcast_to((x0 + dx == fast)[None, :], inside.shape)
    for chosen in (inside & ~edge, inside & edge):
        where = place[chosen]
        out[where] = (out[where].astype(np.float64) + value * part[chosen]).astype(np.float32)


def _radius(value: float, chain: Chain) -> int:
    """The radius that a pixel of so many photons asks for, or -1 where it is not a number."""
    if chain.spread == "fiber":
        return 1 + math.ceil(10.0 * FIBER * chain.width * math.sqrt(value))
    logarithm = math.log(10.0 * math.sqrt(value)) / LN16
    return -1 if logarithm < 0.0 else 1 + math.ceil(chain.width * math.sqrt(logarithm))


def _escaped(radius: int, chain: Chain) -> float:
    if chain.spread == "fiber":
        g = FIBER * chain.width
        return g / math.sqrt(g * g + radius * radius)
    return math.exp(-LN16 * (radius / chain.width) * (radius / chain.width))


def _kernel(chain: Chain, radius: int) -> NDArray[np.float64]:
    """K [2R+1, 2R+1] at dy, dx = -R .. R; 0 outside the circle."""
    steps = range(-radius, radius + 1)
    w, root = chain.width, math.sqrt(LN16)
    if chain.spread == "gauss":
        one = [math.erf(root * (d + 0.5) / w) - math.erf(root * (d - 0.5) / w) for d in steps]
        kernel = np.array([[0.25 * a * b for a in one] for b in one])
    else:
        kernel = np.array([[_fiber(dx, dy, FIBER * w) for dx in steps] for dy in steps])
    circle = np.array([[dx * dx + dy * dy <= radius * radius for dx in steps] for dy in steps])
    return np.where(circle, kernel, 0.0)


def _fiber(dx: int, dy: int, g: float) -> float:
    total = 0.0
    for x, y, sign in ((0.5, 0.5, 1), (0.5, -0.5, -1), (-0.5, 0.5, -1), (-0.5, -0.5, 1)):
        a, b = dx + x, dy + y
        total += sign * math.atan(a * b / (g * math.sqrt(g * g + a * a + b * b)))
    return total / (2.0 * math.pi)
