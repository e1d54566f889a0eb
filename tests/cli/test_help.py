"""Help and documentation, made from the rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanobrag_torch.cli.flags import FLAGS, GROUPS, Flag
from nanobrag_torch.cli.help import WIDTH, help_text, page, usage


@pytest.mark.parametrize("flag", [pytest.param(flag, id=flag.name) for flag in FLAGS])
def test_help_has_every_flag_with_unit_default_and_example(flag: Flag) -> None:
    blocks = help_text().partition("\nInput files")[2].split("\n  ")
    block = next(b for b in blocks if f"{flag.spellings[0]}" in b.split("    ")[0].replace(",", " ").split())
    at = blocks.index(block)
    text = " ".join(" ".join(blocks[at : at + 5]).split())
    assert flag.help in text
    assert flag.unit in text
    assert flag.default in text
    assert flag.example in text or not flag.takes.shown


def test_help_is_grouped() -> None:
    lines = help_text().splitlines()
    places = [lines.index(title) for title in GROUPS]
    assert places == sorted(places)


def test_lines_are_short() -> None:
    assert max(map(len, help_text().splitlines())) <= WIDTH + 20


def test_usage_names_what_is_needed() -> None:
    for word in ("-cell", "-mat", "-hkl", "-default_F", "--help"):
        assert word in usage()


def test_page_is_current() -> None:
    path = Path(__file__).parents[2] / "docs" / "cli.md"
    assert path.read_text(encoding="utf-8") == page(), "run scripts/make_cli_page.py"


def test_page_has_a_row_for_every_flag() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(FLAGS)
    assert all(row.replace(r"\|", "").count("|") == 6 for row in rows)
