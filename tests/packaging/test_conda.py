"""The conda recipe says what pyproject.toml says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Packages with another name in conda."""


def recipe() -> dict[str, Any]:
    """The recipe with the marks of its template replaced by words."""
    text = (ROOT / "packaging" / "conda" / "meta.yaml").read_text()
    text = re.sub(r"\{%.*?%\}", "", text)
    return dict(yaml.safe_load(re.sub(r"\{\{.*?\}\}", "mark", text)))


def project() -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def test_the_requirements_are_those_of_the_wheel() -> None:
    found = set(recipe()["requirements"]["run"])
    wanted = {f"python {project()['requires-python']}"}
    for line in project()["dependencies"]:
        name, limit = re.fullmatch(r"([\w-]+)(>=[\d.]+)", line).groups()  # type: ignore[union-attr]
        wanted.add(f"{NAMES.get(name, name)} {limit}")
    assert found == wanted


def test_the_commands_are_those_of_the_wheel() -> None:
    found = dict(line.split(" = ") for line in recipe()["build"]["entry_points"])
    assert found == project()["scripts"]


def test_the_version_has_one_place() -> None:
    text = (ROOT / "packaging" / "conda" / "meta.yaml").read_text()
    pattern = re.search(r"regex_pattern='(.+?)'", text)
    assert pattern is not None
    assert re.search(pattern[1], (ROOT / "src" / "nanobrag_torch" / "__init__.py").read_text())
