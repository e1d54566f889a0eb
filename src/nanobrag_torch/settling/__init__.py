"""From what the user specified to what is rendered: every default, precedence, auto-selection and unit (`settle`)."""

from __future__ import annotations

from typing import Any

__all__ = ["settle"]


def __getattr__(name: str) -> Any:
    if name == "settle":
        from nanobrag_torch.settling.scene import settle

        return settle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
