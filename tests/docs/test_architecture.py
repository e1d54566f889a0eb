"""The page on architecture says the layers that the imports obey, and names what exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nanobrag_torch

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGE = Path(nanobrag_torch.__file__).parent


def layers():
    spec = importlib.util.spec_from_file_location("layers", ROOT / "tests" / "test_layers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LEVELS


def test_the_table_is_that_of_the_test():
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    said = {(int(number), name) for number, name, _ in rows}
    assert len(said) == len(rows)
    assert said == {(number, name) for number, names in enumerate(layers()) for name in names}


def test_higher_layers_stand_above():
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \| `", PAGE, re.MULTILINE)]
    assert numbers == sorted(numbers, reverse=True)


def test_what_the_page_names_exists():
    missing = []
    for name in re.findall(r"`([a-z_]+(?:[./][a-z_]+)+/?(?:\.py)?)`", PAGE):
        path = name if "/" in name else name.replace(".", "/")
        places = (ROOT / path, PACKAGE / path, PACKAGE / f"{path}.py")
        if not any(place.exists() for place in places):
            missing.append(name)
    assert missing == []
