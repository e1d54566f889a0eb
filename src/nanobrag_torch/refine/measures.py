"""How well a refined model explains spots: intensities, offsets and residuals, reflection by reflection."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from nanobrag_torch.models import Experiment
from nanobrag_torch.refine import background
from nanobrag_torch.refine.fit import Observation
from nanobrag_torch.refine.gather import Gathered
from nanobrag_torch.refine.likelihood import Noise, planes, scored
from nanobrag_torch.refine.outcome import Estimate
from nanobrag_torch.refine.varying import Knots

Floats = NDArray[np.float64]
SEEN, UNEXPLAINED = 5.0, 0.02
"""Standard deviations from which on a spot is seen, and the part of it that a model must at least expect."""
BRIGHT = 100.0
"""Photons from which on a spot's centroid is compared."""


@dataclass(frozen=True)
class Spots:
    """Sums over the cores of reflections, all images together.

    Args:
        rows: [n] rows of the table of reflections.
        indices: [n, 3].
        observed: [n] photons above the background.
        sigma: [n] their standard deviations by counting.
        expected: [n] photons of the model.
        centroid: [n, 3] fast, slow (pixels, the first from 0 to 1), image (the first from 0 to 1); NaN without photons.
        offset: [n, 3] that centroid less that of the model.
        chi_square: [n] mean squared residual of the pixels.
        cut: [n] whether the spot is still bright on the first or last image, so that only a part of it was seen.
    """

    rows: NDArray[np.int64]
    indices: NDArray[np.int32]
    observed: Floats
    sigma: Floats
    expected: Floats
    centroid: Floats
    offset: Floats
    chi_square: Floats
    cut: NDArray[np.bool_]

    def bright(self) -> NDArray[np.bool_]:
        """Spots [n] whose centroids mean something."""
        return np.asarray((self.observed > BRIGHT) & (self.expected > 0) & np.isfinite(self.offset).all(axis=1))


@dataclass(frozen=True)
class Summary:
    """What the spots say together.

    Args:
        spots: number of bright ones that were compared.
        fast, slow: medians of |offset|, pixels.
        image: median offset in the sweep, images (signed); NaN for a still.
        correlation: of observed and expected intensities.
        log_correlation: of their logarithms.
        ratio: sum of expected over sum of observed.
        chi_square: mean squared residual of all pixels.
    """

    spots: int
    fast: float
    slow: float
    image: float
    correlation: float
    log_correlation: float
    ratio: float
    chi_square: float

    def line(self) -> str:
        """In one line."""
        return (
            f"{self.spots} spots, median offsets {self.fast:.3f}, {self.slow:.3f} pixel, {self.image:+.3f} image, "
            f"correlation {self.correlation:.4f}, chi-square {self.chi_square:.3f}"
        )


@dataclass(frozen=True)
class Explained:
    """Pixels of a shot under a model: `spots` photons [P], `behind` [P], `residuals` [P]."""

    spots: NDArray[np.float64]
    behind: NDArray[np.float64]
    residuals: NDArray[np.float64]


def explained(
    gathered: Gathered,
    experiment: Experiment,
    noise: Noise,
    amplitudes: torch.Tensor | None = None,
    knots: Knots | None = None,
) -> Explained:
    """The pixels under a model, over the background seen around each spot.

    Args:
        gathered: a shot and its reflections.
        experiment: the model.
        noise: of the detector.
        amplitudes: [U] refined amplitudes over those of the start, where there are any.
        knots: values at the knots of what varies over the scan.
    """
    shot = gathered.shot
    assert shot.labels is not None
    spots = shot.expected(experiment, knots)
    if amplitudes is not None and shot.amplitudes is not None:
        shown = shot.amplitudes[shot.labels]
        spots = spots * torch.where(shown >= 0, amplitudes[shown.clamp_min(0)] ** 2, 1.0)
    outer = None if shot.core is None else ~shot.core
    begun = background.start(shot.observation.values, shot.labels, noise, outer)
    level = background.level(planes(shot.observation.pixels, shot.labels), begun, shot.labels)
    residual = scored(spots + level, shot.observation.values, noise).residual
    return Explained(spots.numpy(), level.numpy(), residual.numpy())


def explained_by(estimate: Estimate) -> Explained:
    """The pixels under what a refinement came to."""
    spots = estimate.expected - estimate.background
    return Explained(spots.numpy(), estimate.background.numpy(), estimate.residuals.numpy())


def spots_of(gathered: Gathered, pixels: Explained, noise: Noise) -> Spots:
    """The sums of every reflection."""
    shot = gathered.shot
    assert shot.labels is not None
    count = len(gathered.table)
    reflection = gathered.rows[shot.labels.numpy()]
    core = np.ones(len(reflection), bool) if shot.core is None else shot.core.numpy()
    numbers = np.asarray(gathered.numbers, dtype=np.float64)
    image = np.full(len(reflection), numbers[0]) if shot.images is None else numbers[shot.images.numpy()]
    where = np.column_stack([shot.observation.pixels.numpy()[:, [2, 1]] + 0.5, image - 0.5])
    photons = shot.observation.values.numpy() / noise.gain
    own = reflection[core]
    net = (photons - pixels.behind)[core]

    def total(weights: Floats) -> Floats:
        return np.asarray(np.bincount(own, weights, count), dtype=np.float64)

    observed, expected = total(net), total(pixels.spots[core])
    centroid, offset = np.full((count, 3), np.nan), np.full((count, 3), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        for axis in range(3):
            centroid[:, axis] = total(net * where[core, axis]) / observed
            offset[:, axis] = centroid[:, axis] - total(pixels.spots[core] * where[core, axis]) / expected
    number = np.bincount(reflection, minlength=count)
    squares = np.bincount(reflection, pixels.residuals**2, count) / np.maximum(number, 1)
    rows = np.flatnonzero(number)
    variance = total(photons[core]) + noise.readout**2 / noise.gain**2 * total(np.ones(len(own)))
    return Spots(
        rows,
        gathered.table.indices[rows],
        observed[rows],
        np.sqrt(np.maximum(variance, 1.0))[rows],
        expected[rows],
        centroid[rows],
        offset[rows],
        squares[rows],
        _cut(own, image[core], net, count)[rows],
    )


def _cut(reflection: NDArray[np.int64], image: Floats, net: Floats, count: int) -> NDArray[np.bool_]:
    """Whether a fifth of a spot or more lies on the first or on the last image of all."""
    if not len(image) or image.min() == image.max():
        return np.zeros(count, dtype=np.bool_)
    whole = np.bincount(reflection, net, count)
    ends = [np.bincount(reflection, net * (image == end), count) for end in (image.min(), image.max())]
    return np.asarray(np.maximum(*ends) > 0.2 * np.maximum(whole, 1.0))


def summary(spots: Spots, pixels: Explained) -> Summary:
    """Medians and correlations over bright spots."""
    good = spots.bright()
    if not good.any():
        nan = float("nan")
        return Summary(0, nan, nan, nan, nan, nan, nan, float((pixels.residuals**2).mean()))
    observed, expected, offset = spots.observed[good], spots.expected[good], spots.offset[good]
    several = good.sum() > 2
    return Summary(
        int(good.sum()),
        float(np.median(np.abs(offset[:, 0]))),
        float(np.median(np.abs(offset[:, 1]))),
        float(np.median(offset[:, 2])),
        float(np.corrcoef(observed, expected)[0, 1]) if several else float("nan"),
        float(np.corrcoef(np.log(observed), np.log(expected))[0, 1]) if several else float("nan"),
        float(expected.sum() / observed.sum()),
        float((pixels.residuals**2).mean()),
    )


def explainable(gathered: Gathered, noise: Noise) -> tuple[Gathered, list[tuple[tuple[int, ...], float, float]]]:
    """Without the spots that are seen where the start expects next to nothing, and what they are.

    Such a spot is another reflection, of another lattice, or multiply scattered; no parameter brings it back.
    """
    pixels = explained(gathered, gathered.shot.experiment, noise)
    spots = spots_of(gathered, pixels, noise)
    odd = (spots.observed > SEEN * spots.sigma) & (spots.expected < UNEXPLAINED * spots.observed)
    if not odd.any() or odd.all():
        return gathered, []
    told = [
        (tuple(int(x) for x in spots.indices[i]), float(spots.observed[i]), float(spots.expected[i]))
        for i in np.flatnonzero(odd)
    ]
    gone = set(spots.rows[odd].tolist())
    keep = np.array([row not in gone for row in gathered.rows])
    left = gathered.left_out
    if left is not None:
        left = _only(left, np.array([row not in gone for row in left.rows]))
    return replace(_only(gathered, keep), left_out=left), told


def _only(gathered: Gathered, keep: NDArray[np.bool_]) -> Gathered:
    """Some of the regions."""
    shot = gathered.shot
    assert shot.labels is not None
    kept = torch.from_numpy(keep)
    pixels = torch.nonzero(kept[shot.labels])[:, 0]
    label = torch.cumsum(kept, 0) - 1

    def some(part: torch.Tensor | None) -> torch.Tensor | None:
        return None if part is None else part[pixels]

    chosen = Observation(shot.observation.values[pixels], shot.observation.pixels[pixels])
    fewer = replace(
        shot,
        observation=chosen,
        labels=label[shot.labels[pixels]],
        images=some(shot.images),
        core=some(shot.core),
        amplitudes=None if shot.amplitudes is None else shot.amplitudes[kept],
    )
    return replace(gathered, shot=fewer, rows=gathered.rows[keep])
