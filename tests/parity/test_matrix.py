from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from nanobrag_torch.parity import matrix
from nanobrag_torch.parity.agreement import DOUBLE_TOPHAT
from nanobrag_torch.parity.case import Line
from nanobrag_torch.parity.fuzz import random_line
from nanobrag_torch.parity.matrix import main, read_table, run_lines, shortest

TABLE = Path(__file__).with_name("cases.yaml")
SMALL = "-cell 40 -N 3 -default_F 10 -detpixels 8 -pixel 1 -distance 50 -oversample 1 -seed 1"


@pytest.mark.parametrize("line", read_table(TABLE), ids=lambda line: line.id)
def test_the_table_of_command_lines(c_program, line):
    """tests/parity/cases.yaml, line by line."""
    (result,) = run_lines([line], c_program, 1)
    assert not result.failed, "\n".join(result.problems)


@pytest.mark.parametrize("seed", [1])
def test_random_command_lines(c_program, seed):
    """A few of the lines that `nb-parity --fuzz` runs by the hundred."""
    lines = [Line(f"{seed}:{i}", tuple(made.args), made.files) for i in range(25) for made in [random_line(seed, i)]]
    results = run_lines(lines, c_program, 1)
    assert [result.id for result in results if result.failed] == []


def test_processes_give_the_same(c_program):
    lines = [Line(str(i), (*SMALL.split(), "-phi", str(i))) for i in range(3)]
    results = run_lines(lines, c_program, 2)
    assert sorted(result.id for result in results) == ["0", "1", "2"]
    assert all(result.equal for result in results)


def test_a_table_with_everything(tmp_path):
    (tmp_path / "t.hkl").write_text("0 0 0 1\n")
    table = tmp_path / "table.yaml"
    table.write_text(
        "common: -cell 40\nbounds: {sum: 1.0e-5}\nlines:\n"
        "  - {id: one, args: -hkl t.hkl -tophat_spots, bounds: {pixel: 0.1}}\n  - {id: two, args: -N 3, text: false}\n"
    )
    one, two = read_table(table)
    assert one.args == ("-cell", "40", "-hkl", str(tmp_path / "t.hkl"), "-tophat_spots")
    assert one.bounds == replace(DOUBLE_TOPHAT, sum=1e-5, pixel=0.1)
    assert two.bounds.sum == 1e-5
    assert not two.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "a list called `lines`"),
        ("lines: {", "table.yaml"),
        ("lines: [3]", "line 1 of the table"),
        ("lines: [{id: a}]", "`id` and `args`"),
        ("lines: [{id: a, args: b, colour: red}]", "unknown colour"),
        ("lines: [{id: a, args: b, bounds: {speed: 1}}]", "not speed"),
        ("lines: [{id: a, args: b}, {id: a, args: c}]", "called a"),
    ],
)
def test_bad_tables(tmp_path, c_program, capsys, text, said):
    table = tmp_path / "table.yaml"
    table.write_text(text)
    assert main([str(table)]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 1, "--fuzz N"),
        (["--fuzz"], 1, "expected one argument"),
        (["--fuzz", "1", "--c-bin", "/nowhere"], 2, "/nowhere"),
        (["/nowhere/table.yaml"], 5, "/nowhere/table.yaml"),
    ],
)
def test_bad_input(c_program, capsys, words, status, said):
    assert main(words) == status
    assert said in capsys.readouterr().err


def test_the_table_is_shown_and_saved(c_program, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--fuzz", "3", "--seed", "2", "--jobs", "1", "--outdir", str(out)]) == 0
    assert "3 lines in" in capsys.readouterr().out
    told = json.loads((out / "results.json").read_text())
    assert told["failed"] == 0
    assert [row["id"] for row in told["results"]] == ["random 2:0", "random 2:1", "random 2:2"]
    assert (out / "table.csv").read_text().count("\n") == 4


def disagreeing(tmp_path: Path, c_program) -> str:
    """A C side that draws something else when it meets -phi."""
    script = tmp_path / "broken"
    script.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exec '
        f'{c_program.path} --version\ncase " $* " in *" -phi "*) exec {c_program.path} "$@" -fluence 1e20;; esac\n'
        f'exec {c_program.path} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


def test_a_disagreement_is_made_short_and_kept(c_program, tmp_path, capsys, monkeypatch):
    made = random_line(1, 0)
    made.args[:] = [*SMALL.split(), "-phi", "12.5", "-misset", "1", "2", "3", "-polar", "0.5"]
    monkeypatch.setattr(matrix, "random_line", lambda seed, index: made)
    words = ["--fuzz", "1", "--jobs", "1", "--c-bin", disagreeing(tmp_path, c_program), "--outdir", str(tmp_path / "o")]
    assert main(words) == 3
    assert "shortest:" in capsys.readouterr().out
    kept = shlex.split((tmp_path / "o" / "failures" / "random_1_0" / "run" / "command.txt").read_text())
    assert "-phi" in kept
    assert "-misset" not in kept
    assert "-polar" not in kept


def test_shortest_keeps_the_kind_of_failure(c_program, tmp_path):
    from nanobrag_torch.parity.programs import find_c_program

    broken = find_c_program(disagreeing(tmp_path, c_program))
    line = Line("x", (*SMALL.split(), "-phi", "3", "-Xbeam", "4"))
    (result,) = run_lines([line], broken, 1)
    assert result.failed
    assert "-phi" in shortest(line, result)
