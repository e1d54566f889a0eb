"""Detector stages held to closed forms and to photons counted one by one; the chain held to measured frames.

Writes reports/detector.md. The measured frames are those of examples/l_cysteine (CC-BY 4.0, see its README).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nanobrag_torch import random
from nanobrag_torch.detector import stages
from nanobrag_torch.detector.model import BeamStop, DetectorResponse, Sensor
from nanobrag_torch.detector.presets import gaps_of, preset
from nanobrag_torch.detector.record import record
from nanobrag_torch.materials.sensors import sensor_attenuation

ROOT = Path(__file__).parents[1]
SIZE = 1000
"""Pixels along a side of most frames: a million in all."""
SIX_MEGAPIXELS = (2527, 2463)
LIMIT = 4.0
"""Standard errors by which a figure may differ from its closed form."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """A figure: what it is, what it should be, what it is, and its standard error."""

    stage: str
    what: str
    expected: float
    found: float
    error: float

    @property
    def away(self) -> float:
        """Difference in standard errors."""
        return abs(self.found - self.expected) / self.error

    def line(self) -> str:
        return f"| {self.stage} | {self.what} | {self.expected:.6g} | {self.found:.6g} | {self.away:.2f} |"


def moments(stage: str, values: Array, mean: float, variance: float, spare: float = 0.0) -> list[Row]:
    """Mean and variance of independent values against their closed forms; `spare`: known bound of a bias."""
    flat = values.astype(np.float64).ravel()
    away = flat - flat.mean()
    second, fourth = float((away**2).mean()), float((away**4).mean())
    error = np.sqrt(max(fourth - second**2, 0.0) / len(flat)) + spare / LIMIT
    return [
        Row(stage, "mean", mean, float(flat.mean()), float(np.sqrt(second / len(flat)))),
        Row(stage, "variance", variance, second, float(error)),
    ]


def flat(mean: float, size: int = SIZE) -> Array:
    return np.full((size, size), mean)


def expected(photons: Array, model: DetectorResponse) -> Array:
    """What is counted on the average."""
    return np.asarray(stages.expected(torch.from_numpy(photons), model).numpy())


def counting() -> Iterator[Row]:
    for mean in (0.02, 0.7, 9.0, 150.0):
        yield from moments(f"counting, {mean:g} photons", record(flat(mean), DetectorResponse()).counts, mean, mean)


def read_out() -> Iterator[Row]:
    model = DetectorResponse(gain=1.7, adc=40.0, readout=3.0, bits=16)
    values = record(flat(20.0), model).counts
    yield from moments("gain, read-out, rounding", values, 1.7 * 20 + 40.0, 1.7**2 * 20 + 9.0 + 1 / 12)


def factors() -> Iterator[Row]:
    """Flicker common to a frame, calibration fixed in it."""
    frames, mean, sigma = 4000, 1e8, 0.05
    model = DetectorResponse(flicker=sigma, bits=31)
    means = np.array([record(np.full((2, 2), mean), model, frame).counts / mean for frame in range(frames)])
    whole = means.mean(axis=(1, 2))
    yield Row("flicker", "rms over frames", sigma, float(whole.std()), sigma / np.sqrt(2 * frames))
    inside = means - whole[:, None, None]
    scatter = 1.0 / np.sqrt(mean) * np.sqrt(3.0 / 4.0)
    yield Row("flicker", "rms inside a frame", scatter, float(inside.std()), scatter / np.sqrt(8.0 * frames))
    level = 1e4
    fixed = DetectorResponse(calibration=0.03)
    one, other = (record(flat(level), fixed, frame).counts.astype(float) for frame in (0, 1))
    signal = (0.03 * level) ** 2
    shared = signal / (signal + level)
    found = float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    yield Row("calibration", "correlation of two frames", shared, found, (1 - shared**2) / SIZE)
    yield from moments("calibration", one, level, level + signal)


def sharing() -> Iterator[Row]:
    p, mean = 0.3, 5.0
    counts = record(flat(mean), DetectorResponse(sharing=p)).counts.astype(float)
    yield from moments("charge sharing", counts[1:-1:2, 1:-1:2], mean * (1 + p), mean * (1 + p))
    away = counts - mean * (1 + p)
    products = away[1:-1:2, 1:-2:3] * away[1:-1:2, 2:-1:3]
    error = float(products.std() / np.sqrt(products.size))
    yield Row("charge sharing", "covariance of neighbours", 0.5 * mean * p, float(products.mean()), error)


def arrivals(law: str, x: float, mean: int, pixels: int) -> Array:
    """Counts of photons at random times, one by one, with a dead time of x / mean of the exposure."""
    rng, found = np.random.default_rng(5), []
    dead = x / mean
    for _ in range(pixels // 2000):
        gaps = rng.exponential(1.0 / mean, (2000, int(mean + 12 * np.sqrt(mean)) + 20))
        times = np.cumsum(gaps, axis=1)
        if law == "paralyzable":
            alive = gaps > dead
            alive[:, 0] = True
        else:
            alive, free = np.zeros(gaps.shape, dtype=bool), np.zeros(len(gaps))
            for i in range(gaps.shape[1]):
                alive[:, i] = times[:, i] >= free
                free = np.where(alive[:, i], times[:, i] + dead, free)
        found.append((alive & (times < 1.0)).sum(axis=1))
    return np.concatenate(found).astype(np.float64)


def dead_time() -> Iterator[Row]:
    mean, pixels = 2000, 20000
    for law in ("paralyzable", "nonparalyzable"):
        for x in (0.05, 0.4):
            brute = arrivals(law, x, mean, pixels)
            model = DetectorResponse(dead_time_ns=1e9 * x / mean, dead_time_law=law)
            counts = record(flat(float(mean), 500), model).counts.astype(float)
            stage = f"dead time, {law}, x = {x:g}"
            error = np.hypot(brute.std() / np.sqrt(pixels), counts.std() / 500)
            # The exposure begins with a free counter, which is worth up to x counts.
            yield Row(stage, "mean (photon by photon)", brute.mean(), counts.mean(), float(error + x / LIMIT))
            spread = brute.var() * np.sqrt(2.0 / pixels) + counts.var() * np.sqrt(2.0) / 500
            yield Row(stage, "variance (photon by photon)", brute.var(), counts.var(), float(spread + 0.25 / LIMIT))


def sensor() -> Iterator[Row]:
    """Efficiency along the axis and at an angle, and the mean path sideways of an oblique ray."""
    layer = Sensor("CdTe", 100.0, 0.5, 40.0, 0.1, 0.0, 0.5, parallax=False)
    mu, size = sensor_attenuation("CdTe", 0.5), 401
    means = expected(flat(1.0, size), DetectorResponse(sensor=layer))
    for column in (0, 400):
        tangent = (column + 0.5) * 0.1 / 40.0
        slant = np.sqrt(1.0 + tangent**2)
        wanted = -np.expm1(-mu * 1e-4 * slant)
        yield Row("sensor", f"efficiency at tan = {tangent:.2f}", wanted, float(means[0, column]), 1e-9)
    point = np.zeros((21, size))
    point[10, 350] = 1.0
    layer = replace(layer, beam_s=10.5, parallax=True)
    moved = expected(point, DetectorResponse(sensor=layer))
    tangent = 350.5 * 0.1 / 40.0
    steep = mu * np.sqrt(1.0 + tangent**2)
    depth = 1.0 / steep - 1e-4 / np.expm1(steep * 1e-4)
    centre = float((moved.sum(axis=0) * np.arange(size)).sum() / moved.sum()) - 350.0
    yield Row("parallax", "mean shift at 41 degrees, pixels", depth * tangent / 1e-4, centre, 1e-6)


def stop() -> Iterator[Row]:
    means = expected(flat(1.0, 101), DetectorResponse(stop=BeamStop(50.5, 50.5, 20.0, 3.0, 0.01)))
    for column, wanted in ((50, 0.01), (70, 0.505), (100, 1.0)):
        yield Row("beam stop", f"transmission {column - 50} pixels from its middle", wanted, means[50, column], 1e-6)


def law_of(name: str, width: float, size: int) -> Array:
    """Closed form of a point spread over square pixels, [2 size + 1, 2 size + 1]."""
    edges = np.arange(-size, size + 2) - 0.5
    if name == "gauss":
        from math import erf

        sigma = width / (2.0 * np.sqrt(2.0 * np.log(2.0)))
        part = np.diff([0.5 * erf(float(e) / (sigma * np.sqrt(2.0))) for e in edges])
        return np.asarray(np.outer(part, part))
    g = 0.5 * width / np.sqrt(2.0 ** (2.0 / 3.0) - 1.0)
    y, x = edges[:, None], edges[None, :]
    corner = np.arctan(x * y / (g * np.sqrt(g * g + x * x + y * y))) / (2.0 * np.pi)
    return np.asarray(np.diff(np.diff(corner, axis=0), axis=1))


def point_spread() -> Iterator[Row]:
    """Autocorrelation of flat frames; frames are subtracted, so that the light lost at edges cancels."""
    frames, lags = 24, ((0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (2, 3))
    for name in ("gauss", "fiber"):
        model = DetectorResponse(spread=name, width=2.0, gain=1000.0, bits=31)
        total = np.zeros((SIZE, SIZE))
        for frame in range(0, frames, 2):
            one, other = (record(flat(1000.0), model, frame + i).counts / 1000.0 for i in (0, 1))
            total += np.abs(np.fft.fft2((one - other) / np.sqrt(2.0))) ** 2
        measured = np.fft.ifft2(total).real
        measured /= measured[0, 0]
        kernel = law_of(name, 2.0, 250)
        size = 2 * len(kernel)
        theory = np.fft.irfft2(np.abs(np.fft.rfft2(kernel, (size, size))) ** 2, (size, size))
        theory /= theory[0, 0]
        for lag in lags:
            yield Row(f"point spread, {name}", f"autocorrelation at {lag}", theory[lag], measured[lag], 1e-3 / LIMIT)


def chain() -> Iterator[Row]:
    """Everything that a photon counter, and a phosphor before a CCD, has."""
    mean, eff = 40.0, 1.0 - np.exp(-sensor_attenuation("Si", 1.0) * 320e-6)
    far = Sensor("Si", 320.0, 1.0, 1e5, 0.172, 500.0, 500.0)
    counter = DetectorResponse(far, calibration=0.02, gain=1.0, bits=20, seed=4, calibration_seed=9)
    level = mean * eff
    yield from moments(
        "chain of a photon counter", record(flat(mean), counter).counts, level, level + (0.02 * level) ** 2
    )
    ccd = DetectorResponse(calibration=0.03, gain=1.7, adc=40.0, readout=3.0, bits=16, spread="fiber", width=0.5)
    values = record(flat(mean, 1400), ccd).counts[200:-200, 200:-200]
    kernel = law_of("fiber", 0.5, 700)
    kept = float((kernel**2).sum())
    variance = 1.7**2 * (mean + (0.03 * mean) ** 2) * kept + 9.0 + 1 / 12
    edge = float(1.0 - kernel.sum())
    rows = moments("chain of a phosphor and a CCD", values, 1.7 * mean + 40.0, variance)
    # Neighbours are correlated, and a little light has left the frame.
    yield replace(rows[0], error=rows[0].error / np.sqrt(kept) + 1.7 * mean * 2 * edge)
    yield replace(rows[1], error=rows[1].error / np.sqrt(kept) + variance * 2 * edge)


STAGES: tuple[Callable[[], Iterator[Row]], ...] = (
    counting, read_out, factors, sharing, dead_time, sensor, stop, point_spread, chain,
)  # fmt: skip


def everything(shape: tuple[int, int]) -> DetectorResponse:
    """A photon counter with every stage that it can have."""
    found = preset("pilatus")
    assert found.modules is not None
    slow, fast = shape
    layer = Sensor("Si", 320.0, 1.0, 200.0, 0.172, fast / 2, slow / 2)
    return replace(
        found.response, sensor=layer, stop=BeamStop(fast / 2, slow / 2, 30.0), flicker=0.01, calibration=0.02,
        sharing=0.05, readout=0.1, dead=1e-4, hot=1e-4, gaps=gaps_of(found.modules, (fast, slow)),
    )  # fmt: skip


def sameness() -> list[str]:
    """Whether threads and rows leave the counts as they are."""
    rng = np.random.default_rng(2)
    photons, model = rng.gamma(0.5, 20.0, (300, 257)), everything((300, 257))
    whole = record(photons, model, 3)
    parts = [record(photons, model, 3, rows).counts for rows in ((0, 1), (1, 64), (64, 299), (299, 300))]
    same = bool((np.concatenate(parts) == whole.counts).all())
    words = [random.poisson(photons, 7, 1, 1, threads=n) for n in (1, 2, 5)]
    threads = all(bool((one == words[0]).all()) for one in words)
    return [
        f"- rows recorded in four pieces are those of the whole frame: {'yes' if same else 'NO'}",
        f"- Poisson deviates of 1, 2 and 5 threads are the same: {'yes' if threads else 'NO'}",
    ]


def pace() -> list[str]:
    """Time for a frame of six megapixels, two threads, median of five."""
    photons = np.full(SIX_MEGAPIXELS, 3.0)
    photons[::50, ::50] = 5000.0
    counting_only, whole = DetectorResponse(), everything(SIX_MEGAPIXELS)
    lines = ["| what | s |", "|---|---|"]

    def median(work: Callable[[], object]) -> float:
        taken = []
        for _ in range(5):
            begin = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begin)
        return float(np.median(taken))

    noise = median(lambda: random.poisson(photons, 1, 0, 1, threads=2))
    normal = median(lambda: random.normal(photons.size, 1, 0, 2, threads=2))
    for what, seconds in (
        ("Poisson deviates (wanted: 0.3)", noise),
        ("normal deviates", normal),
        ("`record`, counting alone", median(lambda: record(photons, counting_only))),
        ("`record`, every stage of a photon counter", median(lambda: record(photons, whole))),
    ):
        lines.append(f"| {what} | {seconds:.2f} |")
    return lines


def measured_frames(folder: Path) -> list[str]:
    """Background histogram and widths of spots of a refined model, recorded, beside the measured ones."""
    from nanobrag_torch.refine.asked import Job
    from nanobrag_torch.refine.job import run
    from nanobrag_torch.refine.starting import CrystalStart

    names = (str(folder / name) for name in ("sweep_01.expt", "sweep_01.refl", "amplitudes.mtz"))
    result = run(Job(*names, column="F", model=CrystalStart(domains=20, phi_steps=3)))
    shot, pixels, spots = result.gathered[0].shot, result.pixels[0], result.spots[0]
    assert shot.core is not None
    seen = shot.observation.values.numpy()
    means = pixels.spots + pixels.behind
    outer = ~shot.core.numpy()
    recorded = record(means[None, :], replace(preset("pilatus").response, sensor=None, dead_time_ns=0.0)).counts[0]
    chi, freedom, compared = histogram(seen[outer], means[outer])
    parameters = 3 * shot.regions * outer.sum() / len(outer)
    bright = spots.bright() & ~spots.cut & (spots.observed > 1000)
    widths = [
        _widths(values - pixels.behind, result.gathered[0].rows[shot.labels.numpy()], shot, spots.rows[bright])
        for values in (seen, recorded)
        if shot.labels is not None
    ]
    ratio = widths[1] / widths[0]
    return [
        "Refined by `nanobrag_torch.refine` (orientation, cell, blocks, mosaic spread, scale, detector), recorded by",
        "the response `pilatus`, and held to the pixels that were measured.",
        "",
        f"- background: {outer.sum()} pixels, a mean of {seen[outer].mean():.3f} photons measured, "
        f"{recorded[outer].mean():.3f} recorded;",
        f"  variance {seen[outer].var():.3f} and {recorded[outer].var():.3f}",
        f"- histogram of counts up to {compared - 1}, against the sum of Poisson distributions of the model:",
        f"  χ² = {chi:.1f} for {freedom} degrees of freedom (the background of each spot was fitted to the same",
        f"  pixels: {parameters:.0f} numbers)",
        f"- widths (root mean square, pixels) of {bright.sum()} bright spots, recorded over measured: medians",
        f"  {np.median(ratio[:, 0]):.3f} along fast, {np.median(ratio[:, 1]):.3f} along slow",
    ]


def histogram(seen: Array, means: Array) -> tuple[float, int, int]:
    """χ² of counts against Poisson mixtures, its degrees of freedom, and the number of bins."""
    shares, left = [], float(len(means))
    while left > 50.0 and len(shares) < 60:
        k = torch.tensor(float(len(shares)), dtype=torch.float64)
        mean = torch.from_numpy(means)
        shares.append(float(torch.exp(torch.xlogy(k, mean) - mean - torch.lgamma(k + 1.0)).sum()))
        left -= shares[-1]
    wanted, bins = np.array([*shares, max(left, 1e-9)]), len(shares) + 1
    found = np.bincount(np.minimum(np.rint(seen).astype(int), bins - 1), minlength=bins)
    return float(((found - wanted) ** 2 / wanted).sum()), bins - 1, bins


def _widths(net: Array, reflection: NDArray[np.int64], shot: object, rows: NDArray[np.int64]) -> Array:
    """Root mean square widths [n, 2] along fast and slow of reflections, over their cores."""
    core, pixels = shot.core.numpy(), shot.observation.pixels.numpy()  # type: ignore[attr-defined]
    found = []
    for row in rows:
        own = core & (reflection == row)
        weight, where = net[own], pixels[own][:, [2, 1]].astype(float)
        middle = (weight[:, None] * where).sum(0) / weight.sum()
        found.append(np.sqrt(np.maximum((weight[:, None] * (where - middle) ** 2).sum(0) / weight.sum(), 1e-12)))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "examples/l_cysteine")
    parser.add_argument("--out", type=Path, default=ROOT / "reports/detector.md")
    given = parser.parse_args()
    rows = [row for stage in STAGES for row in stage()]
    wrong = [row for row in rows if not row.away <= LIMIT]
    lines = [
        "# Stages of a detector",
        "",
        "Made by `scripts/check_detector.py`. Frames of a million pixels unless the table says otherwise; differences",
        f"in standard errors of the figure (limit {LIMIT:g}), for closed forms without noise in units of 1e-9 to 1e-6,",
        f"for the autocorrelation in units of {1e-3 / LIMIT:g}. {len(rows) - len(wrong)} of {len(rows)} figures agree.",
        "",
        "| stage | figure | expected | found | difference |",
        "|---|---|---|---|---|",
        *(row.line() for row in rows),
        "",
        "## The same whatever computes it",
        "",
        *sameness(),
        "",
        "## Six megapixels, two threads",
        "",
        *pace(),
        "",
        "## On measured frames",
        "",
        *measured_frames(given.data),
    ]
    print("\n".join(lines))
    given.out.write_text("\n".join(lines) + "\n")
    if wrong:
        raise SystemExit(f"{len(wrong)} figures differ by more than {LIMIT:g} standard errors")


if __name__ == "__main__":
    main()
