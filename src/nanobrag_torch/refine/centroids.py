"""Geometry from the centroids of indexed spots: a quick and sturdy fit before that of the pixels.

Every reflection is predicted where it crosses the Ewald sphere closest to the angle at which it was seen (a still: at
the most probable ray), and rotation, cell and detector are moved until predictions and centroids agree, each
difference weighed with a robust weight. Few spots of a short sweep do not tell the cell from the distance: weak
priors hold what they leave open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_models import DetectorModel, Measured
from nanobrag_torch.io.reflection_table import ReflectionTable
from nanobrag_torch.io.scene import cell_constants, rotation
from nanobrag_torch.refine.symmetry import cell_freedom, space_group
from nanobrag_torch.spots.predict import crossing_near

Floats = NDArray[np.float64]
PIXELS, IMAGES = 0.3, 0.4
"""Expected scatter of centroids: pixels, and images of a sweep."""
_CELL, _SHIFT_M, _TURN = 0.01, 3e-3, 0.02
"""Widths of the priors: part of a length (or radians of an angle), metres, radians."""
_HUBER = 2.0
_STEPS, _LITTLE = 40, 1e-10
_PARAMETERS = 12
_PRIOR = np.array([1 / _TURN] * 3 + [1 / _CELL] * 6 + [1 / _SHIFT_M] * 3)


@dataclass(frozen=True)
class Centroids:
    """What became of the geometry.

    Args:
        measured: with the refined crystal and detector.
        differences: [n, 3] observed less predicted: fast, slow (pixels), image.
        rms: root mean square of each column, outliers left out.
    """

    measured: Measured
    differences: Floats
    rms: tuple[float, float, float]


def refine_centroids(measured: Measured, reflections: ReflectionTable, *, detector: bool = True) -> Centroids:
    """Rotation, cell (in its symmetry) and the detector's position from observed centroids.

    Args:
        measured: the start, within a degree or so.
        reflections: indexed, with `xyzobs.px.value`.
        detector: move the detector too.

    Raises:
        InputError: no crystal, or fewer spots than are needed.
    """
    turns, cell, shifts = _columns(measured)
    own = np.hstack([turns, cell, shifts] if detector else [turns, cell])
    return _fitted([measured], [_usable(measured, reflections, 0)], own, shifts[:, :0])[0]


def refine_all_centroids(
    experiments: Sequence[Measured], reflections: Sequence[ReflectionTable], *, shared_cell: bool, shared_detector: bool
) -> list[Centroids]:
    """Rotations of all experiments, with their cells and the detector's position, from observed centroids.

    Args:
        experiments: the starts, within a degree or so.
        reflections: of each experiment, indexed, with `xyzobs.px.value`.
        shared_cell: one cell for all crystals, which starts at the mean of theirs; else each has its own.
        shared_detector: one shift for all; else each experiment's detector moves by itself.

    Raises:
        InputError: no crystal, or fewer spots in an experiment than are needed; its number is named.
    """
    usable = [_usable(e, t, place) for place, (e, t) in enumerate(zip(experiments, reflections, strict=True))]
    turns, cell, shifts = _columns(experiments[0])
    if shared_cell:
        experiments = with_mean_cell(experiments)
    own = [turns] + [part for part, shared in ((cell, shared_cell), (shifts, shared_detector)) if not shared]
    common = [part for part, shared in ((cell, shared_cell), (shifts, shared_detector)) if shared]
    return _fitted(experiments, usable, np.hstack(own), np.hstack([shifts[:, :0], *common]))


def with_mean_cell(experiments: Sequence[Measured]) -> list[Measured]:
    """The same orientations, all with the mean of the cells."""
    found = []
    constants = [cell_constants(e.crystal.cell) for e in experiments if e.crystal is not None]
    mean = np.mean(constants, axis=0)
    for measured, old in zip(experiments, constants, strict=True):
        assert measured.crystal is not None
        change = np.concatenate([mean[:3] / old[:3] - 1.0, np.radians(mean[3:] - old[3:])])
        crystal = replace(measured.crystal, cell=strained(measured.crystal.cell, change), points=None)
        found.append(replace(measured, crystal=crystal))
    return found


def _usable(measured: Measured, reflections: ReflectionTable, place: int) -> ReflectionTable:
    """The indexed spots with a centroid."""
    if measured.crystal is None:
        raise InputError(f"experiment {place}", "it has no crystal", "index it first")
    spots = reflections.select(reflections.indexed() & np.isfinite(reflections.observed).all(axis=1))
    if len(spots) < 4:
        text = f"{len(spots)} indexed spots are too few"
        raise InputError(f"experiment {place}", text, "four are needed at least; leave it out, or skip the centroids")
    return spots


@dataclass(frozen=True)
class _At:
    """Where the parameters stand: of each experiment [n, own], and of all [common]."""

    own: Floats
    common: Floats


def _fitted(
    experiments: Sequence[Measured], spots: Sequence[ReflectionTable], own: Floats, common: Floats
) -> list[Centroids]:
    """Damped Gauss-Newton steps; columns [12, ...] say what moves alone and what moves together."""
    at = _At(np.zeros((len(experiments), own.shape[1])), np.zeros(common.shape[1]))

    def places(state: _At) -> list[Floats]:
        return [own @ x + common @ state.common for x in state.own]

    def cost_of(state: _At) -> float:
        total = 0.5 * float(((_PRIOR[:, None] * own @ state.own.T) ** 2).sum())
        total += 0.5 * float(((_PRIOR * (common @ state.common)) ** 2).sum())
        for measured, table, place in zip(experiments, spots, places(state), strict=True):
            total += _cost(_residuals(measured, table, place))
        return total

    damping, cost = 1e-3, cost_of(at)
    for _ in range(_STEPS):
        equations = [
            _equations(measured, table, place, np.hstack([own, common]))
            for measured, table, place in zip(experiments, spots, places(at), strict=True)
        ]
        while True:
            moved = _step(equations, at, own, common, damping)
            now = cost_of(moved)
            if now <= cost or damping > 1e8:
                break
            damping *= 8.0
        if now > cost:
            break
        at, damping, before, cost = moved, max(damping / 10.0, 1e-9), cost, now
        if before - cost < _LITTLE * max(before, 1.0):
            break
    return [_done(m, table, place) for m, table, place in zip(experiments, spots, places(at), strict=True)]


def _done(measured: Measured, spots: ReflectionTable, at: Floats) -> Centroids:
    found = _residuals(measured, spots, at)
    differences = found * np.array([PIXELS, PIXELS, IMAGES])
    good = _robust(found) >= 1.0
    rms = np.sqrt((differences[good] ** 2).mean(axis=0)) if good.any() else np.full(3, np.nan)
    return Centroids(_placed(measured, at), differences, (float(rms[0]), float(rms[1]), float(rms[2])))


def _equations(measured: Measured, spots: ReflectionTable, at: Floats, columns: Floats) -> tuple[Floats, Floats]:
    """Matrix [K, K] and gradient [K] of one experiment by its own and the common parameters, without priors."""
    found = _residuals(measured, spots, at)
    weight, slopes = _robust(found), _slopes(measured, spots, at, columns)
    return np.einsum("nai,n,naj->ij", slopes, weight, slopes), np.einsum("nai,n,na->i", slopes, weight, found)


def _step(equations: Sequence[tuple[Floats, Floats]], at: _At, own: Floats, common: Floats, damping: float) -> _At:
    """The parameters after a damped step: those of single experiments are eliminated first (Schur complement)."""
    count = own.shape[1]
    stiff = own.T @ (_PRIOR[:, None] ** 2 * own)
    total, slope = common.T @ (_PRIOR[:, None] ** 2 * common), common.T @ (_PRIOR**2 * (common @ at.common))
    kept = []
    scale = total.diagonal() + sum(matrix.diagonal()[count:] for matrix, _ in equations)
    total = total + damping * np.diag(scale)
    for (matrix, gradient), x in zip(equations, at.own, strict=True):
        block = matrix[:count, :count] + stiff
        block = block + damping * np.diag(block.diagonal())
        solved = np.linalg.solve(block, np.column_stack([matrix[:count, count:], gradient[:count] + stiff @ x]))
        total = total + matrix[count:, count:] - matrix[count:, :count] @ solved[:, :-1]
        slope = slope + gradient[count:] - matrix[count:, :count] @ solved[:, -1]
        kept.append(solved)
    together = -np.linalg.solve(total, slope)
    alone = [x - solved[:, -1] - solved[:, :-1] @ together for x, solved in zip(at.own, kept, strict=True)]
    return _At(np.array(alone), at.common + together)


def _columns(measured: Measured) -> tuple[Floats, Floats, Floats]:
    """Columns of what may move: three turns, what the symmetry leaves of the cell, three shifts."""
    assert measured.crystal is not None
    tied, fixed = cell_freedom(space_group(measured.crystal.hall))
    unit = np.eye(_PARAMETERS)
    names = [(kind, i) for kind in ("cell_lengths", "cell_angles") for i in range(3)]
    groups = [list(group) for group in tied]
    cell = []
    for name in names:
        if name in fixed or any(name in group[1:] for group in groups):
            continue
        mates = next((group for group in groups if name in group), [name])
        cell.append(sum(unit[3 + names.index(mate)] for mate in mates))
    return unit[:, :3], np.array(cell).reshape(-1, _PARAMETERS).T, unit[:, 9:12]


def _placed(measured: Measured, at: Floats) -> Measured:
    """The experiment with turns (rad), changes of the cell (parts; rad) and shifts (m)."""
    assert measured.crystal is not None
    turn = np.eye(3)
    angle = float(np.linalg.norm(at[:3]))
    if angle > 0.0:
        turn = rotation(at[:3] / angle, float(np.degrees(angle)))
    cell = strained(measured.crystal.cell, at[3:9]) @ turn.T
    panels = tuple(
        replace(panel, plane=replace(panel.plane, origin=panel.plane.origin + at[9:12]))
        for panel in measured.detector.panels
    )
    return replace(
        measured,
        crystal=replace(measured.crystal, cell=cell, points=None),
        detector=DetectorModel(panels, measured.detector.raw),
    )


def strained(cell: Floats, change: Floats) -> Floats:
    """Cell vectors [3, 3] with lengths changed by parts and angles by radians, a and the plane of a and b as they lie.

    `change` [6]: parts of a, b, c; alpha, beta, gamma.
    """
    constants = cell_constants(cell)
    lengths, angles = constants[:3], np.radians(constants[3:])
    frame = np.linalg.solve(_standard(lengths, angles), cell)
    return np.asarray(_standard(lengths * (1.0 + change[:3]), angles + change[3:]) @ frame)


def _standard(lengths: Floats, angles: Floats) -> Floats:
    """Rows a along x, b in the xy plane, c above it."""
    (a, b, c), (ca, cb, cg), sg = lengths, np.cos(angles), np.sin(angles[2])
    y = (ca - cb * cg) / sg
    return np.array([[a, 0, 0], [b * cg, b * sg, 0], [c * cb, c * y, c * np.sqrt(1 - cb**2 - y**2)]])


def predicted(measured: Measured, reflections: ReflectionTable) -> Floats:
    """Where each reflection is predicted, [n, 3] fast, slow (pixels), image, closest to where it was seen; or NaN."""
    seen = reflections.observed
    place = seen[:, 2]
    s1, crossing = crossing_near(measured, reflections.indices, place)
    result = np.full((len(seen), 3), np.nan)
    for number, panel in enumerate(measured.detector.panels):
        own = reflections.panel == number
        result[own, :2] = panel.pixels(s1[own])[0]
    result[:, 2] = place if measured.still else crossing
    return result


def _residuals(measured: Measured, spots: ReflectionTable, at: Floats) -> Floats:
    """Observed less predicted [n, 3] in expected scatters; large where there is no prediction."""
    away = (spots.observed - predicted(_placed(measured, at), spots)) / np.array([PIXELS, PIXELS, IMAGES])
    return np.where(np.isfinite(away), away, 100.0)


def _slopes(measured: Measured, spots: ReflectionTable, at: Floats, free: Floats) -> Floats:
    """Derivatives [n, 3, K] of the residuals by the free parameters, by central differences."""
    columns = []
    for column in free.T:
        step = 1e-6 * column
        ahead, behind = (_residuals(measured, spots, at + sign * step) for sign in (1.0, -1.0))
        slope = (ahead - behind) / 2e-6
        columns.append(np.where(np.abs(slope) < 1e7, slope, 0.0))
    return np.stack(columns, axis=2)


def _robust(found: Floats) -> Floats:
    """Huber's weights [n] of residuals [n, 3]."""
    size = np.linalg.norm(found, axis=1)
    limit = max(_HUBER, 1.5 * float(np.median(size)))
    return np.asarray(np.minimum(1.0, limit / np.maximum(size, 1e-300)))


def _cost(found: Floats) -> float:
    """Huber's cost of residuals [n, 3]."""
    size = np.linalg.norm(found, axis=1)
    limit = max(_HUBER, 1.5 * float(np.median(size)))
    terms = np.where(size <= limit, 0.5 * size**2, limit * (size - 0.5 * limit))
    return float(terms.sum())
