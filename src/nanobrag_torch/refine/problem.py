"""What shots say about parameters: normal equations at a state, with the backgrounds that go with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nanobrag_torch.refine import background
from nanobrag_torch.refine.likelihood import Noise, planes, scored
from nanobrag_torch.refine.normal import Equations, Rows, assemble, without_planes
from nanobrag_torch.refine.outcome import Amplitudes, Restraints
from nanobrag_torch.refine.parameters import Parameters
from nanobrag_torch.refine.shots import Shot
from nanobrag_torch.refine.varying import roughness


@dataclass(frozen=True)
class Setting:
    """What is refined, and how: see `refine_shots`."""

    shared: tuple[str, ...]
    own: tuple[str, ...]
    noise: Noise
    restraints: Restraints
    free: tuple[Tensor, Tensor]
    amplitudes: Amplitudes | None = None
    smooth: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Quantities, the shared ones first."""
        return (*self.shared, *self.own)

    @property
    def common(self) -> int:
        """Number of what all shots share: free numbers of shared quantities, then amplitudes."""
        return self.free[0].shape[1] + (0 if self.amplitudes is None else self.amplitudes.count)


@dataclass(frozen=True)
class State:
    """Raw values: of the shared quantities, then of the amplitudes; of each shot; of its backgrounds."""

    shared: Tensor
    own: tuple[Tensor, ...]
    planes: tuple[Tensor, ...]


@dataclass(frozen=True)
class Problem:
    """Shots, their parameters, where their backgrounds start, and what is refined."""

    shots: Sequence[Shot]
    models: Sequence[Parameters]
    begun: tuple[Tensor, ...]
    how: Setting


def put_raw(parameters: Parameters, how: Setting, shared: Tensor, own: Tensor) -> Tensor:
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


def design_of(shot: Shot) -> tuple[Tensor, Tensor]:
    """Design [P, 3] of the backgrounds and labels [P]."""
    if shot.labels is None:
        count = len(shot.observation)
        return torch.zeros(count, 0, dtype=torch.float64), torch.zeros(count, dtype=torch.int64)
    return planes(shot.observation.pixels, shot.labels), shot.labels


def factors_of(shot: Shot, how: Setting, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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


def _seen(problem: Problem, index: int, state: State) -> _Seen:
    """One shot with its backgrounds profiled out; the first has the restraints of shared quantities."""
    shot, parameters, how = problem.shots[index], problem.models[index], problem.how
    numbers = how.free[0].shape[1]
    slopes = put_raw(parameters, how, state.shared[:numbers], state.own[index])
    spread = torch.block_diag(*how.free)  # type: ignore[no-untyped-call]
    if how.names:
        spots, settled = shot.jacobian(parameters.settled(), how.names, parameters.at_knots())
        jacobian = (settled * slopes) @ spread
    else:
        spots = shot.expected(shot.experiment)
        jacobian = spots.new_zeros(len(spots), 0)
    factor, seen, place = factors_of(shot, how, state.shared)
    spots, jacobian = factor * spots, factor[:, None] * jacobian
    single = torch.zeros(len(spots), len(seen), dtype=torch.float64)
    rows = torch.nonzero(place >= 0)[:, 0]
    single[rows, place[rows]] = 2.0 * spots[rows]
    jacobian = torch.cat([jacobian[:, :numbers], single, jacobian[:, numbers:]], 1)
    design, labels = design_of(shot)
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
    matrix[keep[:, None] & keep] += (spread.T @ (slopes[:, None] * stiffness * slopes) @ spread).reshape(-1)
    gradient[keep] += spread.T @ (pull * slopes)
    places = torch.cat([torch.arange(numbers), numbers + seen])
    return _Seen(matrix, gradient, places, float(found.loss) + extra + loss, planes_)


def equations_of(problem: Problem, state: State) -> tuple[Equations, State]:
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
    """Loss, and its first [n] and second derivatives [n, n] by the settled values, of the priors."""
    loss, pulls, stiffness = 0.0, [], []
    for name in how.names:
        value = parameters.value(name).detach().reshape(-1)
        pull, stiff = torch.zeros_like(value), torch.zeros(len(value), len(value), dtype=torch.float64)
        if name in how.restraints and name in active:
            middle, spread = how.restraints[name]
            mean = parameters.begun(name).reshape(-1) if middle is None else _wide(middle, len(value))
            width = _wide(spread, len(value))
            pull, stiff = (value - mean) / width**2, torch.diag(1.0 / width**2)
            loss += 0.5 * float((((value - mean) / width) ** 2).sum())
        if name in how.smooth and name in active:
            more = roughness(parameters.value(name).detach(), how.smooth[name])
            loss, pull, stiff = loss + more[0], pull + more[1], stiff + more[2]
        pulls.append(pull)
        stiffness.append(stiff)
    if not pulls:
        return loss, torch.zeros(0, dtype=torch.float64), torch.zeros(0, 0, dtype=torch.float64)
    return loss, torch.cat(pulls), torch.block_diag(*stiffness)  # type: ignore[no-untyped-call]
