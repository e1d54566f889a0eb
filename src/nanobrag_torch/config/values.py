"""Types of the configuration fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch

    Real: TypeAlias = "float | torch.Tensor"
else:
    Real = object

Vector: TypeAlias = "tuple[Real, Real, Real]"
"""Three components along lab x, y, z (or three angles about them)."""
