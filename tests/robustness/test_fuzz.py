"""20,000 stored and mutated inputs through every reader and the command line; bad command lines run to the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nanobrag_torch.hostile.judge import judged
from nanobrag_torch.hostile.lines import BadLine, bad_lines
from nanobrag_torch.hostile.targets import LINE, SCENE, inputs, kinds, targets, try_one

INPUTS = 20_000
FEWER = {"nexus": 8}
"""HDF5 takes milliseconds, not tenths of them."""
SLICES = 25
"""Of the bad command lines every 25th is run."""


def shares() -> dict[str, int]:
    weights = {kind: 1.0 / FEWER.get(kind, 1) for kind in kinds()}
    return {kind: int(INPUTS * weight / sum(weights.values())) + 1 for kind, weight in weights.items()}


@pytest.mark.parametrize("kind", kinds())
def test_nothing_but_refusals(kind: str) -> None:
    """In a process of its own, with a limit of memory; no more than 5 s and 4 GB for any input."""
    words = [sys.executable, "-m", "nanobrag_torch.hostile", kind, "2", "0", str(shares()[kind])]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, told[:3] or done.stderr[-500:]
    assert told[-1]["count"] == shares()[kind]
    assert told[-1]["peak_MB"] < 1000


def test_the_number_of_inputs() -> None:
    assert sum(shares().values()) >= INPUTS
    assert set(targets()) | {LINE} == set(kinds())


def test_a_finding_is_found(tmp_path: Path) -> None:
    def broken(path: Path) -> None:
        raise ZeroDivisionError("a fault")

    assert try_one("hkl", b"0 0 0 1\n", tmp_path, {"hkl": broken}) == "ZeroDivisionError: a fault"
    assert list(inputs("hkl", 1, 5, 3)) == list(inputs("hkl", 1, 5, 3)) != list(inputs("hkl", 2, 7, 3))


def test_bad_command_lines() -> None:
    found = [(line.about, line.words[-4:], judged(line)[1]) for line in list(bad_lines(damaged=20))[::SLICES]]
    assert [one for one in found if one[-1]] == []


def test_the_judge_sees_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    line = BadLine((*SCENE, "-N", "3"), {"a.txt": b"mine"})
    assert judged(line) == (0, "")

    def main(words: list[str]) -> int:
        Path("a.txt").write_text("theirs")
        return 0

    monkeypatch.setattr("nanobrag_torch.cli.main.main", main)
    assert judged(line) == (0, "status 0, and a.txt is destroyed")
    monkeypatch.setattr("nanobrag_torch.cli.main.main", lambda words: 70)
    assert judged(line)[1].startswith("unforeseen")
    monkeypatch.setattr("nanobrag_torch.cli.main.main", lambda words: 9)
    assert judged(line)[1].startswith("refused with 0 lines")
