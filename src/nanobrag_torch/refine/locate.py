"""Where a camera stands and how a crystal lies, before a refinement that only looks nearby.

Two searches. The *camera* is found by correlating the logarithms of the measured and the predicted image for all shifts
and several distances. The *crystal* is found from the places of strong spots alone: orientations and cell lengths on a
grid are judged by how close to whole numbers they bring the indices of the spots, the best are refined, and the image
that each predicts is correlated with the measured one. A search gives an answer only if the second best is clearly
worse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Experiment, Panel
from nanobrag_torch.pipeline.render import lattice_of, panel_frame_of
from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.refine.correlate import Peak, correlation_map, logarithm, peak_of
from nanobrag_torch.refine.fit import Observation
from nanobrag_torch.refine.orient import Turned, candidates
from nanobrag_torch.refine.starting import free_cell

_CLEARLY = 1.5
"""By how many standard deviations of all correlations the best shift has to beat the others (of noise, the best two
of n normal deviates are 1 / sqrt(2 log n) apart: 0.2 standard deviations)."""
_WORTH, _BEATS = 0.15, 0.15
"""The least correlation of an image with that of the right crystal, and by how much of it that is above the second."""
_NEAR, _ROUNDS = 3, 4
"""Pixels, and number, of the last looks around a peak."""
_COARSE = 3.0
"""Pixels by which the corner of the detector moves between two distances of the first look."""


@dataclass(frozen=True)
class Reach:
    """How far to search.

    Args:
        shift: of the camera across the beam, as a part of the longer edge of a panel.
        distance: of the camera along the beam, as a part of its distance.
        turn_deg: of the crystal about any axis.
        cell: of each length, as a part.
    """

    shift: float = 0.25
    distance: float = 0.01
    turn_deg: float = 2.0
    cell: float = 0.01

    def __post_init__(self) -> None:
        for name, most in (("shift", 0.5), ("distance", 0.2), ("turn_deg", 10.0), ("cell", 0.05)):
            if not 0.0 <= getattr(self, name) <= most:
                raise InputError(name, f"{getattr(self, name)}", f"give a number from 0 to {most:g}")


@dataclass(frozen=True)
class Located:
    """What a search found.

    Args:
        experiment: with the camera and the crystal moved.
        shift: (slow, fast) pixels by which its spots moved with the camera.
        distance: the new distance over the old one.
        turn_deg: rotation vector [3] of the crystal in the lab (degrees).
        lengths: [3] new cell lengths over the old ones.
        score: correlation of the logarithms of the measured and the predicted image.
        second: that of the second best answer of the search that decided, which moved `decided`.
        decided: `camera` or `crystal`.
    """

    experiment: Experiment
    shift: tuple[float, float]
    distance: float
    turn_deg: Tensor
    lengths: Tensor
    score: float
    second: float
    decided: str


@dataclass(frozen=True)
class _Measured:
    """Per panel, photons [slow, fast] and 1 where a pixel counts; their logarithms, and the level inside them."""

    images: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    logs: tuple[Tensor, ...]
    level: float
    background: float


@dataclass(frozen=True)
class _Camera:
    """A place of the camera: shift (slow, fast) in pixels, factor on the distance, and the peak there."""

    shift: tuple[float, float]
    distance: float
    peak: Peak


def locate(experiment: Experiment, observation: Observation, reach: Reach | None = None) -> Located:
    """Move camera and crystal to where they explain an image, from a start that may be far off.

    Either the camera may be far off (up to a quarter of the frame, 1 % of the distance) or the crystal (2 degrees, 1 %
    of its lengths); the other one is expected near, within three pixels. What is not far off is moved a little at the
    end. Scale and background do not matter.

    Args:
        experiment: the start; a still, or one image of a sweep.
        observation: photons in all pixels that count; the others are masked.
        reach: how far to search; 0 keeps something.

    Raises:
        InputError: no answer is clearly better than the next, or the panels are not parallel to each other.
    """
    reach = reach or Reach()
    _check_parallel(experiment)
    measured = _measured(experiment, observation)
    why = []
    found: list[Located] = []
    for search in (_by_camera, _by_crystal):
        try:
            found.append(search(experiment, measured, reach))
        except InputError as error:
            why.append(str(error))
    if not found:
        text = "the image has no clearly best place for camera or crystal: " + "; ".join(why)
        raise InputError("observation", text, "start nearer, search less far, or index the image first")
    return max(found, key=lambda one: one.score)


def _by_camera(experiment: Experiment, measured: _Measured, reach: Reach) -> Located:
    """Look everywhere for the camera, then nearby for the crystal."""
    camera = _camera(experiment, measured, reach.shift, reach.distance)
    peak = camera.peak
    if peak.score - peak.second < _CLEARLY * peak.scatter or peak.score <= 0.0:
        text = f"the best shift correlates by {peak.score:.3f}, the next by {peak.second:.3f}"
        raise InputError("shift", text, "start nearer")
    best = _camera_nearby(experiment, measured, camera, reach)
    moved = _moved(experiment, best)
    one = torch.ones(3, dtype=torch.float64)
    return Located(moved, best.shift, best.distance, 0.0 * one, one, best.peak.score, peak.second, "camera")


def _by_crystal(experiment: Experiment, measured: _Measured, reach: Reach) -> Located:
    """Look everywhere for the crystal, then nearby for the camera."""
    if not reach.turn_deg:
        raise InputError("turn_deg", "the crystal is not to be turned", "allow it")
    start = free_cell(experiment)
    tried: list[tuple[float, Turned]] = []
    for turned in candidates(start, (measured.images, measured.masks), reach.turn_deg, reach.cell):
        peak = _look(turned.experiment, measured, (_NEAR, _NEAR))
        tried.append((peak.score, turned))
    if not tried:
        raise InputError("observation", "too few spots lie where any orientation predicts them", "start nearer")
    tried.sort(key=lambda one: -one[0])
    (score, best), second = tried[0], tried[1][0] if len(tried) > 1 else 0.0
    if score < _WORTH or score - second < _BEATS * score:
        text = f"the best orientation correlates by {score:.3f}, the next by {second:.3f}"
        raise InputError("misset", text, "start nearer")
    here = _Camera((0.0, 0.0), 1.0, _look(best.experiment, measured, (_NEAR, _NEAR)))
    last = _camera_nearby(best.experiment, measured, here, replace(reach, distance=0.0))
    moved = _moved(best.experiment, last)
    return Located(moved, last.shift, 1.0, best.turn_deg, best.lengths, last.peak.score, second, "crystal")


def _camera(experiment: Experiment, measured: _Measured, shift: float, distance: float) -> _Camera:
    """The best of all shifts and of distances a few pixels apart at the corners."""
    panels = experiment.detector.panels
    longest = max(max(panel.pixels_s, panel.pixels_f) for panel in panels)
    lags = max(int(shift * longest), _NEAR)
    count = int(distance * _radius(experiment) / _COARSE + 0.999)
    factors = [1.0 + distance * k / max(count, 1) for k in range(-count, count + 1)]
    found = []
    for factor in factors:
        peak = _look(_moved(experiment, _still(factor)), measured, (lags, lags))
        found.append(_Camera((peak.slow, peak.fast), factor, peak))
    return max(found, key=lambda one: one.peak.score)


def _camera_nearby(experiment: Experiment, measured: _Measured, camera: _Camera, reach: Reach) -> _Camera:
    """Shift and distance to a fraction of a pixel: look again from where the last look led."""
    step = _COARSE / max(_radius(experiment), 1.0)
    best = camera
    for _ in range(_ROUNDS):
        tries = [0.0] if reach.distance == 0.0 else [-step, 0.0, step]
        seen = []
        for away in tries:
            there = replace(best, distance=best.distance + away)
            peak = _look(_moved(experiment, there), measured, (_NEAR, _NEAR))
            shift = (best.shift[0] + peak.slow, best.shift[1] + peak.fast)
            seen.append(_Camera(shift, there.distance, peak))
        top = max(seen, key=lambda one: one.peak.score)
        if len(seen) == 3:
            low, mid, high = (one.peak.score for one in seen)
            bend = low - 2.0 * mid + high
            if bend < 0.0 and top is seen[1]:
                top = replace(top, distance=top.distance + 0.5 * step * (low - high) / bend)
            step /= 2.0 if top.distance != best.distance and top is not seen[1] else 4.0
        best = top
    last = _look(_moved(experiment, best), measured, (_NEAR, _NEAR))
    return _Camera((best.shift[0] + last.slow, best.shift[1] + last.fast), best.distance, last)


def _look(experiment: Experiment, measured: _Measured, reach: tuple[int, int]) -> Peak:
    """Where the image of an experiment is most like the measured one."""
    images = Simulator(_quick(experiment)).run().panels
    weight = sum(float((a * m).sum()) for a, m in zip(measured.images, measured.masks, strict=True))
    pixels = sum(float(m.sum()) for m in measured.masks)
    total = sum(float(image.sum()) for image in images)
    if not total > 0.0:
        return Peak(0.0, 0.0, 0.0, 0.0, 1.0)
    scale = max(weight - measured.background * pixels, 0.05 * weight, 1.0) / total
    logs = [
        logarithm(scale * image.detach() + measured.background, torch.ones_like(image), measured.level)
        for image in images
    ]
    return peak_of(correlation_map(measured.logs, logs, measured.masks, reach))


def _quick(experiment: Experiment) -> Experiment:
    """The same spots, no finer than pixels: fewer cells, one sample a pixel."""
    crystal = experiment.crystal
    lengths = lattice_of(crystal, experiment.physics == "exact").direct.detach().norm(dim=1)
    panel = experiment.detector.panels[0]
    far = panel_frame_of(panel, experiment.beam.direction, experiment.physics == "exact").distance.detach().abs()
    finest = experiment.beam.wavelength.detach() * far / panel.pixel_size.detach() / lengths
    cells = torch.minimum(crystal.N.detach(), finest.clamp_min(2.0))
    sampling = experiment.sampling.replace(oversample=1, masks=None)
    return experiment.replace(crystal=crystal.replace(N=cells), sampling=sampling)


def _measured(experiment: Experiment, observation: Observation) -> _Measured:
    images, masks = [], []
    for number, panel in enumerate(experiment.detector.panels):
        own = observation.pixels[:, 0] == number
        slow, fast = observation.pixels[own][:, 1:].unbind(1)
        image = torch.zeros(panel.pixels_s, panel.pixels_f, dtype=torch.float64)
        mask = torch.zeros_like(image)
        image[slow, fast], mask[slow, fast] = observation.values[own].to(torch.float64), 1.0
        images.append(image)
        masks.append(mask)
    background = float(observation.values.to(torch.float64).median().clamp_min(0.0))
    level = max(background, 1.0)
    logs = tuple(logarithm(image, mask, level) for image, mask in zip(images, masks, strict=True))
    return _Measured(tuple(images), tuple(masks), logs, level, background)


def _radius(experiment: Experiment) -> float:
    """Half the diagonal of the detector in pixels of its first panel."""
    exact, beam = experiment.physics == "exact", experiment.beam.direction
    corners = []
    for panel in experiment.detector.panels:
        frame = panel_frame_of(panel, beam, exact)
        for f, s in ((0.0, 0.0), (1.0, 1.0)):
            corners.append(frame.origin + f * panel.lengths[0] * frame.fast + s * panel.lengths[1] * frame.slow)
    places = torch.stack(corners).detach()
    across = (places - (places @ beam.detach())[:, None] * beam.detach()).norm(dim=1)
    return float(across.max() / experiment.detector.panels[0].pixel_size.detach())


def _still(factor: float) -> _Camera:
    return _Camera((0.0, 0.0), factor, Peak(0.0, 0.0, 0.0, 0.0, 1.0))


def _check_parallel(experiment: Experiment) -> None:
    frames = [panel_frame_of(p, experiment.beam.direction, True) for p in experiment.detector.panels]
    for number, (one, other) in enumerate(pairwise(frames)):
        if min(float(one.fast.detach() @ other.fast.detach()), float(one.slow.detach() @ other.slow.detach())) < 0.99:
            text = f"the axes of panel {number + 1} are not those of panel {number}"
            raise InputError("detector", text, "locate with the panels whose axes agree")


def _moved(experiment: Experiment, camera: _Camera) -> Experiment:
    """The experiment whose spots lie `shift` pixels (slow, fast) farther, with its camera farther away."""
    detector = experiment.detector
    first = detector.panels[0]
    exact, beam = experiment.physics == "exact", experiment.beam.direction
    frame = panel_frame_of(first, beam, exact)
    away = torch.tensor(camera.shift, dtype=torch.float64) * first.pixel_size
    step = -away[1] * frame.fast - away[0] * frame.slow + (camera.distance - 1.0) * frame.distance * beam

    def placed(panel: Panel) -> Panel:
        if panel.origin is not None:
            return panel.replace(origin=panel.origin + step)
        across = away.flip(0)
        return panel.replace(
            beam_centre=panel.beam_centre + across,
            near_point=panel.near_point + across,
            distance=panel.distance * camera.distance,
        )

    panels = tuple(placed(panel) for panel in detector.panels)
    return experiment.replace(detector=detector.replace(panels=panels))
