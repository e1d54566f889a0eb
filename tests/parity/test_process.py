from __future__ import annotations

import sys
import time

import pytest

from nanobrag_torch.parity.process import run, shown


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_program_says_is_kept(tmp_path):
    done = run(python("import sys; print('out'); print('err', file=sys.stderr)"), tmp_path, name="c")
    assert (done.ok, done.stdout, done.stderr) == (True, "out\n", "err\n")
    assert (tmp_path / "c.stdout").read_text() == "out\n"
    assert done.last_lines() == ["err"]


def test_a_status(tmp_path):
    done = run(python("raise SystemExit(9)"), tmp_path)
    assert not done.ok
    assert done.ending() == "ended with status 9"


def test_a_signal(tmp_path):
    done = run(python("import os; os.kill(os.getpid(), 11)"), tmp_path)
    assert done.ending() == "was ended by SIGSEGV"


def test_a_hanging_program_is_stopped_with_its_children(tmp_path):
    """The sleeping child of a script would keep the pipes of a plain kill open."""
    begun = time.perf_counter()
    done = run(["sh", "-c", "echo started; sleep 30 & wait"], tmp_path, limit=0.5)
    assert time.perf_counter() - begun < 10
    assert done.status is None
    assert "time limit" in done.ending()
    assert done.stdout == "started\n"


def test_variables_and_folder(tmp_path):
    done = run(["sh", "-c", "echo $MINE; pwd"], tmp_path, environment={"MINE": "x"})
    assert done.stdout.split() == ["x", str(tmp_path)]


def test_a_program_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        run(["/nowhere/program"], tmp_path)


def test_words_for_a_shell():
    assert shown(["a b", "-c"]) == "'a b' -c"
