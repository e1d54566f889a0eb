"""Fisher scoring (Levenberg-Marquardt) of one shot or many, with planes of background and honest uncertainties."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError, NanobragWarning
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.refine.fit import Observation
from nanobrag_torch.refine.likelihood import Noise, planes, scored
from nanobrag_torch.refine.normal import UNDETERMINED, Normal, assemble, covariances, solve, without_planes
from nanobrag_torch.refine.parameters import Parameters

Restraints = Mapping[str, tuple[float | Tensor, float | Tensor]]
"""By name, the mean and the width of a normal prior, settled units."""
Elements = Sequence[tuple[str, int]]
"""Numbers of quantities: `("cell_lengths", 0)` is a."""
_SMALLEST_PLANE = 0.05
_LARGEST_DAMPING = 1e8


@dataclass(frozen=True)
class Shot:
    """One image to be explained.

    Args:
        experiment: its start.
        observation: its counts at the pixels of its regions.
        labels: [P] the region of each pixel, 0 to R - 1: each has a plane of background; `None`: no background.
    """

    experiment: Experiment
    observation: Observation
    labels: Tensor | None = None


@dataclass(frozen=True)
class Constraints:
    """What parameters may not do.

    Args:
        bounds: smallest and largest values by name, settled units.
        restraints: priors by name, those of own quantities for every shot.
        tied: numbers that move together by the same raw step (equal lengths stay equal), all shared or all own.
        fixed: numbers that stay.
    """

    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    restraints: Restraints = field(default_factory=dict)
    tied: Sequence[Elements] = ()
    fixed: Elements = ()


@dataclass(frozen=True)
class Estimate:
    """What one shot's parameters became.

    Args:
        experiment: with the refined values.
        columns: (name, index) of every refined number, the shared ones first.
        values: [n] settled units (m, rad, Å), in the order of the columns.
        covariance: [n, n] of the values, everything that was refined together taken into account.
        planes: [R, 3] background in photons: its middle, and its rise over half a region along slow and fast.
        residuals: [P] signed roots of the deviance.
    """

    experiment: Experiment
    columns: tuple[tuple[str, int], ...]
    values: Tensor
    covariance: Tensor = field(repr=False)
    planes: Tensor = field(repr=False)
    residuals: Tensor = field(repr=False)

    @property
    def sigma(self) -> Tensor:
        """Standard deviations [n], settled units."""
        return self.covariance.diagonal().clamp_min(0.0).sqrt()

    @property
    def correlations(self) -> Tensor:
        """Correlation coefficients [n, n]."""
        width = self.sigma.clamp_min(1e-300)
        return self.covariance / width[:, None] / width


@dataclass(frozen=True)
class Refined:
    """How a refinement went.

    Args:
        shots: an estimate per shot.
        losses: half the deviance, restraints included, after every accepted step.
        converged: whether the next step promised less than the tolerance.
        chi_square: deviance per degree of freedom.
    """

    shots: tuple[Estimate, ...]
    losses: tuple[float, ...]
    converged: bool
    chi_square: float


@dataclass(frozen=True)
class Setting:
    """What is refined, and how: see `refine_shots`."""

    shared: tuple[str, ...]
    own: tuple[str, ...]
    noise: Noise
    restraints: Restraints
    free: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class _State:
    shared: Tensor
    own: tuple[Tensor, ...]
    planes: tuple[Tensor, ...]


def refine_shots(
    shots: Sequence[Shot],
    shared: Sequence[str] = (),
    own: Sequence[str] = (),
    *,
    noise: Noise | None = None,
    constraints: Constraints | None = None,
    steps: int = 50,
    tolerance: float = 1e-6,
) -> Refined:
    """Move parameters and planes to the most likely ones and say how well they are known.

    Args:
        shots: one image or many.
        shared: names of `QUANTITIES` with one value for all shots; all start where the first shot has them.
        own: names with a value per shot.
        noise: of the detector; counts of photons by default.
        constraints: bounds, restraints, ties.
        steps: at most so many accepted or refused steps.
        tolerance: of the decrease in the logarithm of the likelihood that the next step promises.

    Raises:
        InputError: nothing to refine, no shot, ties across groups, or a start that makes counts impossible.

    Warns:
        NanobragWarning: a combination of parameters that nothing determines.
    """
    groups = (tuple(shared), tuple(own))
    if not shots or not any(groups) or set(shared) & set(own):
        raise InputError("shared, own", "they name nothing, or a quantity twice", "give shots and name each once")
    first = {name: QUANTITIES[name].take(shots[0].experiment) for name in shared if name in QUANTITIES}
    limits = constraints or Constraints()
    models = [Parameters(_with(shot.experiment, first), [*shared, *own], bounds=limits.bounds) for shot in shots]
    free = tuple(_free(models[0], names, limits.tied, limits.fixed) for names in groups)
    _check_ties(groups, limits.tied, limits.fixed)
    how = Setting(*groups, noise or Noise(), limits.restraints, (free[0], free[1]))
    state = _State(
        torch.zeros(free[0].shape[1], dtype=torch.float64),
        tuple(torch.zeros(free[1].shape[1], dtype=torch.float64) for _ in shots),
        tuple(_start_planes(shot, how.noise) for shot in shots),
    )
    state, losses, converged, normals = _descend(shots, models, how, state, steps, tolerance)
    return _told(shots, models, how, state, normals, (tuple(losses), converged))


def _with(experiment: Experiment, values: Mapping[str, Tensor]) -> Experiment:
    for name, value in values.items():
        experiment = QUANTITIES[name].put(experiment, value.detach())
    return experiment


def _columns(parameters: Parameters, names: Sequence[str]) -> list[tuple[str, int]]:
    return [(name, i) for name in names for i in range(parameters.get_parameter(name).numel())]


def _free(parameters: Parameters, names: Sequence[str], tied: Sequence[Elements], fixed: Elements) -> Tensor:
    """Matrix [numbers, free numbers] from what moves to the raw parameters."""
    columns = _columns(parameters, names)
    groups = [list(map(tuple, group)) for group in tied]
    leaders = {element: group[0] for group in groups for element in group}
    moving = [c for c in columns if c not in fixed and leaders.get(c, c) == c]
    matrix = torch.zeros(len(columns), len(moving), dtype=torch.float64)
    for row, column in enumerate(columns):
        leader = leaders.get(column, column)
        if column not in fixed and leader in moving:
            matrix[row, moving.index(leader)] = 1.0
    return matrix


def _check_ties(groups: tuple[tuple[str, ...], ...], tied: Sequence[Elements], fixed: Elements) -> None:
    for name, _ in [*fixed, *(element for group in tied for element in group)]:
        if not any(name in names for names in groups):
            raise InputError("tied, fixed", f"{name} is not refined", "name it among the refined")
    for group in tied:
        if len({next(i for i, names in enumerate(groups) if name in names) for name, _ in group}) > 1:
            raise InputError("tied", "a shared quantity is tied to one per shot", "tie those of one group")


def _start_planes(shot: Shot, noise: Noise) -> Tensor:
    """Level planes at the median of each region's counts, above zero."""
    if shot.labels is None:
        return torch.zeros(0, 3, dtype=torch.float64)
    values = shot.observation.values.to(torch.float64) / noise.gain
    count = int(shot.labels.max()) + 1
    found = torch.zeros(count, 3, dtype=torch.float64)
    for region in range(count):
        found[region, 0] = values[shot.labels == region].median().clamp_min(_SMALLEST_PLANE)
    return found


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


def _normal(shot: Shot, parameters: Parameters, how: Setting, at: tuple[Tensor, Tensor, Tensor], prior: bool) -> Normal:
    """One shot's normal equations at (shared, own, planes), with the shared restraints when `prior`."""
    slopes = _place(parameters, how, at[0], at[1])
    names = (*how.shared, *how.own)
    values, settled = Simulator(parameters.settled()).jacobian(names, shot.observation.pixels)
    spread = torch.block_diag(*how.free)  # type: ignore[no-untyped-call]
    if shot.labels is None:
        design, labels = settled.new_zeros(len(values), 0), torch.zeros(len(values), dtype=torch.int64)
    else:
        design, labels = planes(shot.observation.pixels, shot.labels), shot.labels
        values = values + (design * at[2][labels]).sum(1)
    found = scored(values, shot.observation.values, how.noise)
    jacobian = (settled * slopes) @ spread
    normal = assemble(jacobian, found.score, found.information, design, labels)
    loss, pull, stiffness = _restrained(parameters, how, names if prior else how.own)
    return replace(
        normal,
        loss=float(found.loss) + loss,
        matrix=normal.matrix + spread.T @ torch.diag(stiffness * slopes**2) @ spread,
        gradient=normal.gradient + spread.T @ (pull * slopes),
    )


def _restrained(parameters: Parameters, how: Setting, active: Sequence[str]) -> tuple[float, Tensor, Tensor]:
    """Loss, and its first and second derivatives [numbers] by the settled values, of the priors."""
    loss, pulls, widths = 0.0, [], []
    for name in (*how.shared, *how.own):
        value = parameters.value(name).detach().reshape(-1)
        if name in how.restraints and name in active:
            mean, width = (torch.as_tensor(x, dtype=torch.float64).expand(len(value)) for x in how.restraints[name])
            pulls.append((value - mean) / width**2)
            widths.append(1.0 / width**2)
            loss += 0.5 * float((((value - mean) / width) ** 2).sum())
        else:
            pulls.append(torch.zeros_like(value))
            widths.append(torch.zeros_like(value))
    return loss, torch.cat(pulls), torch.cat(widths)


def _all(shots: Sequence[Shot], models: Sequence[Parameters], how: Setting, state: _State) -> list[Normal]:
    return [
        _normal(shot, model, how, (state.shared, own, plane), index == 0)
        for index, (shot, model, own, plane) in enumerate(zip(shots, models, state.own, state.planes, strict=True))
    ]


def _descend(
    shots: Sequence[Shot],
    models: Sequence[Parameters],
    how: Setting,
    state: _State,
    steps: int,
    tolerance: float,
) -> tuple[_State, list[float], bool, list[Normal]]:
    """Damped steps until they promise nothing more."""
    normals = _all(shots, models, how, state)
    loss = sum(normal.loss for normal in normals)
    if not loss < float("inf"):
        raise InputError("shots", "the start expects no photons where some may be", "give labels of regions")
    losses, damping = [loss], 1e-3
    for _ in range(steps):
        step = solve(normals, len(state.shared), damping)
        if step.promised < tolerance:
            return state, losses, True, normals
        moved = _State(
            state.shared + step.shared,
            tuple(a + b for a, b in zip(state.own, step.own, strict=True)),
            tuple(a + b for a, b in zip(state.planes, step.planes, strict=True)),
        )
        there = _all(shots, models, how, moved)
        now = sum(normal.loss for normal in there)
        if now < loss:
            state, normals, loss = moved, there, now
            losses.append(loss)
            damping = max(damping / 10.0, 1e-9)
        else:
            damping *= 8.0
            if damping > _LARGEST_DAMPING:
                break
    return state, losses, False, normals


def _told(
    shots: Sequence[Shot],
    models: Sequence[Parameters],
    how: Setting,
    state: _State,
    normals: Sequence[Normal],
    went: tuple[tuple[float, ...], bool],
) -> Refined:
    """Values, covariances and residuals in settled units."""
    spread = torch.block_diag(*how.free)  # type: ignore[no-untyped-call]
    columns = tuple(_columns(models[0], (*how.shared, *how.own)))
    _warn(normals, columns, spread, len(state.shared))
    found = []
    deviance, pixels, numbers = 0.0, 0, len(state.shared)
    joint = covariances(normals, len(state.shared))
    for shot, model, own, plane, raw in zip(shots, models, state.own, state.planes, joint, strict=True):
        scale = _place(model, how, state.shared, own)[:, None] * spread
        values = torch.cat([model.value(name).detach().reshape(-1) for name in (*how.shared, *how.own)])
        experiment = model.settled()
        expected = torch.cat(list(Simulator(experiment).run(shot.observation.pixels).values)).detach()
        if shot.labels is not None:
            expected = expected + (planes(shot.observation.pixels, shot.labels) * plane[shot.labels]).sum(1)
        residual = scored(expected, shot.observation.values, how.noise).residual
        found.append(Estimate(experiment, columns, values, scale @ raw @ scale.T, plane, residual))
        deviance += float((residual**2).sum())
        pixels += len(residual)
        numbers += len(own) + plane.numel()
    return Refined(tuple(found), went[0], went[1], deviance / max(pixels - numbers, 1))


def _warn(normals: Sequence[Normal], columns: Sequence[tuple[str, int]], spread: Tensor, shared: int) -> None:
    """Name the parameters of directions without information."""
    for index, normal in enumerate(normals):
        matrix, _ = without_planes(normal)
        matrix = matrix if len(normals) == 1 else matrix[shared:, shared:]
        part = spread if len(normals) == 1 else spread[:, shared:]
        if not len(matrix):
            continue
        width = matrix.diagonal().clamp_min(0.0).sqrt()
        scale = torch.where(width > 0.0, 1.0 / torch.where(width > 0.0, width, torch.ones_like(width)), 1.0)
        values, vectors = torch.linalg.eigh(scale[:, None] * matrix * scale)
        weak = part.abs() @ (vectors[:, values < UNDETERMINED].abs().sum(1))
        names = [f"{name}[{i}]" for (name, i), size in zip(columns, weak.tolist(), strict=True) if size > 0.1]
        if names:
            text = f"shot {index}: nothing determines {', '.join(names)}; fix or restrain some"
            warnings.warn(NanobragWarning(text), stacklevel=4)
