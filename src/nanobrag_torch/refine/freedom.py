"""Which numbers of a refinement move: ties, fixed ones, those at a bound, and those that nothing determines."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError, NanobragWarning
from nanobrag_torch.refine.normal import UNDETERMINED, Equations, Held, frozen
from nanobrag_torch.refine.outcome import Elements
from nanobrag_torch.refine.parameters import Parameters

_NEAR = 0.1
"""Part of a positive bound, or a hundredth of this part of the range, within which a value is at it."""


def columns_of(parameters: Parameters, names: Sequence[str]) -> list[tuple[str, int]]:
    """(name, index) of every number of the quantities."""
    return [(name, i) for name in names for i in range(parameters.get_parameter(name).numel())]


def free_numbers(parameters: Parameters, names: Sequence[str], tied: Sequence[Elements], fixed: Elements) -> Tensor:
    """Matrix [numbers, free numbers] from what moves to the raw parameters."""
    columns = columns_of(parameters, names)
    groups = [list(map(tuple, group)) for group in tied]
    leaders = {element: group[0] for group in groups for element in group}
    moving = [c for c in columns if c not in fixed and leaders.get(c, c) == c]
    matrix = torch.zeros(len(columns), len(moving), dtype=torch.float64)
    for row, column in enumerate(columns):
        leader = leaders.get(column, column)
        if column not in fixed and leader in moving:
            matrix[row, moving.index(leader)] = 1.0
    return matrix


def check_ties(groups: tuple[tuple[str, ...], ...], tied: Sequence[Elements], fixed: Elements) -> None:
    """Refuse ties and fixed numbers of what is not refined, and ties between shared and own quantities.

    Raises:
        InputError: names the quantity.
    """
    for name, _ in [*fixed, *(element for group in tied for element in group)]:
        if not any(name in names for names in groups):
            raise InputError("tied, fixed", f"{name} is not refined", "name it among the refined")
    for group in tied:
        if len({next(i for i, names in enumerate(groups) if name in names) for name, _ in group}) > 1:
            raise InputError("tied", "a shared quantity is tied to one per shot", "tie those of one group")


def at_bounds(parameters: Parameters, names: Sequence[str]) -> Tensor:
    """-1 for each number [n] that is at its smallest value, 1 at its largest, 0 elsewhere."""
    found = []
    for name in names:
        value = parameters.value(name).detach().reshape(-1)
        side = torch.zeros_like(value)
        if name in parameters.bounds:
            low, high = parameters.bounds[name]
            little = 0.01 * _NEAR * (high - low)
            side[value - low < (_NEAR * low if low > 0.0 else little)] = -1.0
            side[high - value < little] = 1.0
        found.append(side)
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)


def held(equations: Equations, free: tuple[Tensor, Tensor], sides: Sequence[Tensor]) -> Equations:
    """The equations without the numbers that are at a bound and would go beyond it.

    Args:
        equations: of all shots.
        free: matrices from free numbers to the shared and the own numbers, as `free_numbers` gives them.
        sides: per shot what `at_bounds` says of its numbers, shared ones first.
    """
    split, numbers = len(free[0]), free[0].shape[1]

    def outward(side: Tensor, matrix: Tensor, gradient: Tensor) -> list[int]:
        # Down the slope is against the gradient: a number at its smallest value stays where the loss rises with it.
        found: list[int] = torch.nonzero((matrix.T @ side) * gradient < 0.0)[:, 0].tolist()
        return found

    which = [Held(None, index) for index in outward(sides[0][:split], free[0], equations.slope[:numbers])]
    for shot, (rows, side) in enumerate(zip(equations.rows, sides, strict=True)):
        which += [Held(shot, index) for index in outward(side[split:], free[1], rows.gradient)]
    for one in which:
        equations = frozen(equations, one)
    return equations


def warn_of_undetermined(
    equations: Equations,
    columns: Sequence[tuple[str, int]],
    spread: Tensor,
    shared: int,
    sides: Sequence[Tensor],
) -> None:
    """Name the parameters of directions without information.

    Args:
        equations: at the end of a refinement.
        columns: (name, index) of every number.
        spread: matrix [numbers, free numbers].
        shared: how many of the free numbers are shared.
        sides: per shot, which numbers are at a bound; these are no cause for a warning.
    """
    alone = len(equations.rows) == 1
    for index, rows in enumerate(equations.rows):
        matrix, part = rows.own, spread[:, shared:]
        if alone:
            corner = rows.matrix[:, :shared]
            top = torch.cat([equations.total[:shared, :shared], corner.T], 1)
            matrix, part = torch.cat([top, torch.cat([corner, rows.own], 1)], 0), spread
        if not len(matrix):
            continue
        width = matrix.diagonal().clamp_min(0.0).sqrt()
        scale = torch.where(width > 0.0, 1.0 / torch.where(width > 0.0, width, torch.ones_like(width)), 1.0)
        values, vectors = torch.linalg.eigh(scale[:, None] * matrix * scale)
        weak = part.abs() @ (vectors[:, values < UNDETERMINED].abs().sum(1))
        weak = torch.where(sides[index] == 0.0, weak, 0.0)
        names = [f"{name}[{i}]" for (name, i), size in zip(columns, weak.tolist(), strict=True) if size > 0.1]
        if names:
            text = f"shot {index}: nothing determines {', '.join(names)}; fix or restrain some"
            warnings.warn(NanobragWarning(text), stacklevel=4)
