"""What README.md shows, does what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from nanobrag_torch.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^    nanobrag (.*)$", README, re.MULTILINE)


@pytest.mark.parametrize("code", PYTHON, ids=["scene", "gradients"])
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


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
