"""The kernels for cards (csrc/card.cu) as functions of tensors, whoever launches them.

The functions are those of `cpu`, with a launcher before their arguments: the card's (cuda.py), or the one with which
tests run the same code on a processor. Nothing here waits for the card.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from nanobrag_torch.errors import BackendUnavailable
from nanobrag_torch.kernels.cpu import DIRECTION_BLOCK
from nanobrag_torch.kernels.packing import GEOMETRY_LENGTH, LATTICE_LENGTH, SOURCE_LENGTH

NUMBERS = 14
"""Numbers of a shape's formula: N, cells, W, scale (csrc/pixel_jvp_block.h)."""

GRADIENT_BYTES = 256 * 2**20
"""What the gradients of all groups of threads may take together."""

TRICUBIC = 2
"""The look-up that interpolates (csrc/problem.h)."""

Scene = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class Question(NamedTuple):
    """What is compiled for: which question of csrc/card.cu, for which choices of a scene."""

    name: str
    config: tuple[int, ...]


class Launcher(Protocol):
    """Runs entries of csrc/card.cu.

    threads: of a block; group: of them that add up together; most_blocks: that are useful at once; pairs: whether
    indices of single precision are formed in pairs of singles.
    """

    pairs: bool
    threads: int
    group: int
    most_blocks: int

    def launch(self, entry: str, question: Question, blocks: int, arguments: Sequence[int | float]) -> None:
        """Run an entry on blocks of threads, after everything that was launched before."""


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None or not tensor.numel() else tensor.data_ptr()


def _addresses(*tensors: Tensor | None) -> list[int | float]:
    return [_address(tensor) for tensor in tensors]


def _problem(config: list[int], lattice: Tensor, A: Tensor, table: Tensor, single: bool) -> tuple[Tensor, ...]:
    numbers = [*config]
    numbers[3] = int(single)
    values = table.to(torch.float32 if single else torch.float64)
    whole = torch.tensor(numbers, dtype=torch.int64).to(A.device, non_blocking=True)
    return whole, lattice.contiguous(), A.contiguous(), values.contiguous()


def _cells(launcher: Launcher, A: Tensor, config: list[int]) -> Tensor:
    """Cells [..., M, 3, 3], or where the launcher forms indices in pairs, the pairs (high, low) in their place."""
    if not (launcher.pairs and config[3] and config[1] != TRICUBIC):
        return A
    high = A.to(torch.float32)
    low = (A - high.to(torch.float64)).to(torch.float32)
    return torch.stack([high, low], dim=-1).view(torch.float64).reshape(A.shape)


def _question(name: str, config: list[int], single: bool | None = None) -> Question:
    numbers = [*config]
    if single is not None:
        numbers[3] = int(single)
    return Question(name, tuple(numbers))


def _zeros(like: Tensor, *shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64, device=like.device)


def _empty(like: Tensor, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=like.device)


def alert_order(wants_table: bool) -> None:
    """Say that the gradient by the table depends on the order of threads, if torch was told to say such things.

    Raises:
        BackendUnavailable: `torch.use_deterministic_algorithms` is on, and not only to warn.
    """
    if not (wants_table and torch.are_deterministic_algorithms_enabled()):
        return
    told = "threads of a card add to the gradient of the amplitudes in any order, which changes its last digits"
    if torch.is_deterministic_algorithms_warn_only_enabled():
        warnings.warn(told, stacklevel=2)
        return
    remedy = "compute it on the processor, or allow it with torch.use_deterministic_algorithms(True, warn_only=True)"
    raise BackendUnavailable("cuda", f"{told}; {remedy}")


def _blocks(launcher: Launcher, units: int) -> int:
    return max(1, min(-(-units // launcher.threads), launcher.most_blocks))


def lattice_sum(launcher: Launcher, S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int]) -> Tensor:
    """Σ_m F_cell² F_latt² [P] at S [P,3]."""
    problem = _problem(config, lattice, _cells(launcher, A, config), table, bool(config[3]))
    S, out = S.contiguous(), _empty(S, len(S))
    arguments = [*_addresses(*problem, S), len(S), *_addresses(out)]
    question = _question("LATTICE_SUM", config)
    launcher.launch("nanobrag_card_lattice_sum", question, _blocks(launcher, len(S)), arguments)
    return out


def lattice_sum_vjp(  # noqa: PLR0913 - the operator's
    launcher: Launcher,
    grad: Tensor,
    S: Tensor,
    A: Tensor,
    lattice: Tensor,
    table: Tensor,
    config: list[int],
    wants: tuple[bool, bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients by S, A, and as far as they are wanted lattice parameters and table (else empty); all in double."""
    alert_order(wants[1])
    problem, question = _problem(config, lattice, A, table, False), _question("LATTICE_VJP", config, False)
    S, grad, by_S = S.contiguous(), grad.contiguous(), torch.empty_like(S)
    blocks = _slice_blocks(launcher, len(S), A.numel() + NUMBERS)
    groups = blocks * launcher.threads // launcher.group
    cells, numbers = _zeros(A, groups, A.numel()), _zeros(A, groups, NUMBERS)
    by_table = _zeros(A, len(table) * wants[1])
    arguments = [*_addresses(*problem, grad, S), len(S), *_addresses(by_S, cells, numbers, by_table)]
    launcher.launch("nanobrag_card_lattice_vjp", question, blocks, arguments)
    by_A = _gathered(launcher, question, cells).reshape(A.shape)
    by_lattice = _lattice_gradient(launcher, question, problem, numbers) if wants[0] else _zeros(A, 0)
    return by_S, by_A, by_lattice, by_table


def pixel_sum(
    launcher: Launcher,
    pixels: Tensor | None,
    span: tuple[int, int],
    scene: Scene,
    config: list[int],
    output: tuple[Tensor, bool, bool, bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Total, background and solid angle [B, P] of pixels of B variants of a scene, as `cpu.pixel_sum`."""
    scales, single, wants_background, wants_angle = output
    geometry, sources, A, lattice, table = scene
    cells = _cells(launcher, A, config)
    problem = _problem(config, lattice, cells, table, bool(config[3]))
    problem = (*problem, geometry.contiguous(), sources.contiguous())
    (first, count), variants = span, len(scales)
    steps = [0 if len(tensor) == 1 else tensor[0].numel() for tensor in (lattice, A, table, geometry, sources)]
    scales = scales.to(A.device, non_blocking=True).contiguous()
    total = _empty(A, variants, count, dtype=torch.float32 if single else torch.float64)
    background, angle = _empty(A, variants, count * wants_background), _empty(A, variants, count * wants_angle)
    listed = None if pixels is None else pixels.contiguous()
    arguments = [
        *_addresses(*problem, listed), first, count, variants, *steps,
        *_addresses(scales, None if single else total, total if single else None, background, angle),
    ]  # fmt: skip
    question = _question("SUM", config)
    launcher.launch("nanobrag_card_pixel_sum", question, _blocks(launcher, count * variants), arguments)
    return total, background, angle


def pixel_sum_vjp(
    launcher: Launcher,
    grads: tuple[Tensor, Tensor | None, float],
    pixels: Tensor | None,
    span: tuple[int, int],
    scene: Scene,
    config: list[int],
    wants: tuple[bool, bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients by geometry, sources, A, and if wanted lattice parameters and table, as `cpu.pixel_sum_vjp`."""
    alert_order(wants[1])
    geometry, sources, A, lattice, table = scene
    problem, question = _problem(config, lattice, A, table, False), _question("VJP", config, False)
    length = GEOMETRY_LENGTH + sources.numel()
    blocks = _slice_blocks(launcher, span[1], A.numel() + length + NUMBERS)
    groups = blocks * launcher.threads // launcher.group
    cells, own, numbers = _zeros(A, groups, A.numel()), _zeros(A, groups, length), _zeros(A, groups, NUMBERS)
    by_table, space = _zeros(A, len(table) * wants[1]), _empty(A, blocks * launcher.threads * length)
    by_total = grads[0].to(torch.float64)
    by_background = None if grads[1] is None else grads[1].contiguous()
    listed = None if pixels is None else pixels.contiguous()
    arguments = [
        *_addresses(*problem, geometry.contiguous(), sources.contiguous(), listed), *span, float(grads[2]),
        *_addresses(by_total), by_total.stride(0), *_addresses(by_background, cells, own, numbers, by_table, space),
    ]  # fmt: skip
    launcher.launch("nanobrag_card_pixel_vjp", question, blocks, arguments)
    by_own = _gathered(launcher, question, own)
    by_A = _gathered(launcher, question, cells).reshape(A.shape)
    by_lattice = _lattice_gradient(launcher, question, problem, numbers) if wants[0] else _zeros(A, 0)
    by_sources = by_own[GEOMETRY_LENGTH:].reshape(-1, SOURCE_LENGTH)
    return by_own[:GEOMETRY_LENGTH], by_sources, by_A, by_lattice, by_table


def pixel_sum_jvp(
    launcher: Launcher,
    tangents: tuple[Tensor, ...],
    pixels: Tensor | None,
    span: tuple[int, int],
    scene: Scene,
    config: list[int],
    wants_background: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Total and background [P], and their derivatives [P, K] in K directions, as `cpu.pixel_sum_jvp`."""
    geometry, sources, A, lattice, table = scene
    problem, question = _problem(config, lattice, A, table, False), _question("JVP", config, False)
    count, results = span[1], max(len(tangent) for tangent in tangents)
    directions = [_padded(tangent.flatten(1)) for tangent in tangents]
    described = [x for value, row in directions for x in (_address(value), _address(row), len(row), len(value))]
    told = torch.tensor([*described, results], dtype=torch.int64).to(A.device, non_blocking=True)
    slopes = _empty(A, NUMBERS * LATTICE_LENGTH)
    launcher.launch("nanobrag_card_number_slopes", question, 1, _addresses(*problem, slopes))
    length = GEOMETRY_LENGTH + sources.numel() + sum(len(directions[i][0]) for i in (2, 4)) + results
    blocks = min(_blocks(launcher, count), max(1, GRADIENT_BYTES // (8 * launcher.threads * length)))
    space = _empty(A, blocks * launcher.threads * length)
    total, by_total = _empty(A, count), _empty(A, count, results)
    background, by_background = _empty(A, count * wants_background), _empty(A, count * wants_background, results)
    listed = None if pixels is None else pixels.contiguous()
    arguments = [
        *_addresses(*problem, geometry.contiguous(), sources.contiguous(), listed), *span,
        *_addresses(told, slopes, total, background, by_total, by_background, space),
    ]  # fmt: skip
    launcher.launch("nanobrag_card_pixel_jvp", question, blocks, arguments)
    return total, background, by_total, by_background


def _padded(tangent: Tensor) -> tuple[Tensor, Tensor]:
    """Directions [K, n], zeros after them up to whole blocks, and their rows; none is left out, to ask nothing back."""
    values = _zeros(tangent, -(-len(tangent) // DIRECTION_BLOCK) * DIRECTION_BLOCK, tangent.shape[1])
    values[: len(tangent)] = tangent
    return values, torch.arange(len(tangent), device=tangent.device)


def _slice_blocks(launcher: Launcher, units: int, length: int) -> int:
    """Blocks whose groups own a slice each: no more than their gradients have room for."""
    groups = launcher.threads // launcher.group
    return min(_blocks(launcher, units), max(1, GRADIENT_BYTES // (8 * length * groups)))


def _gathered(launcher: Launcher, question: Question, parts: Tensor) -> Tensor:
    """The sum over groups of parts [groups, n], in their order."""
    groups, length = parts.shape
    sums = _empty(parts, length)
    arguments = [_address(parts), groups, length, _address(sums)]
    launcher.launch("nanobrag_card_gather", question, _blocks(launcher, length), arguments)
    return sums


def _lattice_gradient(launcher: Launcher, question: Question, problem: tuple[Tensor, ...], numbers: Tensor) -> Tensor:
    """Gradients by the lattice parameters [LATTICE_LENGTH] from those by the shape's numbers of all groups."""
    total, by_lattice = _gathered(launcher, question, numbers), _zeros(numbers, LATTICE_LENGTH)
    arguments = _addresses(*problem, total, by_lattice)
    launcher.launch("nanobrag_card_numbers_vjp", question, 1, arguments)
    return by_lattice
