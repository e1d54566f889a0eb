"""The block of lines of a pixel."""

from __future__ import annotations

from typing import Any

import pytest


def test_block_of_one_pixel(run: Any) -> None:
    outcome = run.small("-printout_pixel 3 5")
    lines = outcome.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("   3    5 : stol = "))
    block = lines[start : start + 15]
    assert block[1].startswith("at 0.1 ")
    assert block[2].startswith("hkl= ")
    assert "hkl0=" in block[2]
    assert block[3].startswith(" F_cell=50  F_latt=")
    assert [line.split()[0] for line in block[4:9]] == ["I/steps", "polar", "omega", "capfrac", "pixel"]
    assert float(block[8].split()[1]) == pytest.approx(outcome.image(12, 12)[5, 3], rel=1e-6)
    assert [line[:3] for line in block[11:14]] == ["X: ", "Y: ", "Z: "]
    assert "% done" not in outcome.out


def test_stol_and_its_estimate_agree(run: Any) -> None:
    line = next(line for line in run.small("-printout_pixel 3 5").out.splitlines() if " : stol = " in line)
    words = line.split()
    assert float(words[5]) == pytest.approx(float(words[7]), rel=1e-5)


def test_every_rendered_pixel(run: Any) -> None:
    outcome = run.small("-roi 2 3 4 6 -printout -mask mask.img")
    places = [tuple(map(int, line.split()[:2])) for line in outcome.out.splitlines() if " : stol = " in line]
    assert places == [(2, 5), (3, 5), (2, 6), (3, 6)]
