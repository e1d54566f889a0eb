"""Prediction of reflections: where and when the reciprocal lattice meets the Ewald sphere, and how fully.

A scan gives each reflection the angle at which the middle of its rocking curve passes. A still gives each reflection
close enough to the sphere its most probable ray: of all turns, wavelengths and directions of the beam that would bring
it onto the sphere, the likeliest.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_models import DetectorModel, Measured
from nanobrag_torch.io.reflection_table import Flag, ReflectionTable, joined
from nanobrag_torch.spots.rays import Floats, Indices, Spread, excitation, finest, indices_within

WITHIN = 3.0
"""Standard deviations of its excitation up to which a reflection is seen on a still."""
STILL_SPREAD = Spread(mosaicity_deg=0.05)
"""The spread of a still of which nothing is known."""
STRAIN = 0.99
"""Part of d to which a cell that varies during a scan may shrink."""
_STEPS, _MOST_STEPS, _STILL = 8, 50, 1e-12
"""Steps to the sphere; most steps to the crystal of the moment, and the change (radians) that ends them."""
_erf = np.vectorize(erf, otypes=[np.float64])


def predict_all(
    experiments: Sequence[Measured], d_min: float | None = None, spread: Spread | None = None
) -> ReflectionTable:
    """`predict` for every experiment of a list that has a crystal; the column `id` says which.

    Stills and scans in one list share the columns that both have.

    Raises:
        InputError: none has a crystal.
    """
    tables = [predict(x, d_min, spread, number=i) for i, x in enumerate(experiments) if x.crystal is not None]
    if not tables:
        raise InputError("experiments", "none of them has a crystal", "give an indexed experiment list")
    return joined(tables)


def predict(
    experiment: Measured,
    d_min: float | None = None,
    spread: Spread | None = None,
    *,
    number: int = 0,
    within: float = WITHIN,
    beyond_deg: float = 0.0,
    indices: Indices | None = None,
) -> ReflectionTable:
    """The reflections of an experiment that reach its detector, without those that the space group extinguishes.

    Args:
        experiment: with a crystal; a scan is predicted whole.
        d_min: Å; by default what the corners of the detector see.
        spread: widths; what the experiment says by default, and for a still that says nothing `STILL_SPREAD`.
        number: what stands in the column `id`.
        within: of a still, standard deviations up to which a reflection counts as seen.
        beyond_deg: of a scan, how far before its start and behind its end the middle of a rocking curve may lie.
        indices: [n, 3] to choose from instead of all within `d_min`.

    Returns:
        `xyzcal.px` (fast, slow, image) and `xyzcal.mm` (mm, mm, radians), `s1` (1/Å), `d` (Å), `partiality`: of a
        scan the part of the rocking curve that the scan covers, of a still the height of the curve where the crystal
        stands, 1 = exactly on the sphere. Scans have `entering` and `zeta`, stills `delpsical.rad`: the turn to the
        sphere.

    Raises:
        InputError: no crystal, or a resolution that cannot be.
    """
    crystal = experiment.crystal
    if crystal is None:
        raise InputError("crystal", "the experiment has none", "give an indexed one")
    spread = Spread.of(experiment.beam, crystal) if spread is None else spread
    d_min = finest(experiment.beam, experiment.detector) if d_min is None else d_min
    # A cell that varies may reach a little further.
    finer = d_min if crystal.points is None else STRAIN * d_min
    hkl = indices_within(crystal, finer) if indices is None else np.asarray(indices, dtype=np.int32)
    if experiment.still:
        columns = _still(experiment, hkl, STILL_SPREAD if spread == Spread() else spread, within)
    else:
        columns = _scan(experiment, hkl, spread, np.radians(beyond_deg))
    if indices is None:
        seen = np.asarray(columns["d"] >= d_min)
        columns = {name: values[seen] for name, values in columns.items()}
    count = len(columns["d"])
    columns["id"] = np.full(count, number, dtype=np.int32)
    columns["flags"] = np.full(count, int(Flag.PREDICTED), dtype=np.uint64)
    return ReflectionTable(columns, {number: experiment.identifier})


def _still(experiment: Measured, hkl: Indices, spread: Spread, within: float) -> dict[str, NDArray[Any]]:
    s0 = experiment.beam.s0
    cell = experiment.cell(0.0 if experiment.scan is None else experiment.scan.first - 0.5)
    r = hkl @ np.linalg.inv(cell).T
    error = excitation(s0, r)
    near = np.flatnonzero(np.abs(error) <= within * _widest(s0, r, spread))
    near = near[np.abs(error[near]) <= within * spread.of_excitation(s0, s0 + r[near])]
    r, error = r[near], error[near]
    width = spread.of_excitation(s0, s0 + r)
    s1, turned = _likeliest(s0, r, spread)
    columns, on = _on_detector(experiment.detector, s1)
    phi = 0.0 if experiment.scan is None else np.radians(experiment.scan.start)
    place = 0.5 if experiment.scan is None else experiment.scan.first - 0.5
    return _columns(columns, on, hkl[near], s1, r) | {
        "xyzcal.px": np.column_stack([columns["px"], np.full(on.sum(), place)]),
        "xyzcal.mm": np.column_stack([columns["mm"], np.full(on.sum(), phi)]),
        "partiality": np.exp(-0.5 * (error[on] / width[on]) ** 2),
        "delpsical.rad": turned[on],
    }


def _widest(s0: Floats, r: Floats, spread: Spread) -> Floats:
    """A bound [n] on `Spread.of_excitation` that needs no unit vectors: |s0 × u| <= |r|, |s0| (1 - cos) <= |r|."""
    turn = np.radians(np.hypot(spread.mosaicity_deg, spread.divergence_deg))
    return np.asarray(np.sqrt((turn**2 + spread.bandwidth**2) * np.einsum("ni,ni->n", r, r) + spread.size**2) * 1.01)


def _likeliest(s0: Floats, r: Floats, spread: Spread) -> tuple[Floats, Floats]:
    """The likeliest scattered wave vectors [n, 3] of lattice points near the sphere, and their turn [n] (radians).

    The sources of width are independent Gaussians x with variances v that change the excitation f by g · x, to first
    order; the likeliest x with no excitation left is -f v g / (g · v g). Repeated from where that leads, it converges
    to the sphere.
    """
    mosaic, diverge = np.radians(spread.mosaicity_deg) ** 2, np.radians(spread.divergence_deg) ** 2
    colour, size = spread.bandwidth**2, spread.size**2
    beam = np.broadcast_to(s0, r.shape).copy()
    point, turned = r.copy(), np.zeros(len(r))
    for _ in range(_STEPS):
        s1 = beam + point
        length = np.linalg.norm(s1, axis=1, keepdims=True)
        unit, beam_length = s1 / length, np.linalg.norm(beam, axis=1, keepdims=True)
        error = length - beam_length
        axis = np.cross(point, unit)  # a turn a of the crystal changes the excitation by a · axis, of the beam by its
        other = np.cross(beam, unit)  # own a · other, and both have the length |s0 × u|
        blue = np.einsum("ni,ni->n", beam, unit)[:, None] - beam_length
        square = np.einsum("ni,ni->n", axis, axis)[:, None]
        total = (mosaic + diverge) * square + colour * blue**2 + size
        share = -error / np.maximum(total, 1e-300)
        turn, tilt = share * mosaic * axis, share * diverge * other
        point = _turned(turn, point) + share * size * unit
        beam = _turned(tilt, beam) * (1.0 + share * colour * blue)
        turned += np.sign(-error[:, 0]) * np.linalg.norm(turn, axis=1)
    s1 = beam + point
    return s1, turned


def _turned(turn: Floats, vectors: Floats) -> Floats:
    """Vectors [n, 3] rotated by rotation vectors [n, 3] (Rodrigues)."""
    angle = np.linalg.norm(turn, axis=1, keepdims=True)
    unit = turn / np.maximum(angle, 1e-300)
    along = np.einsum("ni,ni->n", unit, vectors)[:, None]
    return np.asarray(
        vectors * np.cos(angle) + np.cross(unit, vectors) * np.sin(angle) + unit * along * (1.0 - np.cos(angle))
    )


def _scan(experiment: Measured, hkl: Indices, spread: Spread, beyond: float) -> dict[str, NDArray[Any]]:
    scan, goniometer, s0 = experiment.scan, experiment.goniometer, experiment.beam.s0
    crystal = experiment.crystal
    assert scan is not None
    assert goniometer is not None
    assert crystal is not None
    begin = np.radians(scan.start)
    span = np.radians(scan.width * scan.images)
    low, high = min(begin, begin + span), max(begin, begin + span)
    mount, spindle = goniometer.setting @ goniometer.fixed, goniometer.spindle
    middle = crystal.at(0.5 * scan.images)
    varies = crystal.points is not None
    margin = beyond + (_drift(crystal.points, middle) if crystal.points is not None else 0.0)
    which, phi = _crossings(
        s0, spindle, np.asarray(hkl @ (mount @ np.linalg.inv(middle)).T), low - margin, high + margin
    )
    for _ in range(_MOST_STEPS if varies else 0):
        # The crystal of the moment: its own crossing, of the two the one closest to the last.
        place = (phi - begin) / np.radians(scan.width)
        here = np.einsum("ij,njk->nik", mount, np.linalg.inv(crystal.at(place)))
        p = np.einsum("nij,nj->ni", here, hkl[which].astype(np.float64))
        last, phi = phi, _closest(s0, spindle, p, phi)
        change = np.abs(phi - last)
        met = np.isfinite(phi)
        which, phi = which[met], phi[met]
        if (change[met] < _STILL).all():
            break
    inside = (phi >= low - beyond) & (phi < high + beyond)
    which, phi = which[inside], phi[inside]
    place = (phi - begin) / np.radians(scan.width)
    reciprocal = np.linalg.inv(crystal.at(place))
    p = np.einsum("nij,nj->ni", np.einsum("ij,njk->nik", mount, reciprocal), hkl[which].astype(np.float64))
    r = _turned(phi[:, None] * spindle, p)
    s1 = s0 + r
    columns, on = _on_detector(experiment.detector, s1)
    rate = np.cross(s1, s0) @ spindle / np.linalg.norm(s0)
    across = np.linalg.norm(np.cross(s0, s1), axis=1)
    zeta = np.cross(s1, s0) @ spindle / np.maximum(across, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = spread.of_excitation(s0, s1) / np.abs(rate)
        ends = (np.array([low, high])[:, None] - phi) / (np.sqrt(2.0) * sigma)
    curve = np.where(np.isnan(ends), 0.0, ends)
    partiality = 0.5 * (_erf(curve[1]) - _erf(curve[0])) if len(phi) else np.zeros(0)
    return _columns(columns, on, hkl[which], s1, r) | {
        "xyzcal.px": np.column_stack([columns["px"], place[on] + scan.first - 1]),
        "xyzcal.mm": np.column_stack([columns["mm"], phi[on]]),
        "partiality": partiality[on],
        "entering": rate[on] < 0.0,
        "zeta": zeta[on],
    }


def crossing_near(experiment: Measured, indices: Indices, place: Floats) -> tuple[Floats, Floats]:
    """Scattered wave vectors [n, 3] (1/Å) of reflections, and where in the scan [n] they cross the sphere.

    Of the two crossings of a turn that closest to `place` [n] (image n covers n - 1 to n) counts; NaN where there is
    none. A still has the most probable rays, at `place`.

    Raises:
        InputError: no crystal.
    """
    crystal, s0 = experiment.crystal, experiment.beam.s0
    if crystal is None:
        raise InputError("crystal", "the experiment has none", "give an indexed one")
    hkl = np.asarray(indices, dtype=np.float64)
    if experiment.still:
        cell = experiment.cell(0.0 if experiment.scan is None else experiment.scan.first - 0.5)
        spread = Spread.of(experiment.beam, crystal)
        r = hkl @ np.linalg.inv(cell).T
        return _likeliest(s0, r, STILL_SPREAD if spread == Spread() else spread)[0], np.asarray(place)
    scan, goniometer = experiment.scan, experiment.goniometer
    assert scan is not None
    assert goniometer is not None
    mount = goniometer.setting @ goniometer.fixed
    here = np.einsum("ij,njk->nik", mount, np.linalg.inv(crystal.at(place - (scan.first - 1))))
    p = np.einsum("nij,nj->ni", here, hkl)
    phi = _closest(s0, goniometer.spindle, p, np.radians(scan.angle(place)))
    s1 = s0 + _turned(phi[:, None] * goniometer.spindle, p)
    return s1, scan.place(np.degrees(phi))


def _drift(points: Floats, middle: Floats) -> float:
    """A bound (radians) on how far a varying crystal turns or strains from its middle, doubled for the spindle."""
    change = np.einsum("nij,jk->nik", np.linalg.inv(points), middle) - np.eye(3)
    return float(10.0 * np.abs(change).max() + 1e-4)


def _harmonic(s0: Floats, spindle: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Middle angle [n] and half the distance [n] of the two crossings of points p [n, 3] (at angle 0) in a turn.

    2 s0 · R(phi) p + p² = 0 is b cos(phi) + c sin(phi) = -a; the half distance is NaN for points that never cross.
    """
    along = p @ spindle
    fixed = along * (spindle @ s0) + 0.5 * np.einsum("ni,ni->n", p, p)
    cosine = p @ s0 - along * (spindle @ s0)
    sine = np.cross(spindle, p) @ s0
    amplitude = np.hypot(cosine, sine)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.arccos(np.where(amplitude > np.abs(fixed), -fixed / amplitude, np.nan))
    return np.arctan2(sine, cosine), half


def _crossings(s0: Floats, spindle: Floats, p: Floats, low: float, high: float) -> tuple[NDArray[np.intp], Floats]:
    """Which points cross between two angles, and where; a scan of several turns meets each several times."""
    middle, half = _harmonic(s0, spindle, p)
    which, phi = [], []
    for root in (middle - half, middle + half):
        first = low + np.mod(root - low, 2.0 * np.pi)
        for turn in range(int((high - low) // (2.0 * np.pi)) + 1):
            angle = first + 2.0 * np.pi * turn
            met = np.flatnonzero(angle < high)
            which.append(met)
            phi.append(angle[met])
    return np.concatenate(which), np.concatenate(phi)


def _closest(s0: Floats, spindle: Floats, p: Floats, phi: Floats) -> Floats:
    """The crossings [n] of points p [n, 3] closest to angles [n]."""
    middle, half = _harmonic(s0, spindle, p)
    away = [np.mod(root - phi + np.pi, 2.0 * np.pi) - np.pi for root in (middle - half, middle + half)]
    return np.asarray(phi + np.where(np.abs(away[0]) < np.abs(away[1]), away[0], away[1]))


def _on_detector(detector: DetectorModel, s1: Floats) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
    """Panel, pixels and mm of the rays that meet a panel, and which [n] do; of overlapping panels the nearest."""
    count = len(s1)
    panel, near = np.full(count, -1), np.full(count, np.inf)
    pixels, mm = np.zeros((count, 2)), np.zeros((count, 2))
    unit = s1 / np.linalg.norm(s1, axis=1, keepdims=True)
    for number, plate in enumerate(detector.panels):
        px, own = plate.pixels(s1)
        size = np.array([plate.plane.pixels_f, plate.plane.pixels_s])
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (plate.plane.origin @ plate.plane.normal) / (unit @ plate.plane.normal)
            better = ((px >= 0) & (px < size)).all(axis=1) & (distance < near)
        panel[better], near[better], pixels[better], mm[better] = number, distance[better], px[better], own[better]
    on = panel >= 0
    return {"panel": panel[on].astype(np.uint64), "px": pixels[on], "mm": mm[on]}, on


def _columns(
    seen: dict[str, NDArray[Any]], on: NDArray[np.bool_], hkl: Indices, s1: Floats, r: Floats
) -> dict[str, NDArray[Any]]:
    return {
        "miller_index": hkl[on],
        "panel": seen["panel"],
        "s1": s1[on],
        "d": 1.0 / np.linalg.norm(r[on], axis=1),
    }
