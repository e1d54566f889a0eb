"""Profile likelihoods: how much less likely the counts become when one number is held beside its best value.

The covariance of a refinement is that of a parabola about the optimum. Where a number is bounded, or hardly determined,
its likelihood is no parabola, and its profile shows what it is. The profile is followed from the optimum to either
side: each time the number is moved, the others along with it to first order, and these are then refined again.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from nanobrag_torch.errors import InputError, NanobragWarning
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.refine.descent import Went, descend, movable, stepped
from nanobrag_torch.refine.freedom import at_bounds, columns_of
from nanobrag_torch.refine.normal import Held, Step, covariances, tangent
from nanobrag_torch.refine.outcome import Constraints, Profile, Schedule
from nanobrag_torch.refine.problem import Problem, State, put_raw

FAR = 2.0
"""Standard deviations (roots of -2 ln L) to which a profile is followed."""
_STRIDE = 0.5
"""Standard deviations between two of its points."""
_MOST = 16
"""Points on one side."""
_NEAR = 1e-3
"""Part of its start at which a positive number without bounds has come to 0."""
_MUCH = 0.3
"""Part of what one standard deviation costs, by which another place has to be more likely to be told of."""
_STEPS, _TOLERANCE = 60, 5e-3
"""Steps from one point to the next, and what the last of them promises of half of what one standard deviation costs."""

Element = tuple[str, int, int]
"""Name, index and shot of a number."""


def elements_of(
    asked: Sequence[str],
    expand: Callable[[str], Sequence[str]],
    first: Experiment,
    limits: Constraints,
    knots: Mapping[str, int],
) -> list[Element]:
    """The numbers behind what a person asks for: `NAME`, `NAME[INDEX]`, and either with `@EXPERIMENT` after it.

    A name stands for all of its numbers that move by themselves.

    Args:
        asked: the words.
        expand: gives the quantities behind a name.
        first: the experiment at which the refinement starts.
        limits: which numbers are tied or fixed.
        knots: by name, how many knots a quantity has that varies over a scan; its numbers count knot by knot.

    Raises:
        InputError: a word that is not understood.
    """
    still = {*limits.fixed, *(element for group in limits.tied for element in list(group)[1:])}
    found = []
    for text in asked:
        match = re.fullmatch(r"(\w+)(?:\[(\d{1,6})\])?(?:@(\d{1,6}))?", text)
        if match is None:
            raise InputError(
                "--profile", f"{text!r} is not understood", "give NAME, NAME[INDEX] or NAME[INDEX]@EXPERIMENT"
            )
        for name in expand(match[1]):
            size = QUANTITIES[name].take(first).numel()
            numbers = range(size * knots.get(name, 1))
            chosen = [i for i in numbers if (name, i % size) not in still] if match[2] is None else [int(match[2])]
            found += [(name, i, int(match[3] or 0)) for i in chosen]
    return list(dict.fromkeys(found))


def profiles_of(problem: Problem, went: Went, elements: Sequence[Element], factor: float) -> tuple[Profile, ...]:
    """The profiles of some numbers of a refinement that has ended.

    Args:
        problem: what was refined against what.
        went: where it ended.
        elements: which numbers.
        factor: what standard deviations are multiplied by; profiles are followed so much further.

    Raises:
        InputError: a number that was not refined.

    Warns:
        NanobragWarning: a profile came to a place that is more likely than the end of the refinement.
    """
    if not elements:
        return ()
    chosen = [(element, held_number(problem, element)) for element in elements]
    best = descend(problem, went.state, Schedule(_STEPS, _TOLERANCE * factor**2))
    _check_lower("the refinement goes on", 2.0 * (best.losses[-1] - went.losses[-1]), factor)
    return tuple(_profile(problem, best, element, hold, factor) for element, hold in chosen)


def _check_lower(what: str, rise: float, factor: float) -> None:
    """Say that -2 ln L is lower somewhere than where the refinement ended."""
    if rise < -_MUCH * factor**2:
        text = f"{what} to a place with {-rise:.2g} less of the deviance than where it ended; refine with more steps"
        warnings.warn(NanobragWarning(text), stacklevel=4)


def held_number(problem: Problem, element: Element) -> Held:
    """Which of the free numbers moves a number.

    Raises:
        InputError: none does.
    """
    name, index, shot = element
    groups = (problem.how.shared, problem.how.own)
    for part, names in enumerate(groups):
        columns = columns_of(problem.models[0], names)
        if (name, index) in columns and 0 <= shot < len(problem.shots):
            (moving,) = torch.nonzero(problem.how.free[part][columns.index((name, index))], as_tuple=True)
            if not len(moving):
                raise InputError(f"{name}[{index}]", "it is fixed and has no profile", "name one that is refined")
            return Held(shot if part else None, int(moving[0]))
    raise InputError(f"{name}[{index}]", f"it is not refined in experiment {shot}", "name one that is refined")


def _profile(problem: Problem, best: Went, element: Element, hold: Held, factor: float) -> Profile:
    name, index, shot = element
    numbers = problem.how.free[0].shape[1]
    joint = covariances(best.equations, numbers).shots[shot]
    column = hold.index if hold.shot is None else numbers + hold.index
    width = float(joint[column, column].clamp_min(0.0).sqrt())
    slope = _value(problem, best.state, element)[1]
    points = [(_value(problem, best.state, element)[0], 0.0)]
    for sign in (-1.0, 1.0):
        points += _side(problem, best, element, hold, (sign * width, factor))
    points.sort()
    values, deviance = (torch.tensor(column, dtype=torch.float64) for column in zip(*points, strict=True))
    least = float(deviance.min())
    _check_lower(f"the profile of {name}[{index}] comes", least, factor)
    return Profile(name, index, shot, values, deviance - least, abs(slope) * width)


def _value(problem: Problem, state: State, element: Element) -> tuple[float, float]:
    """A number in settled units, and its derivative by the raw parameter."""
    name, index, shot = element
    model, how = problem.models[shot], problem.how
    slopes = put_raw(model, how, state.shared[: how.free[0].shape[1]], state.own[shot])
    row = columns_of(model, how.names).index((name, index))
    return float(model.value(name).detach().reshape(-1)[index]), float(slopes[row])


def _side(
    problem: Problem, best: Went, element: Element, hold: Held, reach: tuple[float, float]
) -> list[tuple[float, float]]:
    """Points (value, -2 ln L above the optimum) on one side.

    Args:
        problem, best, element, hold: what is followed, and from where.
        reach: standard deviation of the raw parameter with the sign of the side, and the factor on it.
    """
    width, factor = reach
    here, root, step = best, 0.0, _STRIDE * factor * width
    found = []
    for _ in range(_MOST):
        way = _along(tangent(movable(problem, here.state, here.equations), hold), hold)
        start = stepped(here.state, replace(way, shared=step * way.shared, own=tuple(step * x for x in way.own)))
        try:
            went = descend(problem, start, Schedule(_STEPS, _TOLERANCE * factor**2), hold)
        except InputError:
            # Beyond this point no count is possible.
            break
        rise = 2.0 * (went.losses[-1] - best.losses[-1])
        found.append((_value(problem, went.state, element)[0], rise))
        there = max(rise, 0.0) ** 0.5 / factor
        if there - root > 2.0 * _STRIDE:
            # Too far to see the curve: look between, too.
            step *= max(_STRIDE / (there - root), 0.1)
            continue
        if there >= FAR or _at_bound(problem, went.state, element):
            break
        aim = _STRIDE * (int(there / _STRIDE + 0.3) + 1) - there
        ratio = aim / (there - root) if there > root else 2.0
        here, root, step = went, there, step * min(max(ratio, 0.25), 2.0)
    return found


def _along(way: Step, hold: Held) -> Step:
    """A unit of the held number, and the others with it."""
    shared, own = way.shared.clone(), [x.clone() for x in way.own]
    (shared if hold.shot is None else own[hold.shot])[hold.index] = 1.0
    return replace(way, shared=shared, own=tuple(own))


def _at_bound(problem: Problem, state: State, element: Element) -> bool:
    """Whether a number has come so near to its bound that nothing more is to be seen."""
    name, index, shot = element
    value, _ = _value(problem, state, element)
    model = problem.models[shot]
    if name in model.bounds:
        return bool(at_bounds(model, [name])[index] != 0.0)
    return QUANTITIES[name].positive and value < _NEAR * float(model.begun(name).reshape(-1)[index])
