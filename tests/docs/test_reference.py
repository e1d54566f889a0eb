"""The Python reference is complete: every public name stands on a page, every continuous field has its unit."""

from __future__ import annotations

import importlib
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import nanobrag_torch
from nanobrag_torch import config

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
PACKAGES = [
    "",
    *(f".{path.parent.name}" for path in sorted(Path(nanobrag_torch.__file__).parent.glob("*/__init__.py"))),
]
DIRECTIVE = re.compile(r"^\.\. auto(module|class|function):: (\S+)\n((?:   :.*\n)*)", re.MULTILINE)
UNITS = ("_mm", "_um", "_A", "_invA", "_invmm", "_invm", "_deg", "_mrad", "_percent", "_s")


def shown() -> set[tuple[str, str]]:
    """(module, name) of everything that the reference pages show."""
    found = set()
    for page in REFERENCE.glob("*.md"):
        for kind, target, options in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            if kind != "module":
                module, _, name = target.rpartition(".")
                found.add((module, name))
            elif members := re.search(r":members:(.*)", options):
                listed = [name.strip() for name in members[1].split(",") if name.strip()]
                found |= {(target, name) for name in listed or public(importlib.import_module(target))}
    return found


def public(module: ModuleType) -> list[str]:
    """What `:members:` shows: `__all__`, or what the module defines without an underscore."""
    names = getattr(module, "__all__", None)
    there = [name for name in dir(module) if not name.startswith("_")]  # names loaded when used are not shown
    return [name for name in there if names is None or name in names]


def offered() -> list[tuple[str, str]]:
    """(package, name) of every name in the `__all__` of the package and its parts."""
    names = []
    for part in PACKAGES:
        package = importlib.import_module(f"nanobrag_torch{part}")
        names += [(package.__name__, name) for name in getattr(package, "__all__", ()) if name != "__version__"]
    return names


SHOWN = shown()


def test_public_names_are_found() -> None:
    assert ("nanobrag_torch", "Simulator") in offered()
    assert ("nanobrag_torch.refine", "QUANTITIES") in offered()
    assert len(SHOWN) > 100


@pytest.mark.parametrize(("package", "name"), offered(), ids=lambda part: part)
def test_every_public_name_is_on_a_page(package: str, name: str) -> None:
    if (package, name) in SHOWN:
        return
    thing: Any = getattr(importlib.import_module(package), name)
    home = getattr(thing, "__module__", None)
    if isinstance(home, str) and home.startswith("nanobrag_torch") and hasattr(thing, "__name__"):
        assert (home, thing.__name__) in SHOWN
    else:  # a constant: the module that a page shows has the very object
        assert any(n == name and getattr(importlib.import_module(m), n, None) is thing for m, n in SHOWN)


PLAIN = {"Na", "Nb", "Nc", "N_off", "fudge", "block_spread", "polarization_factor", "share", "measured_scale"}
"""Fields without a unit."""
SAID = {
    **dict.fromkeys(("cell_a", "cell_b", "cell_c"), "Å"),
    **dict.fromkeys(("cell_alpha", "cell_beta", "cell_gamma"), "degrees"),
    **dict.fromkeys(("density", "sample_density"), "g/cm³"),
    **dict.fromkeys(("ORGX", "ORGY"), "pixels"),
    **{"molar_mass": "g/mol", "default_F": "electrons", "fluence": "photons/m²", "flux": "photons/s"},
}
"""Units that the docstring of the class gives."""


@pytest.mark.parametrize("kind", [k for k in vars(config).values() if is_dataclass(k)], ids=lambda k: k.__name__)
def test_a_continuous_field_has_its_unit(kind: Any) -> None:
    bare = []
    for field in fields(kind):
        said = SAID.get(field.name, "not said") in kind.__doc__
        if "Real" in str(field.type) and not (field.name.endswith(UNITS) or field.name in PLAIN or said):
            bare.append(field.name)
    assert bare == []
