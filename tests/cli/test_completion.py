"""Completion: each script runs in its own shell and offers flags, files and choices."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

from nanobrag_torch.cli.completion import SHELLS, completion
from nanobrag_torch.cli.flags import FLAGS


def in_shell(shell: str, code: str, folder: Any) -> list[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    words = {"bash": ["--norc", "-c"], "fish": ["--no-config", "-c"], "zsh": ["-f", "-c"]}[shell]
    done = subprocess.run([shell, *words, code], capture_output=True, text=True, cwd=folder, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split("\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_flag_is_offered(shell):
    text = completion(shell)
    for flag in FLAGS:
        for spelling in flag.spellings:
            assert spelling.rstrip("*").lstrip("-") in text


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["-mosaic_s"], {"-mosaic_spread", "-mosaic_seed"}),
        (["-physics", ""], {"nanobragg", "exact"}),
        (["-hkl", "P"], {"P1.hkl"}),
        (["sc"], {"scene.toml"}),
    ],
)
def test_bash(words, wanted, tmp_path):
    (tmp_path / "P1.hkl").touch()
    (tmp_path / "scene.toml").touch()
    line = " ".join(f"'{word}'" for word in ["nanobrag", *words])
    code = f"{completion('bash')}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _nanobrag\n"
    assert wanted <= set(in_shell("bash", code + "printf '%s\\n' \"${COMPREPLY[@]}\"", tmp_path))


def test_fish(tmp_path):
    code = f"{completion('fish')}\ncomplete -C 'nanobrag -mosaic_s'\ncomplete -C 'nanobrag -physics '"
    names = {line.split("\t")[0] for line in in_shell("fish", code, tmp_path)}
    assert {"-mosaic_spread", "-mosaic_seed", "exact", "nanobragg"} <= names


def test_zsh_reads_its_script(tmp_path):
    code = f"autoload -Uz compinit; compinit -u -D\n{completion('zsh')}\nprint $_comps[nanobrag]"
    assert "_nanobrag" in in_shell("zsh", code, tmp_path)


def test_on_the_command_line(run):
    assert run("--completion fish").out == completion("fish") + "\n"
    for line, problem in (("--completion", "1 more value"), ("--completion tcsh", "'tcsh' is no shell")):
        outcome = run(line)
        assert outcome.status == 9
        assert problem in outcome.err


def test_help_about_one_flag(run):
    outcome = run("--help -mosaic_spread")
    assert outcome.status == 0
    assert "-mosaic_dom" in outcome.out.partition("Beside it:")[2]
    assert len(outcome.out.splitlines()) < 30
    outcome = run("--help -mosaik")
    assert (outcome.status, outcome.out) == (9, "")
    assert "did you mean" in outcome.err


def test_a_summary_on_a_terminal_and_the_whole_report_elsewhere(run, monkeypatch):
    monkeypatch.setattr("nanobrag_torch.cli.summary.sys.stdout.isatty", lambda: True, raising=False)
    short = run.small("-floatfile a.bin -intfile b.img")
    lines = short.out.splitlines()
    photons = float(short.image(12, 12, "a.bin").sum(dtype=float))
    assert lines[0] == "wrote a.bin, b.img"
    assert lines[1].startswith(f"{photons:g} photons in 12 x 12 pixels, the brightest pixel has ")
    assert len(lines) == 3
    monkeypatch.undo()
