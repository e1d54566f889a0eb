"""Where circles of equal resolution and the direct beam fall on a panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.io.scene import Floats, Scene

USUAL_RINGS = 5
_POINTS = 721
_DIGITS = 2
_ROOM = 0.4
"""Part of a ring's distance that stays free in the farthest corner."""


@dataclass(frozen=True)
class Ring:
    """A circle of equal resolution: `spacing` in Å, and the parts of it on the panel as lines [n, 2] (fast, slow).

    Coordinates are in pixels from the outer corner of pixel (0, 0), whose centre is at (0.5, 0.5).
    """

    spacing: float
    lines: tuple[Floats, ...]


@dataclass(frozen=True)
class Marks:
    """What can be drawn over an image: rings, and the direct beam (fast, slow) in pixels, `None` = not on the panel."""

    rings: tuple[Ring, ...] = ()
    beam: tuple[float, float] | None = None


def resolution(scene: Scene, fast: Floats, slow: Floats, panel: int = 0) -> Floats:
    """Resolution d = λ/(2 sin θ) in Å [...] at coordinates (pixels from the corner) [...]; infinite in the beam."""
    here = scene.panels[panel]
    place = (
        here.origin
        + np.asarray(fast)[..., None] * here.pixel_size * here.fast
        + np.asarray(slow)[..., None] * here.pixel_size * here.slow
    )
    directions = place / np.linalg.norm(place, axis=-1, keepdims=True)
    step = np.linalg.norm(directions - scene.beam.direction, axis=-1)
    with np.errstate(divide="ignore"):
        return np.asarray(scene.beam.wavelength / step)


def usual_spacings(scene: Scene, panel: int = 0, count: int = USUAL_RINGS) -> tuple[float, ...]:
    """Round spacings (Å) of rings spread evenly from the beam to the farthest corner of a panel, coarse to fine."""
    here = scene.panels[panel]
    corners = np.array([(0, 0), (here.pixels_f, 0), (0, here.pixels_s), (here.pixels_f, here.pixels_s)], dtype=float)
    finest = float(resolution(scene, corners[:, 0], corners[:, 1], panel).min())
    largest = 2.0 * np.arcsin(min(1.0, scene.beam.wavelength / (2.0 * finest)))
    shares = np.arange(1, count + 1) / (count + _ROOM)
    # By radius on a flat detector; by angle where it reaches a right angle.
    angles = np.arctan(np.tan(largest) * shares) if largest < np.pi / 2.0 else largest * shares
    spacings = scene.beam.wavelength / (2.0 * np.sin(angles / 2.0))
    return tuple(dict.fromkeys(float(f"{d:.{_DIGITS}g}") for d in spacings))


def marks(scene: Scene, panel: int = 0, spacings: Sequence[float] | None = None) -> Marks:
    """Rings of given spacings (Å; by default a few round ones) and the direct beam on a panel.

    A curved detector has no rings here: its pixels do not lie where the panel says.
    """
    if scene.curved:
        return Marks()
    chosen = usual_spacings(scene, panel) if spacings is None else spacings
    rings = [Ring(d, _lines(scene, d, panel)) for d in chosen if 2.0 * d > scene.beam.wavelength]
    return Marks(tuple(ring for ring in rings if ring.lines), _beam(scene, panel))


def _beam(scene: Scene, panel: int) -> tuple[float, float] | None:
    here = scene.panels[panel]
    if abs(scene.beam.direction @ here.normal) < 1e-9:
        return None
    f, s, distance = here.meets(scene.beam.direction)
    return (f / here.pixel_size, s / here.pixel_size) if distance > 0 and here.holds(f, s) else None


def _lines(scene: Scene, spacing: float, panel: int) -> tuple[Floats, ...]:
    """The parts of a ring on a panel."""
    here, beam = scene.panels[panel], scene.beam.direction
    twotheta = 2.0 * np.arcsin(scene.beam.wavelength / (2.0 * spacing))
    across = here.fast - (here.fast @ beam) * beam
    if np.linalg.norm(across) < 0.1:
        across = here.slow - (here.slow @ beam) * beam
    across = across / np.linalg.norm(across)
    turn = np.linspace(0.0, 2.0 * np.pi, _POINTS)[:, None]
    around = np.cos(turn) * across + np.sin(turn) * np.cross(beam, across)
    rays = np.cos(twotheta) * beam + np.sin(twotheta) * around
    towards = rays @ here.normal
    with np.errstate(divide="ignore", invalid="ignore"):
        far = (here.origin @ here.normal) / towards
        points = far[:, None] * rays - here.origin
        plane = np.column_stack([points @ here.fast, points @ here.slow]) / here.pixel_size
    size = np.array([here.pixels_f, here.pixels_s])
    seen = np.isfinite(plane).all(axis=1) & (far > 0)
    seen &= ((np.nan_to_num(plane) >= 0) & (np.nan_to_num(plane) <= size)).all(axis=1)
    return tuple(plane[run] for run in _runs(seen) if len(run) > 1)


def _runs(seen: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Indices of the stretches of a closed line that are seen."""
    where = np.flatnonzero(seen)
    runs = np.split(where, np.flatnonzero(np.diff(where) > 1) + 1) if len(where) else []
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][-1] == len(seen) - 1:
        runs = [np.concatenate([runs[-1], runs[0][1:]]), *runs[1:-1]]
    return runs
