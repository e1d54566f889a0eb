"""The native libraries that are built when the package is installed, or the reason why one is missing."""

from __future__ import annotations

import ctypes
from importlib import import_module
from pathlib import Path

_FOUND: dict[str, tuple[ctypes.CDLL | None, str]] = {}
"""What was found, by name; a library is looked for once in a process."""


def _find(name: str) -> tuple[ctypes.CDLL | None, str]:
    folders = [Path(p) for p in import_module("nanobrag_torch.kernels").__path__]
    for folder in folders:
        path = folder / f"lib{name}.so"
        if path.exists():
            try:
                return ctypes.CDLL(str(path)), ""
            except OSError as error:
                return None, f"{path.name} cannot be loaded ({error})"
    advice = "install a C compiler (for the kernels one with OpenMP) and reinstall nanobrag_torch"
    return None, f"lib{name}.so was not built: {advice}"


def _found(name: str) -> tuple[ctypes.CDLL | None, str]:
    if name not in _FOUND:
        _FOUND[name] = _find(name)
    return _FOUND[name]


def load(name: str) -> ctypes.CDLL | None:
    """The shared library `lib<name>.so` that stands beside `nanobrag_torch.kernels`, or `None`."""
    return _found(name)[0]


def why_missing(name: str) -> str:
    """Why `load(name)` gives `None`, in one sentence that says what to do; empty when it does not."""
    return _found(name)[1]
