"""The acceptance names of the field's other port: all of them, and each at a test that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "specs" / "acceptance.md").read_text()
NAMES = [f"AT-PARALLEL-{number:03d}" for number in (*range(1, 19), *range(20, 30))]


def rows() -> dict[str, list[str]]:
    found = {}
    for line in PAGE.splitlines():
        match = re.match(r"\| `(AT-PARALLEL-\d+)` \| [^|]+ \| (.+) \|$", line)
        if match:
            assert match[1] not in found
            found[match[1]] = re.findall(r"`([^`]+)`", match[2])
    return found


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_name_has_its_tests():
    assert list(rows()) == NAMES
    for name, places in rows().items():
        assert places, name
        for place in places:
            file, _, test = place.partition("::")
            if not test:
                assert (ROOT / file).is_file(), place
            else:
                assert test in functions_in(ROOT / "tests" / "acceptance" / file), place


def test_every_acceptance_file_is_described():
    files = {path.name for path in (ROOT / "tests" / "acceptance").glob("test_*.py")}
    assert files == set(re.findall(r"`(test_\w+\.py)`", PAGE))
