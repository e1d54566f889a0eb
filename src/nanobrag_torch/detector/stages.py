"""The stages of a detector, pure functions in the order of `record`.

Up to the counting they are plain torch, with gradients by the photons and by every continuous quantity. Behind it every
random number belongs to its pixel (`nanobrag_torch.random`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch import random
from nanobrag_torch.detector.model import BeamStop, DetectorResponse, Sensor
from nanobrag_torch.materials.sensors import sensor_attenuation
from nanobrag_torch.random import Purpose
from nanobrag_torch.units import metres_from_mm, metres_from_um

if TYPE_CHECKING:
    from torch import Tensor

Doubles = NDArray[np.float64]
GOOD, GAP, DEAD, HOT = 0, 1, 2, 4
"""What a mask says of a pixel."""
_NANOSECOND = 1e-9


class Counted(NamedTuple):
    """Counts [rows, fast], whole numbers, and their means."""

    counts: Doubles
    means: Doubles


def absorbed(photons: Tensor, sensor: Sensor) -> Tensor:
    """Expected photons [slow, fast] that the sensor absorbs, where it absorbs them (`physics.sensor`)."""
    import torch

    from nanobrag_torch.physics.sensor import efficiency, parallax

    pixel, distance = metres_from_mm(sensor.pixel_mm), metres_from_mm(sensor.distance_mm)
    slow, fast = (torch.arange(n, dtype=photons.dtype, device=photons.device) + 0.5 for n in photons.shape)
    across_f = (fast - sensor.beam_f)[None, :].expand(photons.shape) / distance
    across_s = (slow - sensor.beam_s)[:, None].expand(photons.shape) / distance
    obliquity = 1.0 / torch.sqrt(1.0 + (across_f * across_f + across_s * across_s) * pixel * pixel)
    attenuation = photons.new_tensor(sensor_attenuation(sensor.material, sensor.wavelength_A))
    thickness = photons.new_tensor(metres_from_um(sensor.thickness_um))
    found = photons * efficiency(attenuation, thickness, obliquity)
    return parallax(found, attenuation / obliquity, thickness, (across_f, across_s)) if sensor.parallax else found


def shadowed(photons: Tensor, stop: BeamStop) -> Tensor:
    """Expected photons [slow, fast] behind a beam stop."""
    import torch

    from nanobrag_torch.physics.sensor import stop_transmission

    slow, fast = (torch.arange(n, dtype=photons.dtype, device=photons.device) + 0.5 for n in photons.shape)
    squared = (fast - stop.f)[None, :] ** 2 + (slow - stop.s)[:, None] ** 2
    radius, edge, passes = (photons.new_tensor(x) for x in (stop.radius, stop.edge, stop.transmission))
    return photons * stop_transmission(torch.sqrt(squared), radius, edge, passes)


def expected(photons: Tensor, model: DetectorResponse, frame: int = 0, offset: int = 0) -> Tensor:
    """What is counted on the average, [slow, fast]: sensor, beam stop, the frame's flicker, the pixels' own factors."""
    if model.stop is not None:
        photons = shadowed(photons, model.stop)
    if model.sensor is not None:
        photons = absorbed(photons, model.sensor)
    if model.flicker > 0.0:
        photons = photons * (1.0 + model.flicker * float(random.normal(1, model.seed, frame, Purpose.FLICKER)[0]))
    if model.calibration > 0.0:
        seed = model.calibration_seed
        factors = 1.0 + model.calibration * random.normal(photons.numel(), seed, 0, Purpose.CALIBRATION, first=offset)
        photons = photons * photons.new_tensor(factors).reshape(photons.shape)
    return photons


def counted(means: Doubles, model: DetectorResponse, frame: int, rows: tuple[int, int], offset: int = 0) -> Counted:
    """Photons counted in the rows `first` up to `last` (left out) of expected photons [slow, fast].

    With sharing, a photon is counted in one of its four neighbours too with the probability p: with mean m all over,
    mean and variance are m (1 + p), and the covariance of neighbours is m p / 2. An edge between two pixels has a
    Poisson number of its own, so that both see the same photons.
    """
    first, last = rows
    fast = means.shape[1]
    means = np.maximum(means, 0.0)  # a factor of the calibration may be below 0
    if not model.sharing > 0.0:
        own = means[first:last]
        return Counted(random.poisson(own, model.seed, frame, Purpose.PHOTONS, first=offset + first * fast), own)
    quarter = 0.25 * model.sharing * means
    alone = (1.0 - model.sharing) * means
    alone[:, 0] += quarter[:, 0]
    alone[0] += quarter[0]
    beside, below = quarter.copy(), quarter.copy()
    beside[:, :-1] += quarter[:, 1:]
    below[:-1] += quarter[1:]
    above = max(first - 1, 0)
    own, right = alone[first:last], beside[first:last]
    total = random.poisson(own, model.seed, frame, Purpose.PHOTONS, first=offset + first * fast)
    by_right = random.poisson(right, model.seed, frame, Purpose.SHARED_FAST, first=offset + first * fast)
    by_below = random.poisson(below[above:last], model.seed, frame, Purpose.SHARED_SLOW, first=offset + above * fast)
    summed = own.copy()
    for out, at_right, at_below in ((total, by_right, by_below), (summed, right, below[above:last])):
        out += at_right
        out[:, 1:] += at_right[:, :-1]
        out += at_below[first - above :]
        out[1 - (first - above) :] += at_below[: last - first - 1 + (first - above)]
    return Counted(total, summed)


def dead_time_moments(means: Doubles, model: DetectorResponse) -> tuple[Doubles, Doubles]:
    """Mean and variance of what a counter with a dead time τ registers of means n in an exposure T.

    With x = n τ / T: n / (1 + x) and n / (1 + x)^3 where lost photons do not count (nonparalyzable), n exp(-x) and
    n exp(-x) (1 - 2 x exp(-x)) where they prolong the dead time (paralyzable). Limits for many photons (Knoll,
    Radiation Detection and Measurement, chapter 4; the variances are those of renewal processes, Cox 1962).
    """
    x = means * (model.dead_time_ns * _NANOSECOND / model.exposure_s)
    if model.dead_time_law == "nonparalyzable":
        return means / (1.0 + x), means / (1.0 + x) ** 3
    kept = np.exp(-x)
    return means * kept, means * kept * (1.0 - 2.0 * x * kept)


def registered(photons: Counted, model: DetectorResponse, frame: int, first: int) -> Doubles:
    """Counts [rows, fast] that the dead time leaves of those from pixel `first` on.

    a + b N of a Poisson number N has the moments of `dead_time_moments`; it is rounded up with the probability of its
    fraction, which keeps the mean and adds at most 1/4 to the variance. Never more than N.
    """
    if not model.dead_time_ns > 0.0:
        return photons.counts
    mean, variance = dead_time_moments(photons.means, model)
    positive = photons.means > 0.0
    slope = np.sqrt(np.divide(variance, photons.means, out=np.ones_like(mean), where=positive))
    values = mean + slope * (photons.counts - photons.means)
    lot = random.uniform(values.size, model.seed, frame, Purpose.ROUNDING, first=first).reshape(values.shape)
    return np.clip(np.floor(values + lot), 0.0, np.maximum(photons.counts, np.ceil(values)))


def spread(counts: Doubles, model: DetectorResponse) -> Doubles:
    """Photons [slow, fast] spread by the law of `detector.exact`; what passes the edge of the frame is lost."""
    from nanobrag_torch.detector.chain import Chain
    from nanobrag_torch.detector.exact import spread_image

    if model.spread is None:
        return counts
    return spread_image(counts, Chain(spread=model.spread, width=model.width)).image.astype(np.float64)


def digitised(counts: Doubles, model: DetectorResponse, frame: int, first: int) -> NDArray[np.int32]:
    """Whole numbers: gain · n + adc + read-out noise of the pixels from `first` on, rounded, 0 to the largest."""
    values = counts * model.gain + model.adc
    if model.readout > 0.0:
        deviates = random.normal(values.size, model.seed, frame, Purpose.READOUT, first=first)
        values = values + model.readout * deviates.reshape(values.shape)
    return np.clip(np.rint(values), 0, model.largest).astype(np.int32)


def mask_of(shape: tuple[int, int], model: DetectorResponse, offset: int = 0) -> NDArray[np.uint8]:
    """What each pixel [slow, fast] is: 0 good, 1 gap, 2 dead, 4 hot; fixed by the seed of the calibration."""
    mask = np.zeros(shape, dtype=np.uint8)
    if model.dead > 0.0 or model.hot > 0.0:
        pixels = math.prod(shape)
        lot = random.uniform(pixels, model.calibration_seed, 0, Purpose.DEFECTS, first=offset).reshape(shape)
        mask[lot < model.dead] = DEAD
        mask[lot >= 1.0 - model.hot] = HOT
    for f0, f1, s0, s1 in model.gaps:
        mask[s0 : s1 + 1, f0 : f1 + 1] = GAP
    return mask
