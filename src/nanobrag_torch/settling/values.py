"""Reading configuration values: numbers for decisions, tensors for the scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from nanobrag_torch.geometry.vectors import real


def number(value: Any, default: float) -> float:
    """A plain float of a number or tensor, for decisions only; `default` when nothing was said."""
    if value is None:
        return default
    return float(value.detach()) if isinstance(value, Tensor) else float(value)


def optional(value: Any) -> float | None:
    """A plain float, or `None` when nothing was said."""
    return None if value is None else number(value, 0.0)


def tensor(value: Any, default: float, convert: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """A float64 tensor of a number or tensor, in its graph, converted to internal units; `default` is converted too."""
    settled = real(default if value is None else value)
    return settled if convert is None else convert(settled)
