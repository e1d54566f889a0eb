"""Modules that have moved: an old name still imports what now stands elsewhere, and warns.

An entry stays for two minor releases after the one that moved it (docs/contributing: what may change).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

MOVED = {
    "describe": "pipeline.describe",
    "image": "pipeline.image",
    "picture": "io.picture",
    "plan": "pipeline.plan",
    "render": "pipeline.render",
    "simulator": "pipeline.simulator",
    "table_range": "pipeline.table_range",
    "trace": "pipeline.trace",
}
"""Old name: new name, both below the package."""


class _OldNames:
    """Finds and loads the old names of one package: the module under an old name is the new module itself."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for an old name, `None` for every other."""
        parent, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, cast("Loader", self)) if parent == self.package and name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module that has moved, with a warning that names its place."""
        new = f"{self.package}.{MOVED[spec.name.rpartition('.')[2]]}"
        warnings.warn(f"{spec.name} is now {new}", DeprecationWarning, stacklevel=2)
        module = import_module(new)
        self._own = (module.__spec__, module.__loader__)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to run; what the import system wrote over is put back."""
        module.__spec__, module.__loader__ = self._own


def serve_old_names(package: str) -> None:
    """Let the old names of `package` be imported, once."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldNames(package))
