"""A whole refinement: from an experiment list, its frames and amplitudes to refined experiments with uncertainties.

`run(Job("sweep.expt", "sweep.refl", "amplitudes.mtz"))` gives a `Result`, whose `table()` is text to read and whose
`write(folder)` leaves the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_list import by_identifier, read_expt_list
from nanobrag_torch.io.expt_models import Measured
from nanobrag_torch.io.refl import read_refl
from nanobrag_torch.io.reflection_table import ReflectionTable
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.refine.asked import AMPLITUDES, Job, names_of, own_names, same_detector
from nanobrag_torch.refine.asked_varying import smooth_widths, varying, varying_names
from nanobrag_torch.refine.centroids import refine_all_centroids, with_mean_cell
from nanobrag_torch.refine.fit import Observation
from nanobrag_torch.refine.frames import Frames, read_frames
from nanobrag_torch.refine.gather import Gathered, gather, scaled
from nanobrag_torch.refine.likelihood import Noise
from nanobrag_torch.refine.locate import locate
from nanobrag_torch.refine.masks import read_mask
from nanobrag_torch.refine.measures import Summary, explainable, explained, explained_by, spots_of, summary
from nanobrag_torch.refine.outcome import Amplitudes, Constraints, Present, Restraints, Schedule
from nanobrag_torch.refine.profile import elements_of
from nanobrag_torch.refine.result import Result, Strange
from nanobrag_torch.refine.scoring import refine_shots
from nanobrag_torch.refine.starting import (
    SPREAD_LIMITS,
    CrystalStart,
    check_amplitudes,
    read_amplitudes,
    start_of,
    table_of,
)
from nanobrag_torch.refine.symmetry import cell_freedom, space_group, unique_indices
from nanobrag_torch.refine.varying import Knots, knots_of, static_value
from nanobrag_torch.refine.written import refined_measured, with_points
from nanobrag_torch.units import metres_from_mm, radians_from_degrees

_SHIFT_MM, _TILT, _ROLL = 2.0, 5e-3, 1e-4
"""Widths of default priors: shifts of the detector (mm), its tilt, and its turn about the beam (rad), which a short
sweep hardly tells from a turn of the crystal."""
_TOLERANCE = 0.1

Say = Callable[[str], None]


def run(
    job: Job,
    say: Say = lambda text: None,
    begin: Sequence[Mapping[str, Tensor]] | None = None,
    keep: Callable[[Present], None] | None = None,
) -> Result:
    """Read, gather, refine and judge.

    Args:
        job: what is wanted.
        say: told one line about each stage.
        begin: per experiment, values by name (settled units) to start from instead; one without any is left out.
        keep: called after each step with what gives the present values.

    Raises:
        FileFormatError, InputError: a file, or what is asked, cannot be used; the message says what to do.
    """
    frames, tables = _read(job, say)
    amplitudes = read_amplitudes(job.amplitudes, job.column)
    for experiment in frames.experiments:
        check_amplitudes(experiment, amplitudes, job.amplitudes)
    table = table_of(amplitudes)
    if job.locate and begin is None:
        frames = _located(job, frames, table, say)
    model = job.model or CrystalStart()
    if model.anisotropic is None:
        model = replace(model, anisotropic=not any(one.still for one in frames.experiments))
    names, own = _wanted(job, start_of(frames.experiments[0], table, model), frames.experiments)
    if begin is None:
        frames = _in_order(job, frames, tables, own, say)
    gathered, strange = _all_gathered(job, frames, tables, table, model, begin, say)
    if keep is not None:
        keep = _for_all(keep, [g.place for g in gathered], len(frames.experiments))
    source = amplitudes.cell, amplitudes.space_group
    result = _refined(job, frames, gathered, [n for n in names if n not in own], own, source, say, keep)
    return replace(result, strange=tuple(strange))


def _wanted(job: Job, first: Experiment, measured: Sequence[Measured]) -> tuple[list[str], list[str]]:
    """Names of all that is refined, and of that which every experiment has for itself."""
    names = names_of(job.refine, first)
    own, varying = own_names(job, names, first, measured), varying_names(job, names, first, measured)
    return names, [name for name in names if name in own or (name in varying and len(measured) > 1)]


def _in_order(job: Job, frames: Frames, tables: list[ReflectionTable] | None, own: Sequence[str], say: Say) -> Frames:
    """The frames with the geometry that centroids ask for; crystals that share a cell begin with the mean of theirs."""
    experiments: Sequence[Measured] = frames.experiments
    several = len(experiments) > 1
    shared_cell = several and "cell_lengths" not in own
    if job.centroids and tables is not None:
        found = refine_all_centroids(
            experiments, tables, shared_cell=shared_cell, shared_detector=several and same_detector(experiments)
        )
        rms = np.median([c.rms for c in found], axis=0)
        say(f"geometry from centroids: rms {rms[0]:.2f}, {rms[1]:.2f} pixel, {rms[2]:.2f} image")
        experiments = [c.measured for c in found]
    elif shared_cell:
        experiments = with_mean_cell(experiments)
    return replace(frames, experiments=tuple(experiments), _cache=None)


def _all_gathered(
    job: Job,
    frames: Frames,
    tables: list[ReflectionTable] | None,
    table: StructureFactors,
    model: CrystalStart,
    begin: Sequence[Mapping[str, Tensor]] | None,
    say: Say,
) -> tuple[list[Gathered], list[Strange]]:
    """The shots, and the spots that nothing explains; one of many experiments without a usable spot is left out."""
    gathered: list[Gathered] = []
    strange: list[Strange] = []
    for place, measured in enumerate(frames.experiments):
        if begin and not begin[place]:
            continue
        begun = start_of(measured, table, model)
        for name, value in (begin[place] if begin else {}).items():
            begun = QUANTITIES[name].put(begun, static_value(name, value, begun))
        try:
            mine = gather(frames, place, begun, None if tables is None else tables[place], job.choice)
            begun = begun if begin else scaled(mine, begun)
        except InputError as error:
            if len(frames.experiments) == 1:
                raise
            say(f"left out: {error}")
            continue
        mine, odd = explainable(replace(mine, shot=replace(mine.shot, experiment=begun)), job.noise)
        gathered.append(mine)
        strange += [(place, *one) for one in odd]
    if not gathered:
        raise InputError(job.expt, "no experiment has a spot that can be used", "see the reasons above")
    regions = sum(len(g.rows) for g in gathered)
    say(f"{sum(len(g.table) for g in gathered)} reflections in {regions} regions of {len(frames)} images")
    if strange:
        say(f"{len(strange)} of them are left out: the start does not explain them at all (see the report)")
    return gathered, strange


def _for_all(keep: Callable[[Present], None], places: Sequence[int], count: int) -> Callable[[Present], None]:
    """`keep`, told the values of all experiments; those that were left out have none."""

    def kept(present: Present) -> None:
        def everywhere() -> list[dict[str, Tensor]]:
            values: list[dict[str, Tensor]] = [{} for _ in range(count)]
            for place, one in zip(places, present(), strict=True):
                values[place] = one
            return values

        keep(everywhere)

    return kept


def _located(job: Job, frames: Frames, table: StructureFactors, say: Say) -> Frames:
    """The frames with camera and crystal moved to where they explain the first image."""
    if len(frames.experiments) > 1:
        raise InputError("--locate", f"the list has {len(frames.experiments)} experiments", "choose one: --experiments")
    (measured,) = frames.experiments
    begun = start_of(measured, table, job.model or CrystalStart())
    seen = Observation.of(list(frames.photons(0)), keep=list(frames.good(0)))
    found = locate(begun, seen)
    slow, fast = found.shift
    say(
        f"located by the {found.decided}: spots moved by {fast:+.1f}, {slow:+.1f} pixel, distance by "
        f"{100.0 * (found.distance - 1.0):+.2f} %, turned by {float(found.turn_deg.norm()):.2f} degrees "
        f"(correlation {found.score:.3f}, second {found.second:.3f})"
    )
    return replace(frames, experiments=(refined_measured(measured, found.experiment),), _cache=None)


def _read(job: Job, say: Say) -> tuple[Frames, list[ReflectionTable] | None]:
    experiments = read_expt_list(job.expt)
    first, last = job.only or (0, len(experiments) - 1)
    if last >= len(experiments):
        raise InputError("--experiments", f"the list has {len(experiments)}, from 0", "name some of these")
    chosen = experiments[first : last + 1]
    for place, experiment in enumerate(chosen):
        if experiment.crystal is None:
            raise InputError(job.expt, f"experiment {place} has no crystal", "index it first")
    mask = None if job.mask is None else read_mask(job.mask, chosen[0].detector, ones_bad=job.mask_ones_bad)
    frames = read_frames(chosen, folder=Path(job.expt).parent, mask=mask)
    count = len(frames.experiments)
    say(f"{len(frames)} frames of {count} experiment{'s' if count > 1 else ''}")
    if job.refl is None:
        return frames, None
    whole = read_refl(job.refl)
    places = by_identifier(experiments, whole.identifiers, job.refl)
    if "xyzobs.px.value" not in whole:
        raise InputError(job.refl, "its reflections have no observed centroids", "give those of dials.index, or none")
    own = np.array([places.get(int(n), int(n)) - first for n in whole.experiment])
    tables = [whole.select(own == place) for place in range(len(frames.experiments))]
    for place, table in enumerate(tables):
        if not table.indexed().any():
            raise InputError(job.refl, f"no reflection of experiment {place} is indexed", "index it, or leave it out")
    return frames, tables


def _refined(
    job: Job,
    frames: Frames,
    gathered: list[Gathered],
    shared: list[str],
    own: list[str],
    source: tuple[tuple[float, ...], str],
    say: Say,
    keep: Callable[[Present], None] | None,
) -> Result:
    unique = np.zeros((0, 3), np.int32)
    if AMPLITUDES in job.refine:
        gathered, unique = _with_amplitudes(gathered, frames)
    gathered = [varying(job, g, [*shared, *own], frames.experiments[g.place]) for g in gathered]
    before = [_summaries(g, g.shot.experiment, job.noise) for g in gathered]

    def progress(number: int, loss: float, present: Present) -> None:
        say(f"step {number}: half the deviance {loss:.1f}")
        if keep is not None:
            keep(present)

    first = gathered[0].shot.experiment
    limits = _constraints(job, [*shared, *own], [g.shot.experiment for g in gathered], frames.experiments[0])
    knots = knots_of([g.shot.smoother for g in gathered], shared, own)
    refined = refine_shots(
        [g.shot for g in gathered],
        shared,
        own,
        noise=job.noise,
        constraints=limits,
        amplitudes=Amplitudes(len(unique), job.amplitude_width) if len(unique) else None,
        schedule=Schedule(job.steps, _TOLERANCE, progress),
        profiles=elements_of(job.profile, lambda name: names_of([name], first, "--profile"), first, limits, knots),
    )
    pixels = tuple(explained_by(estimate) for estimate in refined.shots)
    spots = tuple(spots_of(g, p, job.noise) for g, p in zip(gathered, pixels, strict=True))
    after = [summary(s, p) for s, p in zip(spots, pixels, strict=True)]
    summaries = []
    for g, e, b, a in zip(gathered, refined.shots, before, after, strict=True):
        left = None
        if g.left_out is not None:
            left = _summaries(g.left_out, e.experiment, job.noise, refined.amplitudes, e.knots)
        summaries.append({"before": b, "after": a, "left_out": left})
    measured = tuple(
        with_points(refined_measured(frames.experiments[g.place], e.experiment), e)
        for g, e in zip(gathered, refined.shots, strict=True)
    )
    return Result(job, refined, measured, tuple(gathered), pixels, spots, tuple(summaries), unique, source)


def _summaries(
    gathered: Gathered,
    experiment: Experiment,
    noise: Noise,
    amplitudes: Tensor | None = None,
    knots: Knots | None = None,
) -> Summary:
    pixels = explained(gathered, experiment, noise, amplitudes, knots)
    return summary(spots_of(gathered, pixels, noise), pixels)


def _with_amplitudes(
    gathered: list[Gathered], frames: Frames
) -> tuple[list[Gathered], np.ndarray[Any, np.dtype[np.int32]]]:
    """Shots whose regions know which unique amplitude they show, and the unique indices [U, 3]."""
    crystal = frames.experiments[0].crystal
    assert crystal is not None
    group = space_group(crystal.hall)
    mates = [unique_indices(g.table.indices, group)[g.rows] for g in gathered]
    unique, which = np.unique(np.concatenate(mates), axis=0, return_inverse=True)
    parts = np.split(which.reshape(-1), np.cumsum([len(m) for m in mates])[:-1])
    known = {tuple(hkl): number for number, hkl in enumerate(unique.tolist())}
    found = []
    for g, part in zip(gathered, parts, strict=True):
        left = g.left_out
        if left is not None:
            mates_left = unique_indices(left.table.indices, group)[left.rows]
            left = _showing(left, np.array([known.get(tuple(hkl), -1) for hkl in mates_left.tolist()]))
        found.append(replace(_showing(g, part), left_out=left))
    return found, unique.astype(np.int32)


def _showing(gathered: Gathered, amplitudes: np.ndarray[Any, np.dtype[np.int64]]) -> Gathered:
    """The same with the number of the amplitude that each region shows."""
    shown = torch.from_numpy(amplitudes.astype(np.int64))
    return replace(gathered, shot=replace(gathered.shot, amplitudes=shown))


def _constraints(job: Job, names: Sequence[str], starts: Sequence[Experiment], measured: Measured) -> Constraints:
    """The symmetry of the cell, limits of mosaic spreads, the priors that were asked for, and those of the detector."""
    assert measured.crystal is not None
    first = starts[0]
    tied, fixed = cell_freedom(space_group(measured.crystal.hall))
    tied = tuple(group for group in tied if all(name in names for name, _ in group))
    fixed = tuple(element for element in fixed if element[0] in names)
    axis = first.beam.direction.detach().abs()
    roll = torch.where(axis > 0.5, _ROLL, _TILT).to(torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    priors: dict[str, tuple[float | Tensor | None, float | Tensor]] = {}
    if "detector_shift" in names:
        priors["detector_shift"] = (zero, float(metres_from_mm(_SHIFT_MM)))
    if "detector_turn" in names:
        priors["detector_turn"] = (zero, roll)
    for name in ("panel_shifts", "panel_turns"):
        if name in names:
            priors[name] = (0.0, float(metres_from_mm(_SHIFT_MM)) if name == "panel_shifts" else _TILT)
    low, high = (float(radians_from_degrees(limit)) for limit in SPREAD_LIMITS)
    bounds = {}
    for name in ("mosaic_spread", "mosaic_spreads"):
        if name in names:
            begun = torch.cat([QUANTITIES[name].take(start).detach().reshape(-1) for start in starts])
            bounds[name] = (min(low, 0.5 * float(begun.min())), max(high, 2.0 * float(begun.max())))
    return Constraints(bounds, {**priors, **_asked(job, names, first)}, tied, fixed, smooth_widths(job, names, first))


def _asked(job: Job, names: Sequence[str], first: Experiment) -> Restraints:
    """Priors in settled units."""
    found: dict[str, tuple[float | Tensor | None, float | Tensor]] = {}
    for name, (mean, width) in job.restraints.items():
        members = [one for one in names_of([name], first, "--restrain") if one in names]
        if not members:
            raise InputError("--restrain", f"{name} is not refined", "name it in --refine too")
        for one in members:
            unit = float(QUANTITIES[one].shown(torch.ones((), dtype=torch.float64)))
            found[one] = (None if mean is None else mean / unit, width / unit)
    return found
