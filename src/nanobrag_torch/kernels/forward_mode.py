"""Forward-mode differentiation of the fused sum over pixels (`torch.func.jvp`, `jacfwd`, dual numbers).

Operators of `torch.library` have no place for it, so that a `torch.autograd.Function` stands around the operator while
dual numbers are about.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from nanobrag_torch.kernels import op


def active() -> bool:
    """Whether tensors may be dual numbers."""
    return forward_ad._current_level >= 0


class PixelSumFunction(torch.autograd.Function):
    """`op.pixel_sum` with a derivative in the direction of its tensors' tangents."""

    @staticmethod
    def forward(*given: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The operator's values."""
        found: tuple[Tensor, Tensor, Tensor] = op.pixel_sum(*given)
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep the scene; the solid angle is not differentiated."""
        ctx.save_for_forward(*inputs[: op.SCENE_TENSORS])
        ctx.where = inputs[op.SCENE_TENSORS : op.SCENE_TENSORS + 3]
        ctx.scale, ctx.single, ctx.wants_background, _ = inputs[op.SCENE_TENSORS + 3 :]
        ctx.angles = output[2].shape
        ctx.mark_non_differentiable(output[2])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, Tensor, None]:
        """The directional derivatives of total and background."""
        scene = ctx.saved_tensors
        along = [
            t.new_zeros(0, *t.shape) if d is None else d[None]
            for t, d in zip(scene, tangents[: op.SCENE_TENSORS], strict=True)
        ]
        _, _, total, background = op.pixel_sum_jvp(*scene, *along, *ctx.where, ctx.wants_background)
        total = ctx.scale * total[:, 0]
        return total.to(torch.float32) if ctx.single else total, background[:, 0], None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *given: Any) -> tuple[Any, tuple[None, None, None]]:
        """One scene for a whole batch of directions, as in `torch.func.jacfwd`."""
        if any(dim is not None for dim in in_dims if not isinstance(dim, list | tuple)):
            raise RuntimeError("torch.vmap does not map over scenes; use Simulator.run_many")
        return PixelSumFunction.apply(*given), (None, None, None)  # type: ignore[no-untyped-call]
