"""The compiled kernels as torch operators: forward, vector-Jacobian product, fakes and autograd.

This is the only place that knows `torch.library`. Operators take flat tensors (packing.py), so that gradients of the
small ones chain through torch to whatever they were made from. A second derivative is not provided: it raises, and
the reference gives it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nanobrag_torch.kernels import cpu, cuda


@torch.library.custom_op("nanobrag::lattice_sum", mutates_args=(), device_types="cpu")
def lattice_sum(S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int]) -> Tensor:
    """Σ_m F_cell² F_latt² [P]."""
    return cpu.lattice_sum(S, A, lattice, table, config)


@lattice_sum.register_kernel("cuda")
def _(S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int]) -> Tensor:
    return cuda.lattice_sum(S, A, lattice, table, config)


@lattice_sum.register_fake
def _(S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int]) -> Tensor:
    return S.new_empty(S.shape[0])


@torch.library.custom_op("nanobrag::lattice_sum_vjp", mutates_args=(), device_types="cpu")
def lattice_sum_vjp(
    grad: Tensor, S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int], wants: list[bool]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients by S, A, and as far as they are wanted lattice and table (else empty)."""
    return cpu.lattice_sum_vjp(grad, S, A, lattice, table, config, (wants[0], wants[1]))


@lattice_sum_vjp.register_kernel("cuda")
def _(
    grad: Tensor, S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int], wants: list[bool]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return cuda.lattice_sum_vjp(grad, S, A, lattice, table, config, (wants[0], wants[1]))


@lattice_sum_vjp.register_fake
def _(
    grad: Tensor, S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int], wants: list[bool]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    by_lattice, by_table = lattice.new_empty(len(lattice) * wants[0]), table.new_empty(len(table) * wants[1])
    return S.new_empty(S.shape), A.new_empty(A.shape), by_lattice, by_table


def _keep_lattice(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.config = inputs
    ctx.save_for_backward(*tensors)


def _lattice_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    wants = list(ctx.needs_input_grad[2:4])
    found = lattice_sum_vjp(grad, *ctx.saved_tensors, ctx.config, wants)
    return (*_wanted(found, ctx.needs_input_grad), None)


def _wanted(found: tuple[Tensor, ...], needs: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    return tuple(value if need else None for value, need in zip(found, needs, strict=False))


lattice_sum.register_autograd(_lattice_backward, setup_context=_keep_lattice)


@torch.library.custom_op("nanobrag::pixel_sum", mutates_args=(), device_types="cpu")
def pixel_sum(  # noqa: PLR0913 - operators take flat arguments
    geometry: Tensor,
    sources: Tensor,
    A: Tensor,
    lattice: Tensor,
    table: Tensor,
    pixels: Tensor | None,
    span: list[int],
    config: list[int],
    scale: float,
    single: bool,
    wants_background: bool,
    wants_angle: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Total, background and solid angle [P]; the last two empty unless wanted."""
    scene = (geometry, sources, A, lattice, table)
    return cpu.pixel_sum(pixels, (span[0], span[1]), scene, config, (scale, single, wants_background, wants_angle))


@pixel_sum.register_fake
def _(  # noqa: PLR0913
    geometry: Tensor,
    sources: Tensor,
    A: Tensor,
    lattice: Tensor,
    table: Tensor,
    pixels: Tensor | None,
    span: list[int],
    config: list[int],
    scale: float,
    single: bool,
    wants_background: bool,
    wants_angle: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    total = geometry.new_empty(span[1], dtype=torch.float32 if single else torch.float64)
    background = geometry.new_empty(span[1] if wants_background else 0)
    return total, background, geometry.new_empty(span[1] if wants_angle else 0)


@torch.library.custom_op("nanobrag::pixel_sum_vjp", mutates_args=(), device_types="cpu")
def pixel_sum_vjp(  # noqa: PLR0913
    by_total: Tensor,
    by_background: Tensor,
    geometry: Tensor,
    sources: Tensor,
    A: Tensor,
    lattice: Tensor,
    table: Tensor,
    pixels: Tensor | None,
    span: list[int],
    config: list[int],
    wants: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients by geometry, sources, A, and as far as they are wanted lattice and table (else empty)."""
    grads = (by_total, by_background if len(by_background) else None)
    scene = (geometry, sources, A, lattice, table)
    return cpu.pixel_sum_vjp(grads, pixels, (span[0], span[1]), scene, config, (wants[0], wants[1]))


@pixel_sum_vjp.register_fake
def _(  # noqa: PLR0913
    by_total: Tensor,
    by_background: Tensor,
    geometry: Tensor,
    sources: Tensor,
    A: Tensor,
    lattice: Tensor,
    table: Tensor,
    pixels: Tensor | None,
    span: list[int],
    config: list[int],
    wants: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    by_geometry, by_sources, by_A = (t.new_empty(t.shape) for t in (geometry, sources, A))
    by_lattice, by_table = lattice.new_empty(len(lattice) * wants[0]), table.new_empty(len(table) * wants[1])
    return by_geometry, by_sources, by_A, by_lattice, by_table


def _keep_scene(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.span, ctx.config, ctx.scale, _, _, _ = inputs
    ctx.save_for_backward(*tensors)
    ctx.mark_non_differentiable(output[2])


def _scene_backward(ctx: Any, by_total: Tensor, by_background: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    grad = by_total.to(torch.float64)
    grad = grad if ctx.scale == 1.0 else grad * ctx.scale
    wants = list(ctx.needs_input_grad[3:5])
    found = pixel_sum_vjp(grad, by_background, *ctx.saved_tensors, ctx.span, ctx.config, wants)
    return (*_wanted(found, ctx.needs_input_grad), *[None] * 7)


pixel_sum.register_autograd(_scene_backward, setup_context=_keep_scene)
