"""Quantities that change slowly over a sweep: values at knots, joined by a natural cubic spline.

A crystal that slips or is damaged by the beam turns and swells while it is measured. Its misset and its cell then have
a value at each of a few knots, evenly spaced from the beginning of the scan to its end; every image has the value of
the spline through them at its middle. The spline is linear in the values at the knots, so that derivatives by these are
the ones by the static quantity times the weights of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_models import Measured
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.refine.outcome import Constraints, Elements, Estimate

VARIABLE = ("misset", "cell_lengths", "cell_angles")
"""Quantities that may vary: those of the crystal's setting."""
Knots = Mapping[str, Tensor]
"""By name, the values [K, ...] at the knots, settled units."""


@dataclass(frozen=True)
class Smoother:
    """Which quantities of a sweep vary, and how the values at their knots make those of its images.

    Args:
        names: of `VARIABLE`.
        weights: [I, K] of the knots on each image.
    """

    names: tuple[str, ...]
    weights: Tensor

    @property
    def knots(self) -> int:
        """Number of knots K."""
        return self.weights.shape[1]

    def at(self, experiment: Experiment, knots: Knots, image: int) -> Experiment:
        """The experiment as it is on an image."""
        return experiment_at(experiment, knots, self.weights[image])

    def spread(self, slopes: Tensor, sizes: Mapping[str, int], image: int) -> Tensor:
        """Derivatives [P, n] by static quantities as those [P, m] by the values at knots, knot by knot.

        Args:
            slopes: on one image.
            sizes: by name, in the order of the columns, the numbers of each quantity.
            image: which.
        """
        found, at = [], 0
        for name, size in sizes.items():
            block = slopes[:, at : at + size]
            if name in self.names:
                block = (self.weights[image][None, :, None] * block[:, None, :]).reshape(len(block), -1)
            found.append(block)
            at += size
        return torch.cat(found, 1)


def spline_weights(places: Tensor, knots: int) -> Tensor:
    """Weights [n, K] of K values at 0, 1/(K - 1), ..., 1 in the natural cubic spline through them at places [n].

    Every row sums to 1; one knot is a constant, two are a straight line.
    """
    if knots == 1:
        return torch.ones(len(places), 1, dtype=torch.float64)
    step = 1.0 / (knots - 1)
    unit = torch.eye(knots, dtype=torch.float64)
    # Second derivatives m at the knots: m_{k-1} + 4 m_k + m_{k+1} = 6 (y_{k-1} - 2 y_k + y_{k+1}) / h², 0 at the ends.
    matrix, right = unit.clone(), torch.zeros_like(unit)
    for k in range(1, knots - 1):
        matrix[k, k - 1 : k + 2] = torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64)
        right[k, k - 1 : k + 2] = torch.tensor([6.0, -12.0, 6.0], dtype=torch.float64) / step**2
    bends = torch.linalg.solve(matrix, right)
    low = (places / step).floor().clamp(0, knots - 2).to(torch.int64)
    b = places / step - low
    a = 1.0 - b
    bent = (a**3 - a)[:, None] * bends[low] + (b**3 - b)[:, None] * bends[low + 1]
    weights: Tensor = a[:, None] * unit[low] + b[:, None] * unit[low + 1] + bent * step**2 / 6.0
    return weights


def experiment_at(experiment: Experiment, knots: Knots, weights: Tensor) -> Experiment:
    """The experiment with the values that weights [K] of the knots make."""
    for name, values in knots.items():
        experiment = QUANTITIES[name].put(experiment, torch.tensordot(weights, values, dims=1))
    return experiment


def knots_of(smoothers: Sequence[Smoother | None], shared: Sequence[str], own: Sequence[str]) -> dict[str, int]:
    """Number of knots of every quantity that varies.

    Raises:
        InputError: a quantity that may not vary, is not refined, or is shared by several sweeps.
    """
    found = {name: one.knots for one in smoothers if one is not None for name in one.names}
    for name in found:
        if name not in VARIABLE:
            raise InputError(name, "it cannot vary over a scan", f"choose among {', '.join(VARIABLE)}")
        if name not in (*shared, *own):
            raise InputError(name, "it varies but is not refined", "name it among the refined")
        if len(smoothers) > 1 and name in shared:
            raise InputError(name, "what several sweeps share cannot vary over their scans", "give each its own")
    if found and any(one is None or {name: one.knots for name in one.names} != found for one in smoothers):
        raise InputError("shots", "they do not vary in the same quantities and knots", "let all of them")
    return found


def at_all_knots(limits: Constraints, knots: Mapping[str, int], first: Experiment) -> Constraints:
    """Ties, fixed numbers and restraints of static quantities as those of their values at every knot."""

    def everywhere(group: Elements) -> list[list[tuple[str, int]]]:
        counts = {knots.get(name, 1) for name, _ in group}
        if len(counts) > 1:
            raise InputError("tied", "a quantity that varies is tied to one that does not", "let both vary, or none")
        return [[(name, k * sizes[name] + i) if name in knots else (name, i) for name, i in group]
            for k in range(counts.pop())]  # fmt: skip

    if not knots:
        return limits
    sizes = {name: QUANTITIES[name].take(first).numel() for name in knots}
    tied = [one for group in limits.tied for one in everywhere(group)]
    fixed = [element for one in limits.fixed for group in everywhere([one]) for element in group]
    restraints: dict[str, tuple[float | Tensor | None, float | Tensor]] = dict(limits.restraints)
    for name in set(restraints) & set(knots):
        mean, width = restraints[name]
        wide = [x.repeat(knots[name]) if isinstance(x, Tensor) and x.ndim else x for x in (mean, width)]
        assert wide[1] is not None
        restraints[name] = wide[0], wide[1]
    return replace(limits, tied=tied, fixed=fixed, restraints=restraints)


def roughness(values: Tensor, width: float) -> tuple[float, Tensor, Tensor]:
    """Loss, its slope [K s] and curvature [K s, K s] of a prior by which neighbouring knots [K, ...] are alike.

    Args:
        values: at the knots.
        width: standard deviation of the change from one knot to the next.
    """
    flat = values.reshape(len(values), -1)
    ahead = torch.eye(len(flat), dtype=torch.float64)
    change = (ahead[1:] - ahead[:-1]) / width
    matrix = torch.kron(change.T @ change, torch.eye(flat.shape[1], dtype=torch.float64))
    column = flat.reshape(-1)
    slope = matrix @ column
    return 0.5 * float(column @ slope), slope, matrix


def static_value(name: str, value: Tensor, experiment: Experiment) -> Tensor:
    """A value that an experiment can have: the mean over the knots of one that varies."""
    return value.mean(0) if value.ndim > QUANTITIES[name].take(experiment).ndim else value


@dataclass(frozen=True)
class Course:
    """How a quantity went over a scan: values and standard deviations [n, s], the user's units, at places [n]."""

    name: str
    unit: str
    places: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    sigma: np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def courses_of(estimate: Estimate, measured: Measured, factor: float) -> list[Course]:
    """The course of every quantity that varies, at the middles of the images of its scan (image n at n - 0.5).

    Args:
        estimate: of a sweep.
        measured: the sweep.
        factor: what standard deviations are multiplied by.
    """
    if measured.scan is None:
        return []
    found, images = [], measured.scan.images
    places = torch.arange(images, dtype=torch.float64) + 0.5
    for name, knots in estimate.knots.items():
        weights = spline_weights(places / images, len(knots))
        rows = [i for i, (column, _) in enumerate(estimate.columns) if column == name]
        size = len(rows) // len(knots)
        block = estimate.covariance[rows][:, rows].reshape(len(knots), size, len(knots), size)
        variance = torch.einsum("nk,kslt,nl->nst", weights, block, weights).diagonal(dim1=1, dim2=2)
        values = torch.tensordot(weights, knots, dims=1).reshape(images, size)
        shown = QUANTITIES[name].shown
        sigma = factor * shown(variance.clamp_min(0.0).sqrt())
        place = places.numpy() + measured.scan.first - 1
        found.append(Course(name, QUANTITIES[name].unit, place, shown(values).numpy(), sigma.numpy()))
    return found
