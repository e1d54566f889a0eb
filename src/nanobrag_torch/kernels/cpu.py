"""The native kernels for processors: plain C, called through ctypes (csrc/)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from nanobrag_torch import native
from nanobrag_torch.errors import MemoryBudgetError
from nanobrag_torch.kernels.packing import GEOMETRY_LENGTH, LATTICE_LENGTH, SOURCE_LENGTH, THREADS
from nanobrag_torch.kernels.shapes import CODES

_LIBRARY = "nanobrag_kernels"
_SINGLE = 3
DIRECTION_BLOCK = 4
"""Directions of a tensor that the kernel works on together (csrc/problem.h)."""
_POINTER, _INTEGER, _REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
_PROBLEM = [_POINTER] * 4
_SCENE = [*_PROBLEM, _POINTER, _POINTER, _POINTER, _INTEGER, _INTEGER]
_ARGUMENTS = {
    "nanobrag_lattice_sum": (None, [*_PROBLEM, _POINTER, _INTEGER, _POINTER]),
    "nanobrag_lattice_sum_vjp": (ctypes.c_int, [*_PROBLEM, _POINTER, _POINTER, _INTEGER, *[_POINTER] * 4]),
    "nanobrag_pixel_sum": (ctypes.c_int, [*_SCENE, _INTEGER, *[_POINTER] * 6]),
    "nanobrag_pixel_sum_vjp": (ctypes.c_int, [*_SCENE, _REAL, _POINTER, _INTEGER, *[_POINTER] * 6]),
    "nanobrag_pixel_sum_jvp": (ctypes.c_int, [*_SCENE, *[_POINTER] * 4, _INTEGER, *[_POINTER] * 4]),
    "nanobrag_level": (ctypes.c_int, [ctypes.c_int]),
}


@cache
def _functions() -> ctypes.CDLL:
    library = native.load(_LIBRARY)
    if library is None:
        raise OSError(native.why_missing(_LIBRARY))
    for name, (result, arguments) in _ARGUMENTS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def why_not(device: torch.device, dtype: torch.dtype, shape: str, interpolation: bool) -> str | None:
    """Why the native kernels cannot serve, in one sentence, or `None`."""
    if device.type != "cpu":
        return f"it computes on processors, not on {device}; use backend cuda or reference"
    if shape not in CODES:
        return f"it does not know the shape {shape}; use backend reference"
    if native.load(_LIBRARY) is None:
        return native.why_missing(_LIBRARY)
    return None


def level(most: int = 0) -> int:
    """Instructions in use: 4 AVX-512, 3 AVX2, 1 the baseline; a positive `most` sets an upper limit from now on."""
    return int(_functions().nanobrag_level(most))


def _problem(config: list[int], lattice: Tensor, A: Tensor, table: Tensor, single: bool) -> tuple[Tensor, ...]:
    numbers = list(config)
    numbers[THREADS] = torch.get_num_threads()
    numbers[_SINGLE] = int(single)
    values = table.to(torch.float32 if single else torch.float64)
    return torch.tensor(numbers, dtype=torch.int64), lattice.contiguous(), A.contiguous(), values.contiguous()


def _pointers(tensors: tuple[Tensor | None, ...]) -> list[int | None]:
    return [None if t is None or not t.numel() else t.data_ptr() for t in tensors]


def _zeros(length: int | tuple[int, ...]) -> Tensor:
    return torch.zeros(length, dtype=torch.float64)


def _check(failed: int) -> None:
    if failed:
        raise MemoryBudgetError("there is no memory for the sums; use fewer orientations, sources or threads")


def lattice_sum(S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int]) -> Tensor:
    """Σ_m F_cell² F_latt² [P] at S [P,3]."""
    problem = _problem(config, lattice, A, table, bool(config[_SINGLE]))
    S, out = S.contiguous(), torch.empty(len(S), dtype=torch.float64)
    _functions().nanobrag_lattice_sum(*_pointers(problem), S.data_ptr(), len(S), out.data_ptr())
    return out


def lattice_sum_vjp(
    grad: Tensor, S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int], wants: tuple[bool, bool]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients by S, A, and as far as they are wanted lattice parameters and table (else empty); all in double."""
    problem = _problem(config, lattice, A, table, False)
    S, grad = S.contiguous(), grad.contiguous()
    by_S, by_A = torch.empty_like(S), _zeros(tuple(A.shape))
    by_lattice, by_table = _zeros(LATTICE_LENGTH * wants[0]), _zeros(len(table) * wants[1])
    failed = _functions().nanobrag_lattice_sum_vjp(
        *_pointers((*problem, grad, S)), len(S), *_pointers((by_S, by_lattice, by_A, by_table))
    )
    _check(failed)
    return by_S, by_A, by_lattice, by_table


def pixel_sum(
    pixels: Tensor | None,
    span: tuple[int, int],
    scene: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    config: list[int],
    output: tuple[Tensor, bool, bool, bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Total, background and solid angle [B, P] of pixels of B variants of a scene.

    Args:
        pixels: [P] int64 indices, or `None` for the contiguous `span` (first, count).
        scene: geometry [B, G], sources [B, Q, 11], A [B, M, 3, 3], lattice [B, 13], table [B, T]; one that has a first
            axis of 1 is shared by all.
        config: whole numbers of the scene.
        output: factors [B] on the totals; whether these are float32; whether background and solid angle are wanted
            (empty if not).
    """
    scales, single, wants_background, wants_angle = output
    geometry, sources, A, lattice, table = scene
    problem = (*_problem(config, lattice, A, table, bool(config[_SINGLE])), geometry.contiguous(), sources.contiguous())
    pixels = None if pixels is None else pixels.contiguous()
    (first, count), variants = span, len(scales)
    parts = (lattice, A, table, geometry, sources)
    steps = _array(_INTEGER, [0 if len(tensor) == 1 else tensor[0].numel() for tensor in parts])
    total = torch.empty(variants, count, dtype=torch.float32 if single else torch.float64)
    background = torch.empty(variants, count if wants_background else 0, dtype=torch.float64)
    angle = torch.empty(variants, count if wants_angle else 0, dtype=torch.float64)
    failed = _functions().nanobrag_pixel_sum(
        *_pointers((*problem, pixels)),
        first,
        count,
        variants,
        ctypes.addressof(steps),
        *_pointers((scales.contiguous(), None if single else total, total if single else None)),
        *_pointers((background if wants_background else None, angle if wants_angle else None)),
    )
    _check(failed)
    return total, background, angle


def pixel_sum_vjp(
    grads: tuple[Tensor, Tensor | None, float],
    pixels: Tensor | None,
    span: tuple[int, int],
    scene: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    config: list[int],
    wants: tuple[bool, bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients by geometry, sources, A, and if wanted lattice parameters and table (else empty); all in double.

    `grads`: derivatives by total and background [P] (`None`: by none), and the factor that the total was stored with.
    """
    geometry, sources, A, lattice, table = scene
    problem = (*_problem(config, lattice, A, table, False), geometry, sources.contiguous())
    by_total = grads[0].to(torch.float64)  # a gradient that is the same for all pixels is one number, with stride 0
    by_background = None if grads[1] is None else grads[1].contiguous()
    pixels = None if pixels is None else pixels.contiguous()
    by_A = _zeros(tuple(A.shape))
    by_geometry, by_sources = _zeros(GEOMETRY_LENGTH), _zeros((len(sources), SOURCE_LENGTH))
    by_lattice, by_table = _zeros(LATTICE_LENGTH * wants[0]), _zeros(len(table) * wants[1])
    failed = _functions().nanobrag_pixel_sum_vjp(
        *_pointers((*problem, pixels)),
        *span,
        grads[2],
        by_total.data_ptr() if by_total.numel() else None,
        by_total.stride(0),
        *_pointers((by_background, by_lattice, by_A, by_table, by_geometry, by_sources)),
    )
    _check(failed)
    return by_geometry, by_sources, by_A, by_lattice, by_table


def pixel_sum_jvp(
    tangents: tuple[Tensor, ...],
    pixels: Tensor | None,
    span: tuple[int, int],
    scene: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    config: list[int],
    wants_background: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Total and background [P], and their derivatives [P, K] in K directions of the scene; all in double.

    `tangents`: directions [K, ...] of each of the scene's tensors, or [0, ...] of one that has none. What is not
    wanted is empty.
    """
    geometry, sources, A, lattice, table = scene
    problem = (*_problem(config, lattice, A, table, False), geometry, sources.contiguous())
    pixels = None if pixels is None else pixels.contiguous()
    count, results = span[1], max(len(tangent) for tangent in tangents)
    directions = [_directions(tangent.flatten(1)) for tangent in tangents]
    total, by_total = torch.empty(count, dtype=torch.float64), torch.empty(count, results, dtype=torch.float64)
    background = torch.empty(count if wants_background else 0, dtype=torch.float64)
    by_background = torch.empty(count if wants_background else 0, results, dtype=torch.float64)
    values, rows = (_array(_POINTER, _pointers(column)) for column in zip(*directions, strict=True))
    counts = _array(_INTEGER, [len(row) for _, row in directions])
    padded = _array(_INTEGER, [len(value) for value, _ in directions])
    failed = _functions().nanobrag_pixel_sum_jvp(
        *_pointers((*problem, pixels)),
        *span,
        *(ctypes.addressof(array) for array in (values, rows, counts, padded)),
        results,
        *_pointers((total, background, by_total, by_background)),
    )
    _check(failed)
    return total, background, by_total, by_background


def _directions(tangent: Tensor) -> tuple[Tensor, Tensor]:
    """The directions of `tangent` [K, n] that are not zero, zeros after them up to whole blocks; and their rows."""
    rows = (tangent != 0).any(1).nonzero().reshape(-1)
    padded = -(-len(rows) // DIRECTION_BLOCK) * DIRECTION_BLOCK
    values = torch.zeros(padded, tangent.shape[1], dtype=torch.float64)
    values[: len(rows)] = tangent[rows]
    return values, rows


def _array(kind: type[ctypes._SimpleCData[Any]], values: Sequence[int | None]) -> ctypes.Array[Any]:
    return (kind * len(values))(*values)
