"""Measured frames beside the same frames drawn and recorded, into reports/detector_real.md.

    python scripts/detector_real.py [--data examples/l_cysteine] [--report reports/detector_real.md]

15 PILATUS frames of L-cysteine (CC-BY 4.0; B. Williams, R. Gildea, G. Winter, 2019, https://zenodo.org/record/51405).
The background is the smooth mean of every other frame, its charge sharing is fitted to neighbours, and the frames that
were left out are held to it; spots are those of a refined crystal. Status 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.detector.model import DetectorResponse
from nanobrag_torch.detector.record import record
from nanobrag_torch.io.cbf import read_cbf
from nanobrag_torch.refine.asked import Job
from nanobrag_torch.refine.gather import Gathered
from nanobrag_torch.refine.job import run
from nanobrag_torch.refine.measures import Spots, explained, spots_of

ROOT = Path(__file__).parents[1]
WINDOW = 31
BRIGHT = 4
"""Counts that no background has; what is nearer than `MARGIN` pixels is left out."""
MARGIN = 6
PILATUS = DetectorResponse(dead_time_ns=125.0, exposure_s=0.1, bits=20)
CHI_SQUARE_999 = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52}
"""Values that one measurement of a thousand exceeds, by degrees of freedom."""
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def measured(folder: Path) -> NDArray[np.int32]:
    """Counts [image, slow, fast]; below 0 where no pixel works."""
    return np.stack([read_cbf(path)[0] for path in sorted(folder.glob("l-cyst_01_*.cbf.gz"))])


def background_of(frames: NDArray[np.int32]) -> Mask:
    """Pixels [slow, fast] that work and are away from spots on all frames."""
    near = (frames >= BRIGHT).any(axis=0)
    for _ in range(MARGIN):
        p = np.pad(near, 1)
        near = near | p[:-2, 1:-1] | p[2:, 1:-1] | p[1:-1, :-2] | p[1:-1, 2:]
    found: Mask = (frames >= 0).all(axis=0) & ~near
    return found


def smooth(values: Array, use: Mask) -> Array:
    """Means [slow, fast] over squares of `WINDOW` pixels, of those that may be used."""

    def sums(image: Array) -> Array:
        half = WINDOW // 2
        total = np.pad(np.pad(image, half).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        return total[WINDOW:, WINDOW:] - total[:-WINDOW, WINDOW:] - total[WINDOW:, :-WINDOW] + total[:-WINDOW, :-WINDOW]

    number = sums(use.astype(float))
    return np.divide(sums(np.where(use, values, 0.0)), number, out=np.zeros(values.shape), where=number > 0.5)


def covariance(images: Array, use: Mask, lag: tuple[int, int]) -> tuple[float, float]:
    """Covariance of pixels and those `lag` (slow, fast) away, of differences of frames, and its standard error."""
    s, f = lag
    both = use[: use.shape[0] - s, : use.shape[1] - f] & use[s:, f:]
    products = [
        (d[: d.shape[0] - s, : d.shape[1] - f] * d[s:, f:])[both] for d in (images[1::2] - images[:-1:2]) / 2**0.5
    ]
    means = np.array([p.mean() for p in products])
    error = math.sqrt(sum(p.var() / p.size for p in products)) / len(products)
    return float(means.mean()), error


def noise(frames: NDArray[np.int32], use: Mask) -> tuple[list[str], float, list[str]]:
    """Rows about neighbours, the charge sharing that they tell, and what was missed."""
    images = frames[1:].astype(float)  # the first frame has fewer photons than the others
    rows, found = [], {}
    for lag in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0)):
        found[lag] = covariance(images, use, lag)
        rows.append(f"| {lag[0]}, {lag[1]} | {found[lag][0]:.3e} | {found[lag][1]:.1e} |")
    variance, beside = found[0, 0][0], 0.5 * (found[0, 1][0] + found[1, 0][0])
    ratio = beside / variance  # p / 2 / (1 + p)
    sharing = max(0.0, 2 * ratio / (1 - 2 * ratio))
    mean = float(images[:14, use].mean())
    away = (variance - mean) / found[0, 0][1]
    rows += [
        "",
        f"Mean {mean:.5f}; the variance differs by {away:+.1f} standard errors. Charge sharing: {sharing:.4f}.",
    ]
    missed = [f"covariance at {lag}" for lag in ((1, 1), (0, 2), (2, 0)) if abs(found[lag][0]) > 4 * found[lag][1]]
    return rows, sharing, missed + (["variance of the background"] if abs(away) > 4 else [])


def chi_square(seen: Array, drawn: Array) -> tuple[float, int]:
    """Of two histograms of different size and equal means, and its degrees of freedom."""
    a, b = seen.sum(), drawn.sum()
    used = seen + drawn > 0
    value = ((seen * math.sqrt(b / a) - drawn * math.sqrt(a / b)) ** 2)[used] / (seen + drawn)[used]
    return float(value.sum()), int(used.sum()) - 2


def histograms(frames: NDArray[np.int32], use: Mask, response: DetectorResponse) -> tuple[list[str], list[str]]:
    """Frames 3, 5, ... beside frames recorded of the smooth mean of frames 2, 4, ...; and what was missed."""
    fitted, left_out = frames[1::2], frames[2::2]
    level = smooth(fitted.astype(float).mean(axis=0), use)
    level *= left_out[:, use].mean() / level[use].mean()
    mean_photons = level / (1 + response.sharing)
    drawn = np.stack([record(mean_photons, response, i).counts for i in range(2 * len(left_out))])
    lines, missed = [], []
    sums = drawn.reshape(2, len(left_out), *use.shape).sum(axis=1)
    for name, one, two, last in (
        ("a frame", left_out[:, use], drawn[:, use], 3),
        (f"the sum of {len(left_out)} frames", left_out.sum(axis=0)[use], sums[:, use], 5),
    ):
        a, b = (np.bincount(np.minimum(x, last).ravel(), minlength=last + 1).astype(float) for x in (one, two))
        value, freedom = chi_square(a, b)
        share = b * a.sum() / b.sum()
        lines += ["", f"Counts of {name}:", "", "| count | measured | recorded |", "|---|---|---|"]
        lines += [f"| {n}{' or more' if n == last else ''} | {a[n]:.0f} | {share[n]:.0f} |" for n in range(last + 1)]
        bound = CHI_SQUARE_999[freedom]
        lines += [
            "",
            f"χ² = {value:.2f} of {freedom} degrees of freedom (bound {bound}, one of a thousand exceeds it).",
        ]
        missed += [f"histogram of {name}"] if value > bound else []
    return lines, missed


def widths(gathered: Gathered, net: Array) -> Array:
    """Root of the second moments (pixels) of spots along fast and slow, [reflections, 2], over their cores."""
    shot = gathered.shot
    assert shot.labels is not None
    assert shot.core is not None
    core = shot.core.numpy()
    own = gathered.rows[shot.labels.numpy()][core]
    count = len(gathered.table)
    total = np.bincount(own, net[core], count)
    found = np.full((count, 2), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        for axis, column in enumerate((2, 1)):
            x = shot.observation.pixels.numpy()[core, column]
            middle = np.bincount(own, net[core] * x, count) / total
            found[:, axis] = np.sqrt(np.bincount(own, net[core] * (x - middle[own]) ** 2, count) / total)
    return found


def recorded(gathered: Gathered, photons: Array, shape: tuple[int, int], response: DetectorResponse) -> Array:
    """What a detector stores of the expected photons [P] of a shot's pixels, image by image."""
    pixels = gathered.shot.observation.pixels.numpy()
    images = np.zeros(len(pixels), int) if gathered.shot.images is None else gathered.shot.images.numpy()
    found = np.zeros(len(pixels))
    for image in range(int(images.max()) + 1):
        own = images == image
        frame = np.zeros(shape)
        frame[pixels[own, 1], pixels[own, 2]] = np.maximum(photons[own], 0.0)
        found[own] = record(frame, response, image).counts[pixels[own, 1], pixels[own, 2]]
    return found


def spots(folder: Path, shape: tuple[int, int], response: DetectorResponse) -> tuple[list[str], list[str]]:
    """Widths of measured spots beside those of a refined crystal, recorded; and what was missed."""
    names = [str(folder / name) for name in ("sweep_01.expt", "sweep_01.refl", "amplitudes.mtz")]
    result = run(Job(*names, column="F"))
    (gathered,), (shot,) = result.gathered, result.refined.shots
    model = explained(gathered, shot.experiment, result.job.noise)
    table: Spots = spots_of(gathered, model, result.job.noise)
    seen = gathered.shot.observation.values.numpy() - model.behind
    drawn = recorded(gathered, (model.spots + model.behind) / (1 + response.sharing), shape, response) - model.behind
    good = table.rows[table.bright() & ~table.cut]
    one, two = widths(gathered, seen)[good], widths(gathered, drawn)[good]
    lines, missed = (
        ["", "| | measured, median | recorded, median | ratio, median | quartiles |", "|---|---|---|---|---|"],
        [],
    )
    for axis, name in enumerate(("fast", "slow")):
        ratio = two[:, axis] / one[:, axis]
        low, middle, high = np.nanpercentile(ratio, (25, 50, 75))
        a, b = np.nanmedian(one[:, axis]), np.nanmedian(two[:, axis])
        lines.append(f"| {name} (pixel) | {a:.3f} | {b:.3f} | {middle:.3f} | {low:.3f} to {high:.3f} |")
        missed += [f"widths along {name}"] if abs(middle - 1) > 0.1 else []
    return [f"{len(good)} spots of more than 100 photons, fully recorded.", *lines], missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT / "examples/l_cysteine")
    parser.add_argument("--report", type=Path, default=ROOT / "reports/detector_real.md")
    said = parser.parse_args()
    frames = measured(said.data)
    use = background_of(frames)
    rows, sharing, missed = noise(frames, use)
    print(*rows, sep="\n", flush=True)
    response = replace(PILATUS, sharing=sharing)
    counts, more = histograms(frames, use, response)
    print(*counts, sep="\n", flush=True)
    shapes, most = spots(said.data, frames.shape[1:], response)
    print(*shapes, sep="\n", flush=True)
    lines = [
        "# A recorded response beside measured frames",
        "",
        "Made by `scripts/detector_real.py`. 15 PILATUS frames of L-cysteine (CC-BY 4.0; Williams, Gildea and Winter,",
        "2019).",
        f"Background: {use.mean():.1%} of the pixels, {MARGIN} pixels away from every count of {BRIGHT} or more.",
        "",
        "## Neighbours",
        "",
        "Covariances of differences of successive frames, in which the fixed pattern cancels. Photons that are counted",
        "twice correlate neighbours by p / (2 (1 + p)), p being the charge sharing; others are independent.",
        "",
        "| lag (slow, fast) | covariance | standard error |",
        "|---|---|---|",
        *rows,
        "",
        "## Histograms",
        "",
        f"Means over {WINDOW} × {WINDOW} pixels of frames 2, 4, ..., 14, scaled by one number, are recorded with that",
        "charge sharing, beside frames 3, 5, ..., 15, which had no part in the means. Twice as many are recorded.",
        *counts,
        "",
        "## Spots",
        "",
        "The crystal of `nb-refine` over the background seen around each spot, recorded with the same response. Widths",
        "are roots of second moments over the core of a spot, all images together. Wanted: medians of ratios within",
        "0.1 of 1.",
        "",
        *shapes,
    ]
    said.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    missed += more + most
    for what in missed:
        print(f"missed: {what}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
