"""Derivatives of a minimum by everything that shapes the objective, by the theorem of implicit functions.

At the minimum the gradient g(p, θ) is 0, so dp/dθ = −H⁻¹ ∂g/∂θ with the exact Hessian H. How the minimum was found
does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nanobrag_torch.register.newton import Minimum
from nanobrag_torch.register.objective import Objective

Build = Callable[..., Objective]
"""Makes the objective from the tensors θ."""


class _Implicit(torch.autograd.Function):
    """The minimum as a function of the tensors θ."""

    @staticmethod
    def forward(ctx: Any, minimum: Minimum, build: Build, *theta: Tensor) -> Tensor:
        ctx.minimum, ctx.build = minimum, build
        ctx.save_for_backward(*theta)
        return minimum.parameters.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *above: Tensor) -> tuple[Any, ...]:
        minimum: Minimum = ctx.minimum
        if not minimum.converged:
            raise ArithmeticError(
                f"the registration has not converged (gradient {minimum.gradient:.1e}): it has no derivative"
            )
        adjoint = torch.linalg.solve(minimum.hessian, above[0])
        wanted = ctx.needs_input_grad[2:]
        theta = [t.detach().requires_grad_(w) for t, w in zip(ctx.saved_tensors, wanted, strict=True)]
        with torch.enable_grad():
            p = minimum.parameters.detach().requires_grad_()
            _, gradient = ctx.build(*theta).gradient(p, create_graph=True)
            inputs = [t for t, w in zip(theta, wanted, strict=True) if w]
            found = iter(torch.autograd.grad((gradient * adjoint).sum(), inputs, allow_unused=True))
        return (None, None, *(_negative(next(found)) if w else None for w in wanted))


def _negative(x: Tensor | None) -> Tensor | None:
    return None if x is None else -x


def attached(minimum: Minimum, build: Build, theta: tuple[Tensor, ...]) -> Tensor:
    """The parameters [n] of a minimum, differentiable (once) by the tensors θ that `build` takes.

    A backward pass raises `ArithmeticError` if the minimum has not converged: there is no derivative then.
    """
    found: Tensor = _Implicit.apply(minimum, build, *theta)  # type: ignore[no-untyped-call]
    return found
