"""Fisher scoring (Levenberg-Marquardt) of one shot or many, with planes of background and honest uncertainties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.refine import background
from nanobrag_torch.refine.descent import Went, descend, movable, sides_of
from nanobrag_torch.refine.freedom import check_ties, columns_of, free_numbers, warn_of_undetermined
from nanobrag_torch.refine.likelihood import Noise, scored
from nanobrag_torch.refine.normal import covariances
from nanobrag_torch.refine.outcome import Amplitudes, Constraints, Estimate, Refined, Schedule
from nanobrag_torch.refine.parameters import Parameters
from nanobrag_torch.refine.problem import Problem, Setting, State, design_of, factors_of, put_raw
from nanobrag_torch.refine.profile import Element, held_number, profiles_of
from nanobrag_torch.refine.shots import Shot
from nanobrag_torch.refine.varying import at_all_knots, knots_of


def refine_shots(
    shots: Sequence[Shot],
    shared: Sequence[str] = (),
    own: Sequence[str] = (),
    *,
    noise: Noise | None = None,
    constraints: Constraints | None = None,
    amplitudes: Amplitudes | None = None,
    schedule: Schedule | None = None,
    profiles: Sequence[Element] = (),
) -> Refined:
    """Move parameters and backgrounds to the most likely ones and say how well they are known.

    Args:
        shots: one or many.
        shared: names of `QUANTITIES` with one value for all shots; all start where the first shot has them.
        own: names with a value per shot.
        noise: of the detector; counts of photons by default.
        constraints: bounds, restraints, ties.
        amplitudes: of single reflections, refined with everything else.
        schedule: when to stop.
        profiles: numbers, by name, index and shot, whose profile likelihood is followed at the end.

    Raises:
        InputError: nothing to refine, no shot, ties across groups, a profile of what is not refined, or a start that
            makes counts impossible.

    Warns:
        NanobragWarning: a combination of parameters that nothing determines.
    """
    groups = (tuple(shared), tuple(own))
    if not shots or not (any(groups) or amplitudes) or set(shared) & set(own):
        raise InputError("shared, own", "they name nothing, or a quantity twice", "give shots and name each once")
    first = {name: QUANTITIES[name].take(shots[0].experiment) for name in shared if name in QUANTITIES}
    knots = knots_of([shot.smoother for shot in shots], *groups)
    limits = at_all_knots(constraints or Constraints(), knots, shots[0].experiment)
    models = [
        Parameters(_with(shot.experiment, first), [*shared, *own], bounds=limits.bounds, knots=knots) for shot in shots
    ]
    free = tuple(free_numbers(models[0], names, limits.tied, limits.fixed) for names in groups)
    check_ties(groups, limits.tied, limits.fixed)
    how = Setting(*groups, noise or Noise(), limits.restraints, (free[0], free[1]), amplitudes, limits.smooth)
    begun = tuple(_backgrounds(shot, how.noise) for shot in shots)
    own_start = tuple(torch.zeros(free[1].shape[1], dtype=torch.float64) for _ in shots)
    state = State(torch.zeros(how.common, dtype=torch.float64), own_start, begun)
    problem = Problem(shots, models, begun, how)
    for element in profiles:
        held_number(problem, element)
    schedule = schedule or Schedule()
    went = descend(problem, state, schedule)
    told = _told(problem, went, schedule.keep_pixels)
    if not profiles:
        return told
    return replace(told, profiles=profiles_of(problem, went, profiles, max(told.chi_square, 1.0) ** 0.5))


def _backgrounds(shot: Shot, noise: Noise) -> Tensor:
    outer = None if shot.core is None else ~shot.core
    return background.start(shot.observation.values, shot.labels, noise, outer)


def _with(experiment: Experiment, values: Mapping[str, Tensor]) -> Experiment:
    for name, value in values.items():
        experiment = QUANTITIES[name].put(experiment, value.detach())
    return experiment


def _told(problem: Problem, went: Went, keep_pixels: bool) -> Refined:
    """Values, covariances and residuals in settled units."""
    how, state = problem.how, went.state
    numbers = how.free[0].shape[1]
    spread = torch.block_diag(*how.free)  # type: ignore[no-untyped-call]
    columns = tuple(columns_of(problem.models[0], how.names))
    sides = sides_of(problem, state)
    equations = movable(problem, state, went.equations)
    warn_of_undetermined(equations, columns, spread, numbers, sides)
    found = []
    squares, pixels, count = 0.0, 0, how.common
    joint = covariances(equations, numbers)
    for shot, model, own, plane, raw, side in zip(
        problem.shots, problem.models, state.own, state.planes, joint.shots, sides, strict=True
    ):
        scale = put_raw(model, how, state.shared[:numbers], own)[:, None] * spread
        values = torch.cat([model.value(name).detach().reshape(-1) for name in how.names]) if how.names else own
        experiment = model.settled() if how.names else shot.experiment
        expected = shot.expected(experiment, model.at_knots()) * factors_of(shot, how, state.shared)[0]
        design, labels = design_of(shot)
        behind = torch.zeros_like(expected)
        if shot.labels is not None:
            behind = background.level(design, plane, labels)
            plane = torch.exp(plane[:, :1]) * torch.cat([torch.ones_like(plane[:, :1]), plane[:, 1:]], 1)
        expected = expected + behind
        judged = scored(expected, shot.observation.values, how.noise)
        residual = judged.residual
        kept = (expected, behind, residual) if keep_pixels else (expected[:0], behind[:0], residual[:0])
        found.append(Estimate(experiment, columns, values, scale @ raw @ scale.T, plane, *kept, side, model.at_knots()))
        squares += float(judged.squares.sum())
        pixels += len(residual)
        count += len(own) + plane.numel()
    chi_square = squares / max(pixels - count, 1)
    factors = sigma = None
    if how.amplitudes is not None:
        factors = torch.exp(state.shared[numbers:])
        sigma = factors * joint.shared.diagonal()[numbers:].clamp_min(0.0).sqrt()
    return Refined(tuple(found), went.losses, went.converged, chi_square, factors, sigma, went.path)
