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
from nanobrag_torch.io.scene import rotation
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
    if measured.crystal is None:
        raise InputError("experiment", "it has no crystal", "index it first")
    rows = reflections.indexed() & np.isfinite(reflections.observed).all(axis=1)
    spots = reflections.select(rows)
    if len(spots) < 4:
        raise InputError("reflections", f"{len(spots)} indexed spots are too few", "four are needed at least")
    free = _free(measured, detector)
    at = np.zeros(_PARAMETERS)
    prior = np.array([1 / _TURN] * 3 + [1 / _CELL] * 6 + [1 / _SHIFT_M] * 3)
    cost = np.inf
    damping = 1e-3
    for _ in range(_STEPS):
        found = _residuals(measured, spots, at)
        weight = _robust(found)
        columns = _slopes(measured, spots, at, free)
        matrix = np.einsum("nai,n,naj->ij", columns, weight, columns) + free.T @ np.diag(prior**2) @ free
        slope = np.einsum("nai,n,na->i", columns, weight, found) + free.T @ (prior**2 * at)
        cost = _cost(found, at, prior)
        while True:
            step = -np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)), slope)
            moved = at + free @ step
            now = _cost(_residuals(measured, spots, moved), moved, prior)
            if now <= cost or damping > 1e8:
                break
            damping *= 8.0
        if now > cost:
            break
        at, damping = moved, max(damping / 10.0, 1e-9)
        if cost - now < _LITTLE * max(cost, 1.0):
            break
    done = _placed(measured, at)
    found = _residuals(measured, spots, at)
    differences = found * np.array([PIXELS, PIXELS, IMAGES])
    good = _robust(found) >= 1.0
    rms = np.sqrt((differences[good] ** 2).mean(axis=0)) if good.any() else np.full(3, np.nan)
    return Centroids(done, differences, (float(rms[0]), float(rms[1]), float(rms[2])))


def _free(measured: Measured, detector: bool) -> Floats:
    """Columns of what may move: three turns, what the symmetry leaves of the cell, three shifts."""
    assert measured.crystal is not None
    tied, fixed = cell_freedom(space_group(measured.crystal.hall))
    columns = [np.eye(_PARAMETERS)[i] for i in range(3)]
    names = [(kind, i) for kind in ("cell_lengths", "cell_angles") for i in range(3)]
    groups = [list(group) for group in tied]
    for place, name in enumerate(names):
        if name in fixed or any(name in group[1:] for group in groups):
            continue
        column = np.zeros(_PARAMETERS)
        mates = next((group for group in groups if name in group), [name])
        for mate in mates:
            column[3 + names.index(mate)] = 1.0
        columns.append(column)
        assert names[place] == name
    if detector:
        columns += [np.eye(_PARAMETERS)[i] for i in range(9, 12)]
    return np.array(columns).T


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
    lengths = np.linalg.norm(cell, axis=1)
    pairs = ((1, 2), (2, 0), (0, 1))
    angles = np.array([np.arccos(cell[i] @ cell[j] / lengths[i] / lengths[j]) for i, j in pairs])
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


def _cost(found: Floats, at: Floats, prior: Floats) -> float:
    size = np.linalg.norm(found, axis=1)
    limit = max(_HUBER, 1.5 * float(np.median(size)))
    terms = np.where(size <= limit, 0.5 * size**2, limit * (size - 0.5 * limit))
    return float(terms.sum() + 0.5 * ((prior * at) ** 2).sum())


def refine_all_centroids(
    experiments: Sequence[Measured], reflections: Sequence[ReflectionTable], *, detector: bool = True
) -> list[Centroids]:
    """`refine_centroids` of each experiment with its reflections; the detector moves only where there is one."""
    alone = detector and len(experiments) == 1
    return [
        refine_centroids(experiment, table, detector=alone)
        for experiment, table in zip(experiments, reflections, strict=True)
    ]
