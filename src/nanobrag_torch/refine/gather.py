"""From frames and reflections to what is refined against: the counts around spots, as shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_models import Measured
from nanobrag_torch.io.reflection_table import Flag, ReflectionTable
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.models import Experiment
from nanobrag_torch.refine.fit import Observation
from nanobrag_torch.refine.frames import Frames
from nanobrag_torch.refine.shots import Shot
from nanobrag_torch.spots import Spread, predict, regions
from nanobrag_torch.spots.regions import FrameRegions, Regions
from nanobrag_torch.units import degrees_from_radians

Whole = NDArray[np.int64]
BEYOND = 1
"""Images by which a region reaches beyond those on which its spot was seen."""
LEAST_CORE, MOST_CORE, PREDICTED_CORE = 3.0, 8.0, 4.0
"""Half widths of a core (pixels): limits of what observed spots ask for, and that of predicted ones."""
NEAR_SPINDLE = 0.05
"""Least |ζ|: a reflection so near the spindle passes too slowly for its angle to say much (and too unevenly)."""


@dataclass(frozen=True)
class Choice:
    """Which reflections are taken, and how much around them.

    Args:
        core: half width of what may hold a spot, pixels; of observed spots, by default, what nine in ten of them need.
        border: pixels of background around it.
        most: as many regions at most, the brightest.
        significance: least sum of a spot over its standard deviation.
        leave_out: one image in this many is not refined against, only predicted; 0 = none.
    """

    core: float | None = None
    border: float = 3.0
    most: int = 500
    significance: float = 3.0
    leave_out: int = 0


@dataclass(frozen=True, eq=False)
class Gathered:
    """A shot, and the reflections behind its regions.

    Args:
        shot: what is refined against.
        table: the reflections, one row each, with boxes and flags.
        rows: [R] the reflection of each of the shot's regions (a region is a reflection on one image).
        numbers: numbers of the shot's images in the scan (1 for a still).
        left_out: the same for images that are only predicted; `None` = there are none.
        place: number of the experiment in its list.
    """

    shot: Shot
    table: ReflectionTable
    rows: Whole
    numbers: tuple[int, ...]
    left_out: Gathered | None = field(default=None, repr=False)
    place: int = 0


def gather(
    frames: Frames,
    place: int,
    begun: Experiment,
    reflections: ReflectionTable | None,
    choice: Choice,
) -> Gathered:
    """The shot of an experiment.

    Args:
        frames: of the whole list.
        place: number of the experiment in it.
        begun: the experiment at which the refinement starts.
        reflections: those of this experiment with observed centroids; `None` = predicted ones are taken.
        choice: which.

    Raises:
        InputError: no reflection is left, with the reasons.
    """
    measured = frames.experiments[place]
    spots, observed = _spots(measured, reflections)
    found = len(spots)
    spots = spots.select(_known(spots, begun.crystal.structure_factors))
    known = len(spots)
    core = choice.core or (_core_of(spots) if observed else PREDICTED_CORE)
    made = regions(spots, measured, core=core, border=choice.border, observed=observed, mask=frames.mask)
    number = _numbers(frames, place)
    images = [image for image in made.images if image in number]
    made = made.judged(lambda n: (frames.good(number[n]), frames.saturated(number[n])), images=images)
    sight = _Sight(frames, number, made.usable(), _everything(measured, begun, core, frames))
    if not observed and len(sight.made):
        total, sigma = sight.strengths()
        sight = sight.only(np.flatnonzero(total >= choice.significance * sigma))
    if not len(sight.made):
        text = f"of {found} reflections {known} have an amplitude and none of them can be used"
        saturated = int(made.table.flagged(Flag.OVERLOADED).sum())
        raise InputError(
            f"experiment {place}",
            f"{text} ({len(made)} on the detector, {saturated} saturated)",
            "check geometry, mask and trusted range",
        )
    if len(sight.made) > choice.most:
        sight = sight.only(np.sort(np.argsort(-sight.strengths()[0])[: choice.most]))
    images = [image for image in sight.made.images if image in number]
    out = images[choice.leave_out - 1 :: choice.leave_out] if choice.leave_out else []
    kept = [image for image in images if image not in out]
    left = _shot(sight, begun, measured, out, place) if out else None
    return replace(_shot(sight, begun, measured, kept, place), left_out=left)


@dataclass(frozen=True, eq=False)
class _Sight:
    """Regions on frames: `others` are all reflections that may be there, whose cores are no background."""

    frames: Frames
    number: dict[int, int]
    made: Regions
    others: Regions

    def only(self, rows: Whole) -> _Sight:
        return replace(self, made=self.made.select(rows))

    def on(self, image: int) -> tuple[FrameRegions, NDArray[np.float64]]:
        """The pixels of an image that can be believed, and their photons."""
        frame = self.number[image]
        found = self.made.on(image, self.frames.good(frame))
        beside = self.others.on(image)
        wide = max(fast for _, fast in self.made.shapes) * max(slow for slow, _ in self.made.shapes)

        def flat(pixels: Whole) -> Whole:
            return pixels[:, 0] * wide + pixels[:, 1] * max(fast for _, fast in self.made.shapes) + pixels[:, 2]

        keep = found.core | ~np.isin(flat(found.pixels), flat(beside.pixels[beside.core]))
        found = FrameRegions(found.pixels[keep], found.region[keep], found.core[keep])
        whole = self.frames.photons(frame)
        values = np.zeros(len(found))
        for panel in np.unique(found.pixels[:, 0]):
            own = found.pixels[:, 0] == panel
            values[own] = whole[panel][found.pixels[own, 1], found.pixels[own, 2]]
        return found, values

    def strengths(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Photons [n] in the cores above the level around them, and their standard deviations [n]."""
        count = len(self.made)
        total, variance = np.zeros(count), np.zeros(count)
        for image in self.made.images:
            if image not in self.number:
                continue
            found, photons = self.on(image)
            core, inner, outer = found.core, found.region[found.core], found.region[~found.core]
            around = np.maximum(np.bincount(outer, minlength=count), 1)
            level, inside = np.bincount(outer, photons[~core], count) / around, np.bincount(inner, minlength=count)
            seen = np.bincount(inner, photons[core], count)
            total += seen - inside * level
            variance += seen + inside**2 * level / around
        return total, np.sqrt(np.maximum(variance, 1.0))


def _everything(measured: Measured, begun: Experiment, core: float, frames: Frames) -> Regions:
    """The cores of all reflections that may be seen."""
    mosaic = begun.crystal.mosaic
    spreads = mosaic.spread if mosaic.spreads is None else mosaic.spreads
    lengths = np.linalg.norm(measured.crystal.cell, axis=1) if measured.crystal is not None else np.ones(3)
    domain = float((begun.crystal.N.detach().numpy() * lengths).min())
    spread = Spread(mosaicity_deg=float(degrees_from_radians(spreads.detach().max())), domain_A=domain)
    spots = predict(measured, spread=spread)
    return regions(spots, measured, core=core, border=0.0, spread=spread, mask=frames.mask)


def _numbers(frames: Frames, place: int) -> dict[int, int]:
    """Which frame each image of an experiment is, by its number."""
    measured, own = frames.experiments[place], frames.of_experiment(place)
    if measured.still:
        return {1 if measured.scan is None else measured.scan.first: own[0]}
    return {frames.frames[i].number: i for i in own}


def _spots(measured: Measured, reflections: ReflectionTable | None) -> tuple[ReflectionTable, bool]:
    """Reflections, and whether they were observed; near the spindle none is taken."""
    if reflections is None:
        spots, observed = predict(measured), False
    else:
        spots, observed = reflections.select(reflections.indexed()), True
        if "bbox" in spots and not measured.still and measured.scan is not None:
            boxes, scan = spots.boxes.copy(), measured.scan
            boxes[:, 4] = np.maximum(boxes[:, 4] - BEYOND, scan.first - 1)
            boxes[:, 5] = np.minimum(boxes[:, 5] + BEYOND, scan.first - 1 + scan.images)
            spots = spots.with_columns({"bbox": boxes})
    if not len(spots):
        raise InputError("reflections", "none of them is indexed", "index them, or leave the .refl away")
    if not measured.still and measured.goniometer is not None and "s1" in spots:
        s0, s1 = measured.beam.s0, spots["s1"]
        across = np.cross(s1, s0)
        zeta = across @ measured.goniometer.spindle / np.maximum(np.linalg.norm(across, axis=1), 1e-300)
        spots = spots.select(np.abs(zeta) >= NEAR_SPINDLE)
    return spots, observed


def _core_of(spots: ReflectionTable) -> float:
    """Half width of a core that holds nine in ten of the observed spots."""
    if "bbox" not in spots or not len(spots):
        return PREDICTED_CORE
    boxes = spots.boxes
    widths = np.maximum(boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2])
    return float(np.clip(0.5 * np.quantile(widths, 0.9) + 1.0, LEAST_CORE, MOST_CORE))


def _known(spots: ReflectionTable, table: StructureFactors) -> NDArray[np.bool_]:
    """Which reflections have an amplitude that is not 0."""
    if table.values is None:
        return np.ones(len(spots), dtype=np.bool_)
    h, k, l = (torch.from_numpy(column.astype(np.int64)) for column in spots.indices.T)
    return np.asarray((table.nearest(h, k, l) > 0.0).numpy())


def _shot(sight: _Sight, begun: Experiment, measured: Measured, images: Sequence[int], place: int) -> Gathered:
    """The pixels of some images; a region without a pixel on an image has no label there."""
    pixels, values, labels, which, cores, rows = [], [], [], [], [], []
    numbers: list[int] = []
    regions_before = 0
    for image in images:
        found, photons = sight.on(image)
        if not found.core.any():
            continue
        row, label = np.unique(found.region, return_inverse=True)
        pixels.append(found.pixels)
        values.append(photons)
        labels.append(label + regions_before)
        which.append(np.full(len(found), len(numbers)))
        cores.append(found.core)
        rows.append(row)
        numbers.append(image)
        regions_before += len(row)
    if not pixels:
        raise InputError(f"experiment {place}", "no image with a usable spot is left", "leave out fewer images")

    def joined(parts: Sequence[NDArray[Any]]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(parts))

    first = 1 if measured.scan is None else measured.scan.first
    turns = torch.tensor([float(begun.scan.range) * (n - first) for n in numbers], dtype=torch.float64)
    still = measured.still
    shot = Shot(
        begun,
        Observation(joined(values), joined(pixels)),
        joined(labels),
        None if still else joined(which),
        None if still else turns,
        joined(cores),
    )
    return Gathered(shot, sight.made.table, np.concatenate(rows), tuple(numbers), None, place)


def scaled(gathered: Gathered, experiment: Experiment) -> Experiment:
    """The experiment with a fluence that makes as many photons in spots as were seen, all together.

    Raises:
        InputError: the model has no photon where spots were seen.
    """
    shot = gathered.shot
    core = torch.ones_like(shot.observation.values, dtype=torch.bool) if shot.core is None else shot.core
    spots = shot.expected(experiment)
    outer = shot.observation.values[~core]
    level = outer.mean() if len(outer) else torch.zeros((), dtype=torch.float64)
    seen, drawn = float((shot.observation.values[core] - level).sum()), float(spots[core].sum())
    if drawn <= 0.0 or seen <= 0.0:
        text = f"{seen:.3g} photons seen in the regions of spots and {drawn:.3g} drawn there"
        raise InputError(f"experiment {gathered.place}", text, "the start is too far off, or these are not its frames")
    beam = experiment.beam
    return experiment.replace(beam=beam.replace(fluence=beam.fluence * (seen / drawn)))
