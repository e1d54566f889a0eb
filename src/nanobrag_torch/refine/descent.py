"""Damped steps from a state to the most likely one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.refine.freedom import at_bounds, held
from nanobrag_torch.refine.normal import Equations, Held, Step, frozen, solve
from nanobrag_torch.refine.outcome import Schedule
from nanobrag_torch.refine.problem import Problem, State, equations_of, put_raw

_LEAST_DAMPING, _LARGEST_DAMPING = 1e-9, 1e8


@dataclass(frozen=True)
class Went:
    """Where a descent ended: its state, losses and shared values [n] on the way, and the equations there."""

    state: State
    losses: tuple[float, ...]
    converged: bool
    equations: Equations
    path: tuple[Tensor, ...]


def descend(problem: Problem, state: State, schedule: Schedule, hold: Held | None = None) -> Went:
    """Damped steps until they promise nothing more; `hold` stays where it is.

    Raises:
        InputError: the start makes counts impossible.
    """
    equations, state = equations_of(problem, state)
    if not equations.loss < float("inf"):
        raise InputError("shots", "the start expects no photons where some may be", "give labels of regions")
    losses, damping, path, converged = [equations.loss], 1e-3, [_shared_values(problem, state)], False
    sure = False
    for number in range(schedule.steps):
        free = movable(problem, state, equations)
        free = free if hold is None else frozen(free, hold)
        step = solve(free, damping)
        if step.promised < schedule.tolerance and not sure and damping > _LEAST_DAMPING:
            # A damped step promises little where something stiff goes along with something that may move.
            sure, damping = True, _LEAST_DAMPING
            step = solve(free, damping)
        if step.promised < schedule.tolerance:
            converged = True
            break
        there, moved = equations_of(problem, stepped(state, step))
        if there.loss < equations.loss:
            state, equations = moved, there
            losses.append(equations.loss)
            path.append(_shared_values(problem, state))
            damping, sure = max(damping / 10.0, _LEAST_DAMPING), False
        elif sure:
            # The undamped step did not keep its promise, and the damped one promised nothing.
            converged = True
            break
        else:
            damping *= 8.0
            if damping > _LARGEST_DAMPING:
                break
        if schedule.progress is not None:
            schedule.progress(number + 1, equations.loss, partial(present, problem, state))
    return Went(state, tuple(losses), converged, equations, tuple(path))


def sides_of(problem: Problem, state: State) -> list[Tensor]:
    """Which numbers of each shot are at a bound."""
    how, found = problem.how, []
    for model, own in zip(problem.models, state.own, strict=True):
        put_raw(model, how, state.shared[: how.free[0].shape[1]], own)
        found.append(at_bounds(model, how.names))
    return found


def stepped(state: State, step: Step) -> State:
    """The state after a step."""
    own = tuple(a + b for a, b in zip(state.own, step.own, strict=True))
    return replace(state, shared=state.shared + step.shared, own=own)


def movable(problem: Problem, state: State, equations: Equations) -> Equations:
    """The equations without the numbers that are at a bound and would go beyond it."""
    return held(equations, problem.how.free, sides_of(problem, state))


def present(problem: Problem, state: State) -> list[dict[str, Tensor]]:
    """Per shot the values by name."""
    numbers, found = problem.how.free[0].shape[1], []
    for model, own in zip(problem.models, state.own, strict=True):
        put_raw(model, problem.how, state.shared[:numbers], own)
        found.append({name: model.value(name).detach().clone() for name in problem.how.names})
    return found


def _shared_values(problem: Problem, state: State) -> Tensor:
    how, model = problem.how, problem.models[0]
    put_raw(model, how, state.shared[: how.free[0].shape[1]], state.own[0])
    if not how.shared:
        return torch.zeros(0, dtype=torch.float64)
    return torch.cat([model.value(name).detach().reshape(-1) for name in how.shared])
