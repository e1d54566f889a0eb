"""The compiled kernels as torch operators: forward, vector-Jacobian product, fakes and autograd.

This is the only place that knows `torch.library`. Operators take flat tensors (packing.py), so that gradients of the
small ones chain through torch to whatever they were made from. A second derivative is not provided: it raises, and
the reference gives it.

They are defined on a `Library` and not by `torch.library.custom_op`, whose first call imports torch's compiler: more
than a second, in a program whose image takes a fraction of one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nanobrag_torch.kernels import cpu, cuda

_LIBRARY: Any = torch.library.Library("nanobrag", "DEF")  # type: ignore[no-untyped-call]

SCENE_TENSORS = 5
_SCENE = "Tensor geometry, Tensor sources, Tensor A, Tensor lattice, Tensor table"
_WHERE = "Tensor? pixels, int[] span, int[] config"


def _define(name: str, arguments: str, outputs: int, fake: Callable[..., Any], **kernels: Callable[..., Any]) -> Any:
    """Define `nanobrag::<name>` with its fake and one implementation per device type; the operator."""
    result = "Tensor" if outputs == 1 else f"({', '.join(['Tensor'] * outputs)})"
    _LIBRARY.define(f"{name}({arguments}) -> {result}")
    for device, kernel in kernels.items():
        _LIBRARY.impl(name, kernel, device)
    torch.library.register_fake(f"nanobrag::{name}", fake, lib=_LIBRARY)
    return getattr(torch.ops.nanobrag, name).default


def _no_second_derivative(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
    raise RuntimeError("a compiled kernel has no second derivative: ask for backend='reference'")


def _wanted(found: tuple[Tensor, ...], needs: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    return tuple(value if need else None for value, need in zip(found, needs, strict=False))


def _fake_lattice_sum(S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int]) -> Tensor:
    return S.new_empty(S.shape[0])


def _fake_lattice_sum_vjp(
    grad: Tensor, S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int], wants: list[bool]
) -> tuple[Tensor, ...]:
    by_lattice, by_table = lattice.new_empty(len(lattice) * wants[0]), table.new_empty(len(table) * wants[1])
    return S.new_empty(S.shape), A.new_empty(A.shape), by_lattice, by_table


def _keep_lattice(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.config = inputs
    ctx.save_for_backward(*tensors)


def _lattice_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    wants = list(ctx.needs_input_grad[2:4])
    found = lattice_sum_vjp(grad, *ctx.saved_tensors, ctx.config, wants)
    return (*_wanted(found, ctx.needs_input_grad), None)


lattice_sum = _define(
    "lattice_sum",
    "Tensor S, Tensor A, Tensor lattice, Tensor table, int[] config",
    1,
    _fake_lattice_sum,
    CPU=cpu.lattice_sum,
    CUDA=cuda.lattice_sum,
)
"""Σ_m F_cell² F_latt² [P]."""

lattice_sum_vjp = _define(
    "lattice_sum_vjp",
    "Tensor grad, Tensor S, Tensor A, Tensor lattice, Tensor table, int[] config, bool[] wants",
    4,
    _fake_lattice_sum_vjp,
    CPU=cpu.lattice_sum_vjp,
    CUDA=cuda.lattice_sum_vjp,
)
"""Gradients by S, A, and as far as they are wanted lattice and table (else empty)."""

torch.library.register_autograd("nanobrag::lattice_sum", _lattice_backward, setup_context=_keep_lattice, lib=_LIBRARY)


def _pixel_sum(kernels: Any, *given: Any) -> tuple[Tensor, ...]:
    scene, (pixels, span, config, scale, *wishes) = given[:SCENE_TENSORS], given[SCENE_TENSORS:]
    alone = tuple(tensor[None] for tensor in scene)
    scales = torch.tensor([scale], dtype=torch.float64)
    return tuple(t[0] for t in kernels.pixel_sum(pixels, tuple(span), alone, config, (scales, *wishes)))


def _fake_pixel_sum(*given: Any) -> tuple[Tensor, Tensor, Tensor]:
    geometry, (_, span, _, _, single, wants_background, wants_angle) = given[0], given[SCENE_TENSORS:]
    total = geometry.new_empty(span[1], dtype=torch.float32 if single else torch.float64)
    background = geometry.new_empty(span[1] if wants_background else 0)
    return total, background, geometry.new_empty(span[1] if wants_angle else 0)


def _pixel_sum_vjp(kernels: Any, by_total: Tensor, by_background: Tensor, *given: Any) -> tuple[Tensor, ...]:
    scene, (pixels, span, config, scale, wants) = given[:SCENE_TENSORS], given[SCENE_TENSORS:]
    grads = (by_total, by_background if len(by_background) else None, scale)
    found: tuple[Tensor, ...] = kernels.pixel_sum_vjp(grads, pixels, tuple(span), scene, config, tuple(wants))
    return found


def _fake_pixel_sum_vjp(by_total: Tensor, by_background: Tensor, *given: Any) -> tuple[Tensor, ...]:
    *whole, lattice, table = given[:SCENE_TENSORS]
    wants = given[-1]
    by_lattice, by_table = lattice.new_empty(len(lattice) * wants[0]), table.new_empty(len(table) * wants[1])
    return (*(tensor.new_empty(tensor.shape) for tensor in whole), by_lattice, by_table)


def _pixel_sum_jvp(kernels: Any, *given: Any) -> tuple[Tensor, ...]:
    scene, tangents = given[:SCENE_TENSORS], given[SCENE_TENSORS : 2 * SCENE_TENSORS]
    pixels, span, config, wants_background = given[2 * SCENE_TENSORS :]
    found: tuple[Tensor, ...] = kernels.pixel_sum_jvp(tangents, pixels, tuple(span), scene, config, wants_background)
    return found


def _fake_pixel_sum_jvp(*given: Any) -> tuple[Tensor, ...]:
    geometry, (_, span, _, wants_background) = given[0], given[2 * SCENE_TENSORS :]
    results, some = max(len(t) for t in given[SCENE_TENSORS : 2 * SCENE_TENSORS]), span[1] if wants_background else 0
    shapes = ((span[1],), (some,), (span[1], results), (some, results))
    return tuple(geometry.new_empty(shape) for shape in shapes)


def _batch_of_directions(info: Any, in_dims: tuple[int | None, ...], *given: Any) -> tuple[Any, tuple[int | None, ...]]:
    """A batch of directions is more directions: those of all its members go into one pass."""
    scene, tangents, where = given[:SCENE_TENSORS], given[SCENE_TENSORS : 2 * SCENE_TENSORS], given[2 * SCENE_TENSORS :]
    dims = in_dims[SCENE_TENSORS : 2 * SCENE_TENSORS]
    if any(dim is not None for dim in in_dims[:SCENE_TENSORS]):
        raise RuntimeError("one scene at a time has derivatives: map over directions, or use Simulator.run_many")
    spread = [t.expand(info.batch_size, *t.shape) if d is None else t.movedim(d, 0) for t, d in zip(tangents, dims)]  # noqa: B905
    results = max(t.shape[1] for t in spread)
    total, background, by_total, by_background = pixel_sum_jvp(*scene, *(t.flatten(0, 1) for t in spread), *where)
    by_total, by_background = (t.reshape(-1, info.batch_size, results) for t in (by_total, by_background))
    return (total, background, by_total, by_background), (None, None, 1, 1)


def _keep_scene(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.span, ctx.config, ctx.scale, _, _, _ = inputs
    ctx.save_for_backward(*tensors)
    ctx.mark_non_differentiable(output[2])


def _scene_backward(ctx: Any, by_total: Tensor, by_background: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    wants = list(ctx.needs_input_grad[3:5])
    found = pixel_sum_vjp(by_total, by_background, *ctx.saved_tensors, ctx.span, ctx.config, ctx.scale, wants)
    return (*_wanted(found, ctx.needs_input_grad), *[None] * 7)


pixel_sum = _define(
    "pixel_sum",
    f"{_SCENE}, {_WHERE}, float scale, bool single, bool wants_background, bool wants_angle",
    3,
    _fake_pixel_sum,
    CPU=partial(_pixel_sum, cpu),
    CUDA=partial(_pixel_sum, cuda),
)
"""Total, background and solid angle [P]; the last two empty unless wanted."""

pixel_sum_vjp = _define(
    "pixel_sum_vjp",
    f"Tensor by_total, Tensor by_background, {_SCENE}, {_WHERE}, float scale, bool[] wants",
    5,
    _fake_pixel_sum_vjp,
    CPU=partial(_pixel_sum_vjp, cpu),
    CUDA=partial(_pixel_sum_vjp, cuda),
)
"""Gradients by geometry, sources, A, and as far as they are wanted lattice and table (else empty)."""

torch.library.register_autograd("nanobrag::pixel_sum", _scene_backward, setup_context=_keep_scene, lib=_LIBRARY)

pixel_sum_jvp = _define(
    "pixel_sum_jvp",
    f"{_SCENE}, Tensor d_geometry, Tensor d_sources, Tensor d_A, Tensor d_lattice, Tensor d_table, {_WHERE}, "
    "bool wants_background",
    4,
    _fake_pixel_sum_jvp,
    CPU=partial(_pixel_sum_jvp, cpu),
    CUDA=partial(_pixel_sum_jvp, cuda),
)
"""Total and background [P], and their derivatives [P, K] in K directions [K, ...] of the scene's tensors.

A tensor that has none may have [0, ...]."""

torch.library.register_vmap("nanobrag::pixel_sum_jvp", _batch_of_directions, lib=_LIBRARY)
for _name in ("lattice_sum_vjp", "pixel_sum_vjp", "pixel_sum_jvp"):
    torch.library.register_autograd(f"nanobrag::{_name}", _no_second_derivative, lib=_LIBRARY)


def _pixel_sum_many(kernels: Any, *given: Any) -> tuple[Tensor, Tensor]:
    scene, (pixels, span, config, scales, single, wants_background) = given[:SCENE_TENSORS], given[SCENE_TENSORS:]
    output = (scales, single, wants_background, False)
    total, background, _ = kernels.pixel_sum(pixels, tuple(span), scene, config, output)
    return total, background


def _fake_pixel_sum_many(*given: Any) -> tuple[Tensor, Tensor]:
    geometry, (_, span, _, scales, single, wants_background) = given[0], given[SCENE_TENSORS:]
    total = geometry.new_empty((len(scales), span[1]), dtype=torch.float32 if single else torch.float64)
    return total, geometry.new_empty((len(scales), span[1] if wants_background else 0))


def _pixel_sum_many_vjp(kernels: Any, by_total: Tensor, by_background: Tensor, *given: Any) -> tuple[Tensor, ...]:
    """One variant after another, each on all threads; what the variants share collects from all."""
    scene, (pixels, span, config, scales, wants) = given[:SCENE_TENSORS], given[SCENE_TENSORS:]
    shapes = (*(tensor.shape for tensor in scene[:3]), scene[3].shape, scene[4].shape)
    wanted = (True, True, True, *wants)
    out = [
        torch.zeros(shape if want else (0,), dtype=torch.float64) for shape, want in zip(shapes, wanted, strict=True)
    ]
    for variant, scale in enumerate(scales.tolist()):
        own = tuple(tensor[variant if len(tensor) > 1 else 0] for tensor in scene)
        grads = (by_total[variant], by_background[variant] if by_background.numel() else None, scale)
        found = kernels.pixel_sum_vjp(grads, pixels, tuple(span), own, config, tuple(wants))
        for place, part, want in zip(out, found, wanted, strict=True):
            if want:
                place[variant if len(place) > 1 else 0] += part
    return tuple(out)


def _fake_pixel_sum_many_vjp(by_total: Tensor, by_background: Tensor, *given: Any) -> tuple[Tensor, ...]:
    scene, wants = given[:SCENE_TENSORS], (True, True, True, *given[-1])
    return tuple(t.new_empty(t.shape if want else (0,)) for t, want in zip(scene, wants, strict=True))


def _keep_variants(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.span, ctx.config, scales, _, _ = inputs
    ctx.save_for_backward(*tensors, scales)


def _variants_backward(ctx: Any, by_total: Tensor, by_background: Tensor) -> tuple[Tensor | None, ...]:
    *tensors, scales = ctx.saved_tensors
    wants = list(ctx.needs_input_grad[3:5])
    found = pixel_sum_many_vjp(by_total, by_background, *tensors, ctx.span, ctx.config, scales, wants)
    return (*_wanted(found, ctx.needs_input_grad), *[None] * 6)


pixel_sum_many = _define(
    "pixel_sum_many",
    f"{_SCENE}, {_WHERE}, Tensor scales, bool single, bool wants_background",
    2,
    _fake_pixel_sum_many,
    CPU=partial(_pixel_sum_many, cpu),
    CUDA=partial(_pixel_sum_many, cuda),
)
"""Total and background [B, P] of B variants of a scene, whose tensors have a first axis of B, or of 1 if shared."""

pixel_sum_many_vjp = _define(
    "pixel_sum_many_vjp",
    f"Tensor by_total, Tensor by_background, {_SCENE}, {_WHERE}, Tensor scales, bool[] wants",
    5,
    _fake_pixel_sum_many_vjp,
    CPU=partial(_pixel_sum_many_vjp, cpu),
    CUDA=partial(_pixel_sum_many_vjp, cuda),
)
"""Gradients by the tensors of all variants; lattice and table as far as they are wanted (else empty)."""

torch.library.register_autograd(
    "nanobrag::pixel_sum_many", _variants_backward, setup_context=_keep_variants, lib=_LIBRARY
)
torch.library.register_autograd("nanobrag::pixel_sum_many_vjp", _no_second_derivative, lib=_LIBRARY)
