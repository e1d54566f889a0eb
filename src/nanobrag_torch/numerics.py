"""Functions whose formula is singular somewhere, with value and gradients right at that point too.

Everywhere both branches of a `where` are finite, so that no gradient turns into NaN; every function can be
differentiated any number of times.
"""

from __future__ import annotations

from math import factorial, pi

import torch
from torch import Tensor

_SINC_SERIES = tuple((-1.0) ** k / factorial(2 * k + 1) for k in range(6))
_SINC3_SERIES = tuple((-1.0) ** k * 6.0 * (k + 1) / factorial(2 * k + 3) for k in range(9))


def any_nonzero(x: Tensor) -> bool:
    """Whether any number of a tensor is not 0, in any member of a batch of `torch.vmap` too; without a gradient."""
    while torch._C._functorch.is_functorch_wrapped_tensor(x):
        x = torch._C._functorch.get_unwrapped(x)
    return bool((x.detach() != 0).any())


def fraction(x: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest integer ceil(x − 0.5) as a constant, and what is left of x.

    Shapes: any, the same for all three. specs: intensity 3.
    """
    nearest = torch.ceil(x.detach() - 0.5)
    return nearest, x - nearest


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    total = torch.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def sincg(x: Tensor, count: Tensor | float) -> Tensor:
    """The interference function of `count` slits, sin(πNd)/sin(πd), where d is x less its nearest integer.

    Equal up to sign to sin(πNx)/sin(πx) for whole N; exactly N at whole x, where derivatives come from the
    series of N·sinc(πNd)/sinc(πd). The derivative by N is taken with d, so that it is bounded.

    Shapes: x any; `count` broadcasts with it. specs: intensity 4.
    """
    d = fraction(x)[1]
    narrow, wide = pi * d, pi * (count * d)
    near = (wide.detach().abs() < 0.05) & (d.detach().abs() < 0.01)
    ratio = torch.sin(torch.where(near, 0.0, wide)) / torch.sin(torch.where(near, 1.0, narrow))
    wide, narrow = torch.where(near, wide, 0.0), torch.where(near, narrow, 0.0)
    series = _polynomial(_SINC_SERIES, wide * wide) / _polynomial(_SINC_SERIES, narrow * narrow)
    return torch.where(near, count * series, ratio)


def sinc3_of_square(square: Tensor) -> Tensor:
    """The form factor of a sphere, B = 3 (sin x/x − cos x)/x², as a function of x² ≥ 0; 1 at 0.

    It is smooth in the square at 0, where x itself has no derivative. Shapes: any. specs: intensity 4.
    """
    near = square.detach() < 1.0
    far = torch.where(near, 1.0, square)
    x = torch.sqrt(far)
    direct = 3.0 * (torch.sin(x) / x - torch.cos(x)) / far
    return torch.where(near, _polynomial(_SINC3_SERIES, torch.where(near, square, 0.0)), direct)


def sinc3(x: Tensor) -> Tensor:
    """The form factor of a sphere, B(x) = 3 (sin x/x − cos x)/x², 1 at 0. Shapes: any. specs: intensity 4."""
    return sinc3_of_square(x * x)


def safe_sqrt(x: Tensor) -> Tensor:
    """The square root of x ≥ 0, with derivative 0 where x is 0. Shapes: any."""
    zero = x.detach() == 0.0
    return torch.where(zero, 0.0, torch.sqrt(torch.where(zero, 1.0, x)))


def safe_divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, and 0 with derivatives 0 where the denominator is 0. Shapes: broadcast."""
    zero = denominator.detach() == 0.0
    return torch.where(zero, 0.0, numerator / torch.where(zero, 1.0, denominator))


def norm(vectors: Tensor) -> Tensor:
    """Length of the vectors [..., 3] → [...], with derivative 0 for the zero vector."""
    x, y, z = vectors.unbind(-1)
    return safe_sqrt(x * x + y * y + z * z)


def normalise(vectors: Tensor) -> Tensor:
    """Unit vectors [..., 3]; the zero vector stays zero, with derivatives 0. specs: README, Notation."""
    return safe_divide(vectors, norm(vectors).unsqueeze(-1))
