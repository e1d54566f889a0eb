"""The page on architecture names what exists; `tests/test_layers.py` holds its table to the layers."""

from __future__ import annotations

import re
from pathlib import Path

import nanobrag_torch

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGE = Path(nanobrag_torch.__file__).parent


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
