"""Small vector algebra, component by component, so that a value never depends on how many stand beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def real(value: Any) -> Tensor:
    """A float64 tensor of a number or tensor; a tensor stays in its graph."""
    return torch.as_tensor(value, dtype=torch.float64)


def vector(values: Iterable[Any] | Tensor) -> Tensor:
    """A float64 tensor [n] of numbers and 0-d tensors, which stay in their graphs."""
    if isinstance(values, Tensor):
        return values.to(torch.float64)
    return torch.stack([real(v) for v in values])


def dot(a: Tensor, b: Tensor) -> Tensor:
    """a·b over the last axis, [..., 3] and [..., 3] → [...]."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def cross(a: Tensor, b: Tensor) -> Tensor:
    """a×b over the last axis, [..., 3] and [..., 3] → [..., 3]."""
    return torch.stack(
        [
            a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
            a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
            a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
        ],
        dim=-1,
    )
