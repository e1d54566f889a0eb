"""The pages of the site without building it: what they name exists, and every command they show is accepted."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from nanobrag_torch.cli.parse import parse_line

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
TREE = re.compile(r"```\{toctree\}(.*?)```", re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words behind every `nanobrag` of a page, also those that `nb-view` and `nb-compare` pass on."""
    found = []
    blocks = "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    for line in blocks.replace("\\\n", " ").splitlines():
        program = re.match(r"\s*(?:nanobrag|python -m nanobrag_torch|nb-(?:view|compare|trace) .*? --) +(-.*)", line)
        if program:
            filled = re.sub(r"\$\(\(.*?\)\)|\$\(.*?\)|\$\w+", "1", program[1])
            found.append(shlex.split(re.split(r" (?:[|;&]|\d?>)", filled)[0]))
    return found


def test_every_page_is_in_the_index() -> None:
    listed = set()
    for tree in TREE.findall((DOCS / "index.md").read_text(encoding="utf-8")):
        listed |= {line.removeprefix("{optional} ") for line in tree.split("\n") if line and not line.startswith(":")}
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES} - {"index"}
    assert pages - listed == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_what_a_page_names_exists(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DOCS.parent / "examples" / "l_cysteine")  # experiment lists are read while a line is parsed
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    for module in re.findall(r"automodule:: (\S+)", text):
        importlib.import_module(module)
    for words in commands(text):
        if "-distanse" not in words:
            parse_line(words)


def test_commands_are_found() -> None:
    text = "```sh\nnanobrag -phi $((k - 1)) \\\n -cbf a_$(printf %04d $k).cbf 2>&1 | tail\n```\n"
    assert commands(text) == [["-phi", "1", "-cbf", "a_1.cbf"]]
    assert sum(len(commands(page.read_text(encoding="utf-8"))) for page in PAGES) >= 6


def test_the_pictures_of_the_conventions_agree_with_the_package() -> None:
    spec = importlib.util.spec_from_file_location("pictures", DOCS.parent / "scripts" / "make_docs_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    for name in pictures.SAID:
        pictures.scene(name)
