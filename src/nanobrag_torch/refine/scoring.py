"""Fisher scoring (Levenberg-Marquardt) of one shot or many, with planes of background and honest uncertainties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.refine import background
from nanobrag_torch.refine.freedom import (
    at_bounds,
    check_ties,
    columns_of,
    free_numbers,
    held,
    warn_of_undetermined,
)
from nanobrag_torch.refine.likelihood import Noise, planes, scored
from nanobrag_torch.refine.normal import (
    Equations,
    Rows,
    assemble,
    covariances,
    solve,
    without_planes,
)
from nanobrag_torch.refine.outcome import (
    Amplitudes,
    Constraints,
    Estimate,
    Refined,
    Restraints,
    Schedule,
)
from nanobrag_torch.refine.parameters import Parameters
from nanobrag_torch.refine.shots import Shot

_LARGEST_DAMPING = 1e8


@dataclass(frozen=True)
class Setting:
    """What is refined, and how: see `refine_shots`."""

    shared: tuple[str, ...]
    own: tuple[str, ...]
    noise: Noise
    restraints: Restraints
    free: tuple[Tensor, Tensor]
    amplitudes: Amplitudes | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Quantities, the shared ones first."""
        return (*self.shared, *self.own)

    @property
    def common(self) -> int:
        """Number of what all shots share: free numbers of shared quantities, then amplitudes."""
        return self.free[0].shape[1] + (0 if self.amplitudes is None else self.amplitudes.count)


@dataclass(frozen=True)
class _State:
    """Raw values: of the shared quantities, then of the amplitudes; of each shot; of its backgrounds."""

    shared: Tensor
    own: tuple[Tensor, ...]
    planes: tuple[Tensor, ...]


@dataclass(frozen=True)
class _Problem:
    """Shots, their parameters, where their backgrounds start, and what is refined."""

    shots: Sequence[Shot]
    models: Sequence[Parameters]
    begun: tuple[Tensor, ...]
    how: Setting


def refine_shots(
    shots: Sequence[Shot],
    shared: Sequence[str] = (),
    own: Sequence[str] = (),
    *,
    noise: Noise | None = None,
    constraints: Constraints | None = None,
    amplitudes: Amplitudes | None = None,
    schedule: Schedule | None = None,
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

    Raises:
        InputError: nothing to refine, no shot, ties across groups, or a start that makes counts impossible.

    Warns:
        NanobragWarning: a combination of parameters that nothing determines.
    """
    groups = (tuple(shared), tuple(own))
    if not shots or not (any(groups) or amplitudes) or set(shared) & set(own):
        raise InputError("shared, own", "they name nothing, or a quantity twice", "give shots and name each once")
    first = {name: QUANTITIES[name].take(shots[0].experiment) for name in shared if name in QUANTITIES}
    limits = constraints or Constraints()
    models = [Parameters(_with(shot.experiment, first), [*shared, *own], bounds=limits.bounds) for shot in shots]
    free = tuple(free_numbers(models[0], names, limits.tied, limits.fixed) for names in groups)
    check_ties(groups, limits.tied, limits.fixed)
    how = Setting(*groups, noise or Noise(), limits.restraints, (free[0], free[1]), amplitudes)
    begun = tuple(_backgrounds(shot, how.noise) for shot in shots)
    own_start = tuple(torch.zeros(free[1].shape[1], dtype=torch.float64) for _ in shots)
    state = _State(torch.zeros(how.common, dtype=torch.float64), own_start, begun)
    problem = _Problem(shots, models, begun, how)
    schedule = schedule or Schedule()
    return _told(problem, _descend(problem, state, schedule), schedule.keep_pixels)


def _backgrounds(shot: Shot, noise: Noise) -> Tensor:
    outer = None if shot.core is None else ~shot.core
    return background.start(shot.observation.values, shot.labels, noise, outer)


def _with(experiment: Experiment, values: Mapping[str, Tensor]) -> Experiment:
    for name, value in values.items():
        experiment = QUANTITIES[name].put(experiment, value.detach())
    return experiment


def _place(parameters: Parameters, how: Setting, shared: Tensor, own: Tensor) -> Tensor:
    """Put raw values in; the slopes d value / d raw of every number [numbers]."""
    raw = torch.cat([how.free[0] @ shared, how.free[1] @ own])
    slopes, at = [], 0
    for name in (*how.shared, *how.own):
        parameter = parameters.get_parameter(name)
        with torch.no_grad():
            parameter.copy_(raw[at : at + parameter.numel()].reshape(parameter.shape))
        at += parameter.numel()
        (slope,) = torch.autograd.grad(parameters.value(name).sum(), parameter)
        slopes.append(slope.reshape(-1))
    return torch.cat(slopes)


def _design(shot: Shot) -> tuple[Tensor, Tensor]:
    """Design [P, 3] of the backgrounds and labels [P]."""
    if shot.labels is None:
        count = len(shot.observation)
        return torch.zeros(count, 0, dtype=torch.float64), torch.zeros(count, dtype=torch.int64)
    return planes(shot.observation.pixels, shot.labels), shot.labels


def _factors(shot: Shot, how: Setting, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Factors [P] by which refined amplitudes change spots, the amplitudes seen [s], and which [P] each pixel shows."""
    numbers = how.free[0].shape[1]
    if how.amplitudes is None or shot.amplitudes is None or shot.labels is None:
        count = len(shot.observation)
        none = torch.zeros(0, dtype=torch.int64)
        return torch.ones(count, dtype=torch.float64), none, torch.full((count,), -1)
    shown = shot.amplitudes[shot.labels]
    seen = torch.unique(shown[shown >= 0])
    logarithm = torch.where(shown >= 0, state[numbers + shown.clamp_min(0)], 0.0)
    place = torch.where(shown >= 0, torch.searchsorted(seen, shown.clamp_min(0)), -1)
    return torch.exp(2.0 * logarithm), seen, place


@dataclass(frozen=True)
class _Seen:
    """One shot under a state: its information [n, n], gradient [n] and loss, and the backgrounds that go with it."""

    matrix: Tensor
    gradient: Tensor
    places: Tensor
    loss: float
    planes: Tensor


def _seen(problem: _Problem, index: int, state: _State) -> _Seen:
    """One shot with its backgrounds profiled out; the first has the restraints of shared quantities."""
    shot, parameters, how = problem.shots[index], problem.models[index], problem.how
    numbers = how.free[0].shape[1]
    slopes = _place(parameters, how, state.shared[:numbers], state.own[index])
    spread = torch.block_diag(*how.free)  # type: ignore[no-untyped-call]
    if how.names:
        spots, settled = shot.jacobian(parameters.settled(), how.names)
        jacobian = (settled * slopes) @ spread
    else:
        spots = shot.expected(shot.experiment)
        jacobian = spots.new_zeros(len(spots), 0)
    factor, seen, place = _factors(shot, how, state.shared)
    spots, jacobian = factor * spots, factor[:, None] * jacobian
    single = torch.zeros(len(spots), len(seen), dtype=torch.float64)
    rows = torch.nonzero(place >= 0)[:, 0]
    single[rows, place[rows]] = 2.0 * spots[rows]
    jacobian = torch.cat([jacobian[:, :numbers], single, jacobian[:, numbers:]], 1)
    design, labels = _design(shot)
    planes_, begun = state.planes[index], problem.begun[index]
    if shot.labels is None:
        found = scored(spots, shot.observation.values, how.noise)
        normal, extra = assemble(jacobian, found.score, found.information, design, labels), 0.0
    else:
        planes_, behind, found = background.profiled(
            spots, shot.observation.values, how.noise, design, labels, (planes_, begun)
        )
        normal = assemble(jacobian, found.score, found.information, behind[:, None] * design, labels)
        stiff = background.stiffness()
        slope = normal.slope + stiff * (planes_ - begun)
        normal = replace(normal, block=normal.block + torch.diag(stiff), slope=slope)
        extra = float(background.prior(planes_, begun).sum())
    matrix, gradient = without_planes(normal)
    loss, pull, stiffness = _restrained(parameters, how, how.names if index == 0 else how.own)
    keep = torch.ones(numbers + len(seen) + len(state.own[index]), dtype=torch.bool)
    keep[numbers : numbers + len(seen)] = False
    matrix, gradient = matrix.clone(), gradient.clone()
    matrix[keep[:, None] & keep] += (spread.T @ torch.diag(stiffness * slopes**2) @ spread).reshape(-1)
    gradient[keep] += spread.T @ (pull * slopes)
    places = torch.cat([torch.arange(numbers), numbers + seen])
    return _Seen(matrix, gradient, places, float(found.loss) + extra + loss, planes_)


def _equations(problem: _Problem, state: _State) -> tuple[Equations, _State]:
    """Normal equations of all shots, and the state with the backgrounds that go with it."""
    how, common = problem.how, problem.how.common
    total, slope = torch.zeros(common, common, dtype=torch.float64), torch.zeros(common, dtype=torch.float64)
    loss, kept, backgrounds = 0.0, [], []
    for index in range(len(problem.shots)):
        seen = _seen(problem, index, state)
        places, count = seen.places, len(seen.places)
        total[places[:, None], places] += seen.matrix[:count, :count]
        slope.index_add_(0, places, seen.gradient[:count])
        kept.append(Rows(seen.matrix[count:].clone(), seen.gradient[count:].clone(), places))
        backgrounds.append(seen.planes)
        loss += seen.loss
    if how.amplitudes is not None:
        stiffness = torch.zeros(common, dtype=torch.float64)
        stiffness[how.free[0].shape[1] :] = 1.0 / how.amplitudes.width**2
        total, slope = total + torch.diag(stiffness), slope + stiffness * state.shared
        loss += 0.5 * float((stiffness * state.shared**2).sum())
    return Equations(total, slope, tuple(kept), loss), replace(state, planes=tuple(backgrounds))


def _wide(value: float | Tensor, count: int) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64).expand(count)


def _restrained(parameters: Parameters, how: Setting, active: Sequence[str]) -> tuple[float, Tensor, Tensor]:
    """Loss, and its first and second derivatives [numbers] by the settled values, of the priors."""
    loss, pulls, widths = 0.0, [], []
    for name in how.names:
        value = parameters.value(name).detach().reshape(-1)
        if name in how.restraints and name in active:
            middle, spread = how.restraints[name]
            mean = parameters.begun(name).reshape(-1) if middle is None else _wide(middle, len(value))
            width = _wide(spread, len(value))
            pulls.append((value - mean) / width**2)
            widths.append(1.0 / width**2)
            loss += 0.5 * float((((value - mean) / width) ** 2).sum())
        else:
            pulls.append(torch.zeros_like(value))
            widths.append(torch.zeros_like(value))
    return loss, torch.cat(pulls), torch.cat(widths)


@dataclass(frozen=True)
class _Went:
    state: _State
    losses: tuple[float, ...]
    converged: bool
    equations: Equations
    path: tuple[Tensor, ...]


def _descend(problem: _Problem, state: _State, schedule: Schedule) -> _Went:
    """Damped steps until they promise nothing more."""
    equations, state = _equations(problem, state)
    if not equations.loss < float("inf"):
        raise InputError("shots", "the start expects no photons where some may be", "give labels of regions")
    losses, damping, path, converged = [equations.loss], 1e-3, [_shared_values(problem, state)], False
    for number in range(schedule.steps):
        step = solve(held(equations, problem.how.free, _sides(problem, state)), damping)
        if step.promised < schedule.tolerance:
            converged = True
            break
        moved = replace(
            state,
            shared=state.shared + step.shared,
            own=tuple(a + b for a, b in zip(state.own, step.own, strict=True)),
        )
        there, moved = _equations(problem, moved)
        if there.loss < equations.loss:
            state, equations = moved, there
            losses.append(equations.loss)
            path.append(_shared_values(problem, state))
            damping = max(damping / 10.0, 1e-9)
        else:
            damping *= 8.0
            if damping > _LARGEST_DAMPING:
                break
        if schedule.progress is not None:
            schedule.progress(number + 1, equations.loss, partial(_present, problem, state))
    return _Went(state, tuple(losses), converged, equations, tuple(path))


def _sides(problem: _Problem, state: _State) -> list[Tensor]:
    """Which numbers of each shot are at a bound."""
    how, found = problem.how, []
    for model, own in zip(problem.models, state.own, strict=True):
        _place(model, how, state.shared[: how.free[0].shape[1]], own)
        found.append(at_bounds(model, how.names))
    return found


def _present(problem: _Problem, state: _State) -> list[dict[str, Tensor]]:
    """Per shot the values by name."""
    numbers, found = problem.how.free[0].shape[1], []
    for model, own in zip(problem.models, state.own, strict=True):
        _place(model, problem.how, state.shared[:numbers], own)
        found.append({name: model.value(name).detach().clone() for name in problem.how.names})
    return found


def _shared_values(problem: _Problem, state: _State) -> Tensor:
    how, model = problem.how, problem.models[0]
    _place(model, how, state.shared[: how.free[0].shape[1]], state.own[0])
    if not how.shared:
        return torch.zeros(0, dtype=torch.float64)
    return torch.cat([model.value(name).detach().reshape(-1) for name in how.shared])


def _told(problem: _Problem, went: _Went, keep_pixels: bool) -> Refined:
    """Values, covariances and residuals in settled units."""
    how, state = problem.how, went.state
    numbers = how.free[0].shape[1]
    spread = torch.block_diag(*how.free)  # type: ignore[no-untyped-call]
    columns = tuple(columns_of(problem.models[0], how.names))
    sides = _sides(problem, state)
    equations = held(went.equations, how.free, sides)
    warn_of_undetermined(equations, columns, spread, numbers, sides)
    found = []
    squares, pixels, count = 0.0, 0, how.common
    joint = covariances(equations, numbers)
    for shot, model, own, plane, raw, side in zip(
        problem.shots, problem.models, state.own, state.planes, joint.shots, sides, strict=True
    ):
        scale = _place(model, how, state.shared[:numbers], own)[:, None] * spread
        values = torch.cat([model.value(name).detach().reshape(-1) for name in how.names]) if how.names else own
        experiment = model.settled() if how.names else shot.experiment
        expected = shot.expected(experiment) * _factors(shot, how, state.shared)[0]
        design, labels = _design(shot)
        behind = torch.zeros_like(expected)
        if shot.labels is not None:
            behind = background.level(design, plane, labels)
            plane = torch.exp(plane[:, :1]) * torch.cat([torch.ones_like(plane[:, :1]), plane[:, 1:]], 1)
        expected = expected + behind
        judged = scored(expected, shot.observation.values, how.noise)
        residual = judged.residual
        kept = (expected, behind, residual) if keep_pixels else (expected[:0], behind[:0], residual[:0])
        found.append(Estimate(experiment, columns, values, scale @ raw @ scale.T, plane, *kept, side))
        squares += float(judged.squares.sum())
        pixels += len(residual)
        count += len(own) + plane.numel()
    chi_square = squares / max(pixels - count, 1)
    factors = sigma = None
    if how.amplitudes is not None:
        factors = torch.exp(state.shared[numbers:])
        sigma = factors * joint.shared.diagonal()[numbers:].clamp_min(0.0).sqrt()
    return Refined(tuple(found), went.losses, went.converged, chi_square, factors, sigma, went.path)
