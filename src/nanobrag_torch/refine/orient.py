"""Orientations and cells that bring the indices of strong spots close to whole numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.geometry.cell import cell_parameters, reciprocal_vectors
from nanobrag_torch.geometry.rotation import matrices_of_vectors, rotate_about
from nanobrag_torch.models import Experiment
from nanobrag_torch.pipeline.render import lattice_of, panel_frame_of
from nanobrag_torch.refine.centroids import strained

_SPOTS, _STRONG = 150, 6.0
"""At most so many spots, each so many standard deviations above the background."""
_WIDE, _MATCH = 0.15, 0.3
"""Index: width of the score, and distance from a whole number up to which a spot is explained."""
_GRID = 0.25
"""By how much an index may change between two points of the grid."""
_MOST = 400_000
"""Points of the grid, beyond which only the inner spots are looked at."""
_KEPT, _TRIED, _LEAST = 40, 6, 6
"""Points that are refined, answers that are given, and spots that an answer has to explain."""
_APART_DEG, _APART_CELL = 0.2, 0.004


@dataclass(frozen=True)
class Spots:
    """Strong spots: reciprocal vectors q [n, 3] at spindle 0 and scattered directions [n, 3] there, and widths."""

    q: Tensor
    along: Tensor
    sigma: Tensor


@dataclass(frozen=True)
class Turned:
    """A crystal that explains spots.

    Args:
        experiment: with its cell and misset.
        turn_deg: rotation vector [3] from the start (degrees).
        lengths: [3] cell lengths over those of the start.
        score: what it explains, at most the number of spots.
    """

    experiment: Experiment
    turn_deg: Tensor
    lengths: Tensor
    score: float


def candidates(
    experiment: Experiment, seen: tuple[tuple[Tensor, ...], tuple[Tensor, ...]], turn_deg: float, cell: float
) -> list[Turned]:
    """The best few crystals near a start that has a cell, best first; none when too few spots are explained.

    Args:
        experiment: the start.
        seen: per panel, photons [slow, fast], and 1 where a pixel counts.
        turn_deg: how far it may be turned.
        cell: by which part each length may change.
    """
    spots = find_spots(experiment, *seen)
    if len(spots.q) < _LEAST:
        return []
    direct = lattice_of(experiment.crystal, experiment.physics == "exact").direct.detach()
    found: list[tuple[float, np.ndarray]] = []
    for start in _scan(direct, spots, np.radians(turn_deg), cell):
        at = _refined(direct, spots, start, cell)
        score, matched = _judged(_placed(direct, at), spots)
        if matched < _LEAST or np.linalg.norm(at[:3]) > 1.3 * np.radians(turn_deg):
            continue
        near = [i for i, (_, other) in enumerate(found) if _alike(at, other)]
        if not near:
            found.append((score, at))
        elif score > found[near[0]][0]:
            found[near[0]] = (score, at)
    found.sort(key=lambda one: -one[0])
    return [_turned(experiment, direct, at, score) for score, at in found[:_TRIED]]


def find_spots(experiment: Experiment, images: tuple[Tensor, ...], masks: tuple[Tensor, ...]) -> Spots:
    """The strongest local maxima above their surroundings, by their centroids."""
    exact, beam = experiment.physics == "exact", experiment.beam
    wavelength = beam.wavelength.detach()
    places, strengths, sizes = [], [], []
    for panel, image, mask in zip(experiment.detector.panels, images, masks, strict=True):
        slow, fast, strength = _maxima(image, mask)
        frame = panel_frame_of(panel, beam.direction, exact)
        pixel = panel.pixel_size.detach()
        f, s = ((x + 0.5) * pixel for x in (fast, slow))
        places.append((frame.origin + f[:, None] * frame.fast + s[:, None] * frame.slow).detach())
        strengths.append(strength)
        sizes.append(pixel.expand(len(f)))
    position, strength, size = torch.cat(places), torch.cat(strengths), torch.cat(sizes)
    best = strength.argsort(descending=True)[:_SPOTS]
    position, size = position[best], size[best]
    length = position.norm(dim=1)
    unit = position / length[:, None]
    q = (unit - beam.direction.detach()) / wavelength
    scan = experiment.scan
    middle = -(scan.start + 0.5 * scan.range).detach()
    q, along = (rotate_about(x, scan.axis.detach(), middle.expand(len(q))) for x in (q, unit))
    cells = experiment.crystal.N.detach() * lattice_of(experiment.crystal, exact).direct.detach().norm(dim=1)
    place = size / length / wavelength
    turned = experiment.crystal.mosaic.spread.detach() + 0.5 * scan.range.detach().abs()
    rocking = 3.0 * place + turned * q.norm(dim=1) + 0.5 / cells.min()
    return Spots(q, along, torch.stack([place, rocking], 1))


def _maxima(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Places (slow, fast) [n] and photons [n] of local maxima."""

    def box(x: Tensor, size: int) -> Tensor:
        return torch.nn.functional.avg_pool2d(x[None, None], size, 1, size // 2, divisor_override=1)[0, 0]

    shown = image.clamp_min(0.0) * mask
    clipped = torch.minimum(shown, 5.0 * shown[mask > 0].mean() + 5.0)
    level = box(clipped, 21) / box(mask, 21).clamp_min(1.0)
    total, count = box(shown, 3), box(mask, 3)
    excess = total - count * level
    wide = excess / (count * level + 1.0).sqrt()
    top = torch.nn.functional.max_pool2d(excess[None, None], 7, 1, 3)[0, 0]
    rows, columns = torch.nonzero((wide > _STRONG) & (excess == top) & (count == 9), as_tuple=True)
    weight = (shown - level).clamp_min(0.0) * mask
    inside = [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
    size = (image.shape[0] - 1, image.shape[1] - 1)
    total_weight = torch.zeros(len(rows), dtype=torch.float64)
    slow, fast = torch.zeros_like(total_weight), torch.zeros_like(total_weight)
    for i, j in inside:
        part = weight[(rows + i).clamp(0, size[0]), (columns + j).clamp(0, size[1])]
        total_weight += part
        slow += part * i
        fast += part * j
    total_weight = total_weight.clamp_min(1e-9)
    return rows + slow / total_weight, columns + fast / total_weight, excess[rows, columns]


def _scan(direct: Tensor, spots: Spots, turn: float, cell: float) -> list[np.ndarray]:
    """The best points of a grid of rotation vectors and length changes, as starts [9] of a refinement."""
    order = spots.q.norm(dim=1).argsort()
    inner = len(order)
    while True:
        q = spots.q[order[:inner]]
        reach = float((q @ direct.T).norm(dim=1).max())
        turns = max(int(np.ceil(turn * reach / _GRID)), 1)
        stretches = max(int(np.ceil(cell * reach / _GRID)), 1) if cell else 0
        if (2 * turns + 1) ** 3 * (2 * stretches + 1) ** 3 <= _MOST or inner <= 4 * _LEAST:
            break
        inner = max(int(0.8 * inner), 4 * _LEAST)
    grid = turn * torch.arange(-turns, turns + 1, dtype=torch.float64) / turns
    vectors = torch.cartesian_prod(grid, grid, grid)
    vectors = vectors[vectors.norm(dim=1) <= 1.15 * turn]
    steps = cell * torch.arange(-stretches, stretches + 1, dtype=torch.float64) / max(stretches, 1)
    factors = 1.0 + torch.cartesian_prod(steps, steps, steps)
    best: list[tuple[float, int, int]] = []
    for number, vector in enumerate(vectors):
        turned = direct @ matrices_of_vectors(vector[None])[0].T
        h = (q @ turned.T)[None] * factors[:, None, :]
        score = torch.exp(-0.5 * ((h - h.round()) ** 2).sum(2) / _WIDE**2).sum(1)
        top = int(score.argmax())
        best.append((float(score[top]), number, top))
    best.sort(reverse=True)
    starts = []
    for _, number, top in best[:_KEPT]:
        starts.append(np.concatenate([vectors[number].numpy(), factors[top].numpy() - 1.0, np.zeros(3)]))
    return starts


def _placed(direct: Tensor, at: np.ndarray) -> Tensor:
    """Cell vectors [3, 3] turned by a rotation vector, lengths changed by parts and angles by radians."""
    rows = torch.from_numpy(strained(direct.numpy(), at[3:9]))
    return rows @ matrices_of_vectors(torch.from_numpy(at[None, :3]))[0].T


def _free(direct: Tensor) -> np.ndarray:
    """Columns [9, K]: three turns, lengths (equal ones together), angles that are neither 90 nor 120 degrees."""
    lengths = direct.norm(dim=1).numpy()
    unit = (direct / direct.norm(dim=1, keepdim=True)).numpy()
    columns = [np.eye(9)[i] for i in range(3)]
    done: list[int] = []
    for i in range(3):
        mates = [j for j in range(3) if j not in done and abs(lengths[j] / lengths[i] - 1.0) < 1e-6]
        if i in mates:
            columns.append(np.eye(9)[[3 + j for j in mates]].sum(0))
            done += mates
    for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
        cosine = float(unit[j] @ unit[k])
        if abs(cosine) > 1e-6 and abs(cosine + 0.5) > 1e-6:
            columns.append(np.eye(9)[6 + i])
    return np.array(columns).T


def _residuals(rows: Tensor, spots: Spots, indices: Tensor) -> Tensor:
    """Differences [n, 3] of q and lattice points in widths: wide along the ray, where a spot may lie off the sphere."""
    away = spots.q - indices @ torch.linalg.inv(rows).T
    part = (away * spots.along).sum(1, keepdim=True) * spots.along
    weighed: Tensor = (away - part) / spots.sigma[:, :1] + part / spots.sigma[:, 1:]
    return weighed


def _refined(direct: Tensor, spots: Spots, start: np.ndarray, cell: float) -> np.ndarray:
    """Gauss-Newton from a start, inner spots first."""
    free = _free(direct)
    if not cell:
        free = free[:, :3]
    prior = np.array([0.0] * 3 + [1.0 / max(cell, 1e-9)] * 6)
    at = free @ np.linalg.lstsq(free, start, rcond=None)[0]
    length = spots.q.norm(dim=1)
    for part in (0.5, 0.7, 0.85, 1.0, 1.0, 1.0):
        rows = _placed(direct, at)
        h = spots.q @ rows.T
        good = ((h - h.round()).norm(dim=1) < _MATCH) & (length <= torch.quantile(length, part))
        if int(good.sum()) < _LEAST:
            continue
        some = Spots(spots.q[good], spots.along[good], spots.sigma[good])
        indices = h.round()[good]
        now = _residuals(rows, some, indices)
        slopes = []
        for column in free.T:
            ahead, behind = (_residuals(_placed(direct, at + s * 1e-6 * column), some, indices) for s in (1, -1))
            slopes.append(((ahead - behind) / 2e-6).reshape(-1))
        slope, residual = torch.stack(slopes, 1).numpy(), now.reshape(-1).numpy()
        weight = np.repeat(np.minimum(1.0, 3.0 / np.maximum(now.norm(dim=1).numpy(), 1e-9)), 3)
        matrix = slope.T @ (weight[:, None] * slope) + free.T @ np.diag(prior**2) @ free
        pull = slope.T @ (weight * residual) + free.T @ (prior**2 * at)
        at = at - free @ np.linalg.solve(matrix + 1e-12 * np.diag(np.diag(matrix)), pull)
    return np.asarray(at)


def _judged(rows: Tensor, spots: Spots) -> tuple[float, int]:
    """How well spots are explained, by the size of their residuals, and how many are."""
    h = spots.q @ rows.T
    good = (h - h.round()).norm(dim=1) < _MATCH
    size = _residuals(rows, spots, h.round()).square().sum(1)
    return float(torch.exp(-0.5 * size / 9.0)[good].sum()), int((good & (size < 36.0)).sum())


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    away = np.abs(one - other)
    return bool(np.linalg.norm(away[:3]) < np.radians(_APART_DEG) and away[3:6].max() < _APART_CELL)


def _turned(experiment: Experiment, direct: Tensor, at: np.ndarray, score: float) -> Turned:
    """The start with the cell vectors of a candidate, as a cell and a misset."""
    rows = _placed(direct, at)
    exact = experiment.physics == "exact"
    dual = torch.linalg.inv(rows).T
    cell = cell_parameters(rows, dual, torch.linalg.det(rows))
    resting = reciprocal_vectors(cell, exact)
    if experiment.crystal.orientation is not None:
        resting = resting @ experiment.crystal.orientation.T
    matrix = torch.linalg.solve(resting, dual).T
    misset = torch.stack(
        [
            torch.atan2(matrix[2, 1], matrix[2, 2]),
            -torch.asin(matrix[2, 0].clamp(-1.0, 1.0)),
            torch.atan2(matrix[1, 0], matrix[0, 0]),
        ]
    )
    crystal = experiment.crystal.replace(cell=cell, misset=misset)
    lengths = torch.from_numpy(1.0 + at[3:6])
    return Turned(experiment.replace(crystal=crystal), torch.rad2deg(torch.from_numpy(at[:3].copy())), lengths, score)
