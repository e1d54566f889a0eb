"""The golden suite's own commands: drawing it anew, and telling what a program does not reproduce."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SUITE = Path(__file__).resolve().parents[2] / "golden_suite_generator"
COPIED = SUITE.parent / "tests" / "golden_data"


def python(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SUITE / script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def drawn(tmp_path, c_program):
    """The outputs group, drawn by the C side."""
    folder = tmp_path / "golden"
    done = python("regenerate.py", c_program.path, folder, "--inputs", COPIED, "--only", "out_")
    assert done.returncode == 0, done.stderr
    return folder


def test_drawn_anew_it_is_reproduced(drawn, c_program):
    done = python("check_reference.py", c_program.path, drawn)
    assert done.returncode == 0, done.stdout
    assert "0 outside the bounds" in done.stdout


def test_it_is_what_is_stored(drawn):
    stored = {case["id"]: case for case in json.loads((COPIED / "cases.json").read_text())}
    compared = 0
    for case in json.loads((drawn / "cases.json").read_text()):
        if stored.get(case["id"], {}).get("verdict") == "image":
            name = f"images/{case['id']}.npz"
            with np.load(drawn / name) as ours, np.load(COPIED / name) as theirs:
                np.testing.assert_allclose(ours["image"], theirs["image"], rtol=1e-5, atol=1e-9)
            assert case["stats"]["max_I"] == stored[case["id"]]["stats"]["max_I"]
            compared += 1
    assert compared > 10


def test_provenance(drawn, c_program):
    facts = json.loads((drawn / "provenance.json").read_text())
    assert len(facts["sha256"]) == 64
    assert facts["version"].startswith("nanobragg_reference")
    assert set(facts["commands"]) == {case["id"] for case in json.loads((drawn / "cases.json").read_text())}


def test_what_is_not_reproduced_is_named(drawn, c_program):
    path = drawn / "images" / "out_int_auto.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    arrays["image"][10, 20] *= 1.01
    np.savez_compressed(path, **arrays)
    done = python("check_reference.py", c_program.path, drawn)
    assert done.returncode == 1
    assert "out_int_auto" in done.stdout.splitlines()[1]


def test_a_set_is_never_overwritten(drawn, c_program):
    done = python("regenerate.py", c_program.path, drawn)
    assert done.returncode == 2
    assert "name a new folder" in done.stderr
