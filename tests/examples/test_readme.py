"""What README.md shows, does what it says."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from nanobrag_torch.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^    nanobrag (.*)$", README, re.MULTILINE)
PROGRAMS = re.findall(r"(?:^    |^\| `)nb-(\w+) ([^`\n]*)", README, re.MULTILINE)


def test_there_is_something_to_run():
    assert PYTHON
    assert COMMANDS
    assert {name for name, _ in PROGRAMS} == {"refine", "dataset", "coherent", "view"}


@pytest.mark.parametrize("code", PYTHON)
def test_python_blocks_run(code, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})
    shown = capsys.readouterr().out
    assert shown
    assert "nan" not in shown
    assert "None" not in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command, monkeypatch, tmp_path):
    words = [str(ROOT / word) if word.startswith("examples/") else word for word in shlex.split(command)]
    monkeypatch.chdir(tmp_path)
    assert main([*words, "-quiet", "-nonoise", "-roi", "500", "530", "400", "430"]) == 0
    assert (tmp_path / words[words.index("-png") + 1]).exists()


@pytest.mark.parametrize(("name", "command"), PROGRAMS, ids=lambda part: part.split()[0])
def test_other_programs_take_the_words_shown(name, command):
    parser = importlib.import_module(f"nanobrag_torch.{name}.main").parser()
    parser.parse_args(shlex.split(command))
    for word in shlex.split(command):
        assert not word.startswith("examples/") or (ROOT / word).exists()


def test_the_job_of_make_image(monkeypatch, tmp_path):
    """On a small region; all of it takes a few seconds."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    job = re.search(r"-m nanobrag_torch (-mat .*)", makefile)
    assert job
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    words = [str(ROOT / word) if word.startswith("examples/") else word for word in shlex.split(job[1])]
    assert main([*words, "-roi", "500", "530", "400", "430"]) == 0
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert sizes["image.bin"] == 4 * 1024 * 1024
    assert sizes["image.img"] == 512 + 2 * 1024 * 1024
    assert sizes["image.png"] > 0


def figures(report: str, pattern: str) -> list[float]:
    """Every number that the pattern finds in a report."""
    found = re.findall(pattern, (ROOT / "reports" / report).read_text(), re.MULTILINE)
    assert found, (report, pattern)
    return [float(one) for one in found]


def claimed(pattern: str) -> list[float]:
    """The numbers of a claim; underscores of the pattern stand for them."""
    match = re.search(pattern.replace("_", r"([\d.,]*\d)"), README.replace("\n", " "))
    assert match, pattern
    return [float(one.replace(",", "")) for one in match.groups()]


@pytest.mark.parametrize(
    ("claim", "report", "pattern", "extremes"),
    [
        ("_ stored command lines reproduced", "parity.md", r"^Made by .*: (\d+) cases", (max,)),
        ("_ to _ times as fast", "benchmarks.md", r"^\|.*?\| ([\d.]+) \([^|]*\) \| >= ", (min, max)),
        ("_ to _ times in single", "benchmarks.md", r"\| >= \d+ \| ([\d.]+) ", (min, max)),
        ("takes as long as _ images", "benchmarks.md", r"^\|[^|]*\|[^|]*\| ([\d.]+) \([^|]*\|[^|]*\|$", (max,)),
        ("_ to _ stills", "kernels-25-17-amd-epyc.md", r"^\| float\d+ \| (\d+) ", (min, max)),
        ("correlate at _;", "measured.md", r"^\| correlation .* \| ([\d.]+) \|$", (max,)),
        ("with a scatter of _ ", "measured.md", r"deviation, pixels \| ([\d.]+),", (max,)),
    ],
)  # fmt: skip
def test_figures_are_those_of_the_reports(claim, report, pattern, extremes):
    """Rounded, and within the spread of a shared machine."""
    found = figures(report, pattern)
    assert claimed(claim) == pytest.approx([extreme(found) for extreme in extremes], rel=0.2)


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
