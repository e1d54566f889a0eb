"""What holds for every program alike: the guard around it, and folders of results that destroy no input."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nanobrag_torch import guard
from nanobrag_torch.hostile.seeds import HKL
from nanobrag_torch.parity.compare import main as nb_compare
from nanobrag_torch.parity.matrix import main as nb_parity
from nanobrag_torch.parity.trace import main as nb_trace

ROOT = Path(__file__).parents[2]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
PROGRAMS = {name: place.split(":")[0] for name, place in SCRIPTS.items()}
LINE = "-cell 40 -default_F 9 -N 3 -detpixels 8 -lambda 1 -distance 50 -pixel 1 -oversample 1 -nonoise -nopgm"


def body(module: Any) -> str:
    """The name of what the guard is put around."""
    return "run_words" if hasattr(module, "run_words") else "_run"


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_unforeseen_error_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    module = import_module(PROGRAMS[name])

    def fails(words: list[str]) -> int:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(module, body(module), fails)
    assert module.main([]) == guard.FAULT
    said = capsys.readouterr().err
    assert said == f"{name}: ZeroDivisionError: by nothing; this is a fault of the program (--traceback shows where)\n"
    assert module.main(["--traceback"]) == guard.FAULT
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_signal_is_one_line(name: str, number: int, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    module = import_module(PROGRAMS[name])
    left = []

    def ends(words: list[str]) -> int:
        try:
            signal.raise_signal(number)
        finally:
            left.append("in order")
        return 0

    monkeypatch.setattr(module, body(module), ends)
    assert module.main([]) == 128 + number
    assert left == ["in order"]
    assert re.fullmatch(rf"{name}: (ended by SIG\w+|interrupted)\n", capsys.readouterr().err)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_working_directory_that_is_gone_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Libraries that look for it end the process in words of their own."""
    module = import_module(PROGRAMS[name])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert module.main(["--version"]) == guard.FAULT
    assert capsys.readouterr().err == f"{name}: the working directory is gone; change to one that exists\n"


def test_after_a_signal_the_process_ends_without_taking_itself_apart() -> None:
    """What is registered for the end is done; the second that torch needs to be taken apart is spared."""
    code = (
        "import atexit, signal, sys\nfrom nanobrag_torch import guard\n"
        "class Slow:\n    def __del__(self): print('taken apart')\n"
        "kept = Slow()\natexit.register(print, 'registered')\n"
        "sys.argv = ['x']\nsys.exit(guard.guarded('x', lambda words: signal.raise_signal(signal.SIGTERM)))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (143, "registered\n", "x: ended by SIGTERM\n")


@pytest.mark.parametrize(
    ("end", "apart"),
    [
        ("guard.leave(9)", ""),
        ("sys.argv[0] = '/bin/nb-x'\nguard.guarded('nb-x', lambda words: 9)", ""),
        ("sys.argv[0] = '/bin/other'\nsys.exit(guard.guarded('nb-x', lambda words: 9))", "taken apart\n"),
    ],
)
def test_a_program_that_is_done_ends_without_taking_itself_apart(end: str, apart: str) -> None:
    """Threads come to their end, what is registered is done, what was printed is written; a caller goes on."""
    code = (
        "import atexit, sys, threading, time\nfrom nanobrag_torch import guard\n"
        "class Slow:\n    def __del__(self): print('taken apart')\n"
        "kept = Slow()\natexit.register(print, 'registered')\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('computed'))).start()\n"
        f"print('said', end=' ')\n{end}\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (9, f"said computed\nregistered\n{apart}", "")


@pytest.mark.parametrize("before", [True, False])
def test_no_garbage_is_looked_for_while_modules_load(before: bool) -> None:
    found = gc.isenabled()
    try:
        (gc.enable if before else gc.disable)()
        with suppress(ImportError), guard.uncollected():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is before
    finally:
        (gc.enable if found else gc.disable)()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_until_a_child_is_known(number: int, capsys: Any) -> None:
    done = []

    def program(words: list[str]) -> int:
        with guard.begetting():
            signal.raise_signal(number)
            done.append("started")
        done.append("not ended")
        return 0

    assert guard.guarded("x", program, []) == 128 + number
    assert done == ["started"]


@pytest.mark.parametrize("asked", [True, False])
def test_nb_compare_leaves_no_child(asked: bool, tmp_path: Path) -> None:
    """Ended while it asks a program for its version, or while that runs: its children's children are gone too."""
    slow, started = tmp_path / "slow", tmp_path / "started"
    waits = "" if asked else '[ "$1" = --version ] && exit; '
    slow.write_text(f"#!/bin/sh\n{waits}sleep 300 & echo $! > {started}; wait\n")
    slow.chmod(0o755)
    code = "from nanobrag_torch.parity.compare import main; raise SystemExit(main())"
    words = ["--c-bin", str(slow), "--py-bin", str(slow), "--outdir", str(tmp_path / "out"), "--", *LINE.split()]
    with subprocess.Popen([sys.executable, "-P", "-c", code, *words], stderr=subprocess.PIPE, text=True) as process:
        while not (started.exists() and started.read_text().strip()):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (143, "nb-compare: ended by SIGTERM\n")
    for _ in range(100):
        if not runs(int(started.read_text())):
            break
        time.sleep(0.05)
    assert not runs(int(started.read_text()))


def runs(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has asked for its status has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("link", [None, os.link, os.symlink], ids=["itself", "hard link", "symbolic link"])
def test_nb_compare_overwrites_no_input(link: Any, tmp_path: Path, c_program: Any, capsys: Any) -> None:
    table, out = tmp_path / "t.hkl", tmp_path / "out"
    out.mkdir()
    read = out / "c_float.bin" if link is None else table
    read.write_bytes(HKL)
    if link is not None:
        link(table, out / "c_float.bin")
    assert nb_compare(["--outdir", str(out), "--", *LINE.split(), "-hkl", str(read)]) == 1
    assert "c_float.bin is the file of -hkl too; choose another folder" in capsys.readouterr().err
    assert read.read_bytes() == HKL
    assert os.listdir(out) == ["c_float.bin"]


def test_nb_parity_overwrites_no_table(tmp_path: Path, c_program: Any, capsys: Any) -> None:
    table = tmp_path / "results.json"
    content = '{"lines": [{"id": "a", "args": "' + LINE + '"}]}'
    table.write_text(content)
    assert nb_parity([str(table), "--outdir", str(tmp_path)]) == 1
    assert "results.json is the file of the table too" in capsys.readouterr().err
    assert table.read_text() == content


def test_nb_trace_overwrites_no_input(tmp_path: Path, capsys: Any) -> None:
    table = tmp_path / "trace_2_3_py.txt"
    table.write_bytes(HKL)
    words = ["--pixel", "2", "3", "--out-dir", str(tmp_path), "--", *LINE.split(), "-hkl", str(table)]
    assert nb_trace(words) == 1
    assert "is the file of -hkl too" in capsys.readouterr().err
    assert table.read_bytes() == HKL


def test_no_pipe_is_written(tmp_path: Path, c_program: Any, capsys: Any) -> None:
    os.mkfifo(tmp_path / "summary.json")
    assert nb_compare(["--outdir", str(tmp_path), "--", *LINE.split()]) == 1
    assert "summary.json is a pipe, not a file" in capsys.readouterr().err
