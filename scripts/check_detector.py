"""Measure the response of a detector, stage by stage and whole, against closed forms, into reports/detector.md.

    python scripts/check_detector.py [--report reports/detector.md] [--repeats 3]

Statistics are those of 10^6 pixels; their deviations are in standard errors and may reach 4. Every row has a bound;
status 1 if one is missed. Times are processor times of one frame, the least of some repeats.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nanobrag_torch import random
from nanobrag_torch.detector import stages
from nanobrag_torch.detector.model import BeamStop, DetectorResponse, Sensor
from nanobrag_torch.detector.record import record
from nanobrag_torch.random import Purpose

SIZE = 1000
FRAME = (2463, 2527)
SIGMAS = 4.0
COUNTER = DetectorResponse(
    flicker=0.02, calibration=0.03, sharing=0.2, dead_time_ns=150.0, exposure_s=1e-3, gain=1.3, readout=2.0, adc=11.0
)
PHOSPHOR = DetectorResponse(calibration=0.03, spread="gauss", width=1.5, gain=1.7, readout=3.0, adc=40.0, bits=16)
Row = tuple[str, str, float, float]
Array = np.ndarray


def flat(mean: float, size: int = SIZE) -> Array:
    return np.full((size, size), float(mean))


def moments(name: str, values: Array, mean: float, variance: float, against: str) -> list[Row]:
    """Rows of mean and variance, in standard errors: that of the variance by the measured fourth moment."""
    values = np.asarray(values, dtype=np.float64).ravel()
    centred = values - values.mean()
    found = float((centred**2).mean())
    error = math.sqrt(float((centred**4).mean() - found**2) / values.size)
    return [
        (
            f"{name}: mean {mean:.6g}",
            against,
            abs(float(values.mean()) - mean) / math.sqrt(found / values.size),
            SIGMAS,
        ),
        (f"{name}: variance {variance:.6g}", against, abs(found - variance) / error, SIGMAS),
    ]


def counting() -> list[Row]:
    rows: list[Row] = []
    for mean in (0.03, 3.0, 40.0, 2000.0):
        counts = record(flat(mean), DetectorResponse()).counts
        rows += moments("counting", counts, mean, mean, "Poisson")
    read = DetectorResponse(gain=2.5, adc=100.0, readout=7.0)
    rows += moments("read-out", record(flat(50), read).counts, 225, 2.5**2 * 50 + 49 + 1 / 12, "g² m + σ² + 1/12")
    return rows


def fixed_and_common() -> list[Row]:
    """What belongs to the detector, and what belongs to the beam."""
    model = DetectorResponse(calibration=0.05)
    first, second = (record(flat(1000), model, frame).counts.astype(float).ravel() for frame in (0, 1))
    rows = moments("calibration", first, 1000, 1000 + 50.0**2, "m + σ² m²")
    r = 2500 / 3500
    found = float(np.corrcoef(first, second)[0, 1])
    error = (1 - r * r) / SIZE
    rows.append(
        (f"calibration: correlation of two frames {r:.4f}", "σ² m / (1 + σ² m)", abs(found - r) / error, SIGMAS)
    )
    patterns = [stages.expected(torch.ones(200, 200, dtype=torch.float64), model, frame) for frame in (0, 7)]
    rows.append(
        ("calibration: pattern of frames 0 and 7", "equal", float((patterns[0] - patterns[1]).abs().max()), 0.0)
    )
    beam = DetectorResponse(flicker=0.1)
    images = [stages.expected(torch.ones(3, 3, dtype=torch.float64), beam, frame) for frame in range(4000)]
    rows += moments("flicker, 4,000 frames", np.array([float(x[0, 0]) for x in images]), 1.0, 0.01, "1 and σ²")
    within = max(float(x.max() - x.min()) for x in images)
    rows.append(("flicker: differences within a frame", "common to a frame", within, 0.0))
    defective = DetectorResponse(dead=0.02, hot=0.01)
    mask = record(flat(1), defective).mask
    for what, share, name in ((stages.DEAD, 0.02, "dead"), (stages.HOT, 0.01, "hot")):
        found = abs(float((mask == what).mean()) - share) / math.sqrt(share * (1 - share) / mask.size)
        rows.append((f"defects: fraction of {name} pixels {share}", "binomial", found, SIGMAS))
    return rows


def sharing() -> list[Row]:
    p, mean = 0.3, 5.0
    level = mean * (1 + p)
    counts = record(flat(mean, 2 * SIZE + 2), DetectorResponse(sharing=p)).counts.astype(float)
    rows = moments("charge sharing", counts[1:-1:2, 1:-1:2], level, level, "m (1 + p)")
    centred = counts - level
    here = centred[1:-1, 1:-1]
    for name, other, law in (
        ("beside", centred[1:-1, 2:], mean * p / 4),
        ("below", centred[2:, 1:-1], mean * p / 4),
        ("at the corner", centred[2:, 2:], 0.0),
    ):
        products = (here * other)[::3, ::3]  # products that have no pixel and no neighbours in common
        error = products.std() / math.sqrt(products.size)
        law = 2 * law
        rows.append(
            (
                f"charge sharing: covariance with the pixel {name} {law:.4g}",
                "m p / 2, 0",
                float(abs(products.mean() - law) / error),
                SIGMAS,
            )
        )
    return rows


def poisson_terms(mean: float) -> tuple[Array, Array]:
    """Numbers n and their probabilities, beyond ten standard deviations on both sides."""
    reach = 10 * math.sqrt(mean) + 20
    n = np.arange(max(0, math.floor(mean - reach)), math.ceil(mean + reach))
    logs = np.array([k * math.log(mean) - mean - math.lgamma(k + 1) for k in n.tolist()])
    return n.astype(float), np.exp(logs)


def dead_time_law(model: DetectorResponse, mean: float) -> tuple[float, float]:
    """Mean and variance of the counts that are left: the renewal process, with what rounding adds to the variance."""
    x = mean * model.dead_time_ns * 1e-9 / model.exposure_s
    if model.dead_time_law == "nonparalyzable":
        kept, variance = mean / (1 + x), mean / (1 + x) ** 3
    else:
        kept = mean * math.exp(-x)
        variance = kept * (1 - 2 * x * math.exp(-x))
    n, weight = poisson_terms(mean)
    values = kept + math.sqrt(variance / mean) * (n - mean)
    part = values - np.floor(values)
    return kept, variance + float((weight * part * (1 - part)).sum())


def dead_time() -> list[Row]:
    rows: list[Row] = []
    for law in ("paralyzable", "nonparalyzable"):
        for x in (0.02, 0.3, 1.2):
            mean = 400.0
            model = DetectorResponse(dead_time_ns=1e9 * x / mean, exposure_s=1.0, dead_time_law=law)
            kept, variance = dead_time_law(model, mean)
            counts = record(flat(mean), model).counts
            rows += moments(f"dead time, {law}, n τ / T = {x}", counts, kept, variance, "renewal process, rounding")
    return rows


def law_of_spread(law: str, width: float, reach: int) -> Array:
    """The light of a point in the middle of a pixel, [2 reach + 1, 2 reach + 1], by quadrature over pixels."""
    x, w = np.polynomial.legendre.leggauss(24)
    at = (np.arange(-reach, reach + 1)[:, None] + 0.5 * x).ravel()
    squared = at[:, None] ** 2 + at[None, :] ** 2
    if law == "gauss":
        sigma = width / math.sqrt(8 * math.log(2))
        density = np.exp(-squared / (2 * sigma**2)) / (2 * math.pi * sigma**2)
    else:
        g = 0.652383013252053 * width
        density = g / (2 * math.pi) * (squared + g * g) ** -1.5
    parts = density.reshape(2 * reach + 1, len(x), 2 * reach + 1, len(x))
    return np.einsum("aibj,i,j->ab", parts, w / 2, w / 2)


def correlation(image: Array) -> Array:
    """The autocorrelation at all lags, without wrapping around."""
    shape = (2 * image.shape[0], 2 * image.shape[1])
    return np.fft.irfft2(np.abs(np.fft.rfft2(image, shape)) ** 2, shape)


def spread() -> list[Row]:
    rows: list[Row] = []
    for law in ("gauss", "fiber"):
        width, reach = 2.0, 60
        model = DetectorResponse(spread=law, width=width)
        point = np.zeros((2 * reach + 1, 2 * reach + 1))
        point[reach, reach] = 1e6
        theory = correlation(law_of_spread(law, width, reach))
        found = correlation(stages.spread(point, model))
        worst = np.abs(found[:30, :30] / found[0, 0] - theory[:30, :30] / theory[0, 0]).max()
        rows.append((f"point spread, {law}: autocorrelation of a point", "quadrature of the law", float(worst), 1e-3))
        rows += spread_noise(law, width, theory)
    return rows


def spread_noise(law: str, width: float, theory: Array) -> list[Row]:
    """The noise of a frame of light: the difference of two, in which light lost at the edges cancels."""
    model = DetectorResponse(spread=law, width=width, gain=1000.0, bits=31)
    margin, mean = 60, 1000.0
    cut = slice(margin, margin + SIZE)
    first, second = (record(flat(mean, SIZE + 2 * margin), model, i).counts[cut, cut] / 1000.0 for i in (0, 1))
    noise = (first - second) / math.sqrt(2)
    rows: list[Row] = []
    for s, f in ((0, 0), (0, 1), (1, 1), (0, 3)):
        found = float((noise[: SIZE - s, : SIZE - f] * noise[s:, f:]).mean())
        error = mean * math.sqrt(2 * float((theory**2).sum())) / SIZE
        name = f"point spread, {law}: covariance of noise at lag {s}, {f}"
        rows.append((name, "autocorrelation of the law", abs(found - mean * theory[s, f]) / error, SIGMAS))
    return rows


def before_counting() -> list[Row]:
    """Stages without chance, against formulas written out here."""
    size, pixel, distance, thickness, foot = 200, 0.2, 50.0, 450e-6, (30.0, 90.0)
    sensor = Sensor("CdTe", 450.0, 0.7, distance, pixel, *foot, parallax=False)
    ones = torch.ones(size, size, dtype=torch.float64)
    s, f = np.mgrid[:size, :size] + 0.5
    path = np.sqrt(((f - foot[0]) * pixel) ** 2 + ((s - foot[1]) * pixel) ** 2 + distance**2) / distance
    mu = stages.sensor_attenuation("CdTe", 0.7)
    worst = np.abs(stages.absorbed(ones, sensor).numpy() / (1 - np.exp(-mu * thickness * path)) - 1).max()
    rows: list[Row] = [("sensor: efficiency of 40,000 pixels", "1 − exp(−μ t / ρ)", float(worst), 1e-12)]
    sensor = replace(sensor, parallax=True)
    point = torch.zeros_like(ones)
    point[90, 150] = 1.0
    found = stages.absorbed(point, sensor).numpy()
    rho = 1 / path[90, 150]
    depth = rho / mu - thickness / math.expm1(mu * thickness / rho)
    moved = float((found * f).sum() / found.sum()) - 150.5
    law = (150.5 - foot[0]) / (distance * 1e-3) * depth
    rows.append((f"parallax: photons moved by {law:.4f} pixel", "mean depth of absorption", abs(moved / law - 1), 1e-9))
    stop = BeamStop(100.0, 100.0, 20.0, 2.0, 0.01)
    law_stop = np.vectorize(math.erf)((np.hypot(f - 100, s - 100) - 20) / (2 * math.sqrt(2)))
    worst = np.abs(stages.shadowed(ones, stop).numpy() - (0.01 + 0.99 * 0.5 * (1 + law_stop))).max()
    rows.append(("beam stop: 40,000 pixels", "T + (1 − T) Φ", float(worst), 1e-14))
    return rows


def chain_of_counter() -> list[Row]:
    """All stages of a photon counter; four frames, of which pixels that have no neighbour in common are taken."""
    m, p = 900.0, COUNTER.sharing
    values = []
    for frame in range(4):
        beam = float(
            stages.expected(torch.ones(1, 1, dtype=torch.float64), DetectorResponse(flicker=0.02), frame)[0, 0]
        )
        counts = record(flat(m), COUNTER, frame).counts[1:-1:2, 1:-1:2]
        level = m * beam * (1 + p)
        sd = m * beam * COUNTER.calibration * math.sqrt(1 + p * p / 4)  # its own factor, and those of four neighbours
        nodes, weights = np.polynomial.hermite_e.hermegauss(9)
        weights = weights / weights.sum()
        laws = [dead_time_law(COUNTER, level + sd * node) for node in nodes.tolist()]
        kept = sum(w * law[0] for w, law in zip(weights.tolist(), laws, strict=True))
        variance = sum(w * (law[1] + (law[0] - kept) ** 2) for w, law in zip(weights.tolist(), laws, strict=True))
        mean, spread_of = 1.3 * kept + 11.0, math.sqrt(1.3**2 * variance + 4.0 + 1 / 12)
        values.append((counts - mean) / spread_of)
    return moments(
        "whole chain of a photon counter, four frames, standardised", np.concatenate(values), 0.0, 1.0, "all laws"
    )


def chain_of_phosphor() -> list[Row]:
    m, margin, reach = 200.0, 20, 20
    model = PHOSPHOR
    counts = record(flat(m, SIZE + 2 * margin), model).counts[margin:-margin, margin:-margin].astype(float)
    theory = (
        correlation(law_of_spread("gauss", model.width, reach)) * model.gain**2 * (m + (model.calibration * m) ** 2)
    )
    white = model.readout**2 + 1 / 12
    covariances = theory.copy()
    covariances[0, 0] += white
    variance = float(covariances[0, 0])
    mean = model.gain * m + model.adc
    error_of_mean = math.sqrt(float(covariances.sum())) / SIZE
    error = math.sqrt(2 * float((covariances**2).sum())) / SIZE
    name = "whole chain of a phosphor"
    return [
        (f"{name}: mean {mean:.6g}", "all laws", float(abs(counts.mean() - mean) / error_of_mean), SIGMAS),
        (f"{name}: variance {variance:.6g}", "all laws", float(abs(counts.var() - variance) / error), SIGMAS),
    ]


def whatever_is_asked() -> list[Row]:
    """Pixels that differ between one way to draw a frame and another."""
    photons = np.random.default_rng(1).gamma(2.0, 30.0, (210, 300))
    rows: list[Row] = []
    sensor = Sensor("Si", 320.0, 1.0, 100.0, 0.172, 150.0, 100.0)
    for name, model in (("photon counter", replace(COUNTER, sensor=sensor, dead=0.01)), ("phosphor", PHOSPHOR)):
        whole = record(photons, model, 5).counts
        edges = (0, 1, 63, 64, 130, 210)
        parts = [record(photons, model, 5, rows_).counts for rows_ in zip(edges[:-1], edges[1:], strict=True)]
        rows.append(
            (f"{name}: five bands of rows", "the whole frame", float((np.concatenate(parts) != whole).sum()), 0.0)
        )
        before = torch.get_num_threads()
        for threads in (1, 2):
            torch.set_num_threads(threads)
            other = record(photons, model, 5).counts
            rows.append((f"{name}: {threads} threads of torch", "the whole frame", float((other != whole).sum()), 0.0))
        torch.set_num_threads(before)
    drawn = [random.poisson(photons, 3, 5, Purpose.PHOTONS, threads=threads) for threads in (1, 2)]
    rows.append(("counting: two threads", "one", float((drawn[0] != drawn[1]).sum()), 0.0))
    cut = [random.poisson(photons[i, 70:190], 3, 5, Purpose.PHOTONS, first=i * 300 + 70) for i in range(20, 90)]
    rows.append(
        ("counting: a region", "the cut of the frame", float((np.stack(cut) != drawn[0][20:90, 70:190]).sum()), 0.0)
    )
    plain = random.poisson_in_numpy(photons.ravel(), 3, 5, Purpose.PHOTONS).reshape(photons.shape)
    rows.append(("counting: NumPy", "the C library", float((plain != drawn[0]).sum()), 0.0))
    lots = random.uniforms(3, 5, Purpose.DEFECTS, np.arange(1000, 3000))[0]
    found = random.uniform(2000, 3, 5, Purpose.DEFECTS, first=1000)
    rows.append(("uniform deviates: NumPy", "the C library", float((lots != found).sum()), 0.0))
    return rows


def seconds(work: Callable[[], object], repeats: int) -> float:
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def times(repeats: int) -> list[str]:
    shape = FRAME[::-1]
    shape_of = np.random.default_rng(1).gamma(2.0, 0.5, shape)
    sensor = Sensor(beam_f=1231.5, beam_s=1263.5)
    cases = (
        ("counting", DetectorResponse()),
        ("counting, charge sharing", DetectorResponse(sharing=0.2)),
        ("counting, dead time", DetectorResponse(dead_time_ns=125.0)),
        ("counting, dead and hot pixels", DetectorResponse(dead=1e-3, hot=1e-3)),
        ("counting, Gaussian point spread", DetectorResponse(spread="gauss", width=1.5)),
        ("a photon counter, all stages", replace(COUNTER, sensor=replace(sensor, parallax=False), dead=1e-3)),
        ("a phosphor, fibre-optic taper", replace(PHOSPHOR, spread="fiber")),
    )
    lines = [f"| a frame of {FRAME[0]} x {FRAME[1]} pixels | 1 photon a pixel | 60 |", "|---|---|---|"]
    for name, model in cases:
        found = [
            seconds(lambda mean=mean, model=model: record(shape_of * mean, model), repeats) for mean in (1.0, 60.0)
        ]
        lines.append(f"| {name} | {found[0]:.2f} | {found[1]:.2f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path, default=Path("reports/detector.md"))
    parser.add_argument("--repeats", type=int, default=3)
    said = parser.parse_args()
    rows: list[Row] = []
    for check in (
        before_counting, counting, fixed_and_common, sharing, dead_time, spread, chain_of_counter, chain_of_phosphor,
        whatever_is_asked,
    ):  # fmt: skip
        rows += check()
        print(check.__name__, *(f"\n  {row[0]}: {row[2]:.3g} (bound {row[3]:g})" for row in rows[-3:]), flush=True)
    lines = ["# The response of a detector", "", "Made by `scripts/check_detector.py`.", ""]
    lines += ["Means, variances, covariances and fractions: deviations in standard errors.", ""]
    lines += ["| what | against | found | bound |", "|---|---|---|---|"]
    lines += [f"| {what} | {against} | {found:.3g} | {bound:g} |" for what, against, found, bound in rows]
    lines += ["", "## Processor seconds, all threads together, without parallax", "", *times(said.repeats)]
    said.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    missed = [row[0] for row in rows if not row[2] <= row[3]]
    for what in missed:
        print(f"missed: {what}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
