from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.parity.sides import Plan, RunnerFailed, run_both

WORDS = tuple(
    [
        "-cell",
        "40",
        "-N",
        "4",
        "-default_F",
        "100",
        "-detpixels_x",
        "12",
        "-detpixels_y",
        "9",
        "-pixel",
        "1",
        "-distance",
        "60",
        "-oversample",
        "1",
        "-seed",
        "1",
    ]
)


def test_both_sides_of_one_line(c_program, tmp_path):
    found = run_both(Plan(WORDS, c_program, threads=1), tmp_path)
    assert found.c.image.shape == found.py.image.shape == (9, 12)
    assert np.array_equal(found.c.image, found.py.image)
    assert found.c.printed["max_I"] == found.py.printed["max_I"]
    assert found.py.facts["threads"] == found.c.facts["threads"] == 1
    assert set(found.ratios()) == {"render", "process"}
    assert found.py.wall[0] == pytest.approx(found.py.startup[0] + found.py.render[0])
    assert (tmp_path / "py_float.bin").stat().st_size == 4 * 108


def test_flags_that_c_does_not_have_stay_on_our_side(c_program, tmp_path):
    found = run_both(Plan((*WORDS, "-device", "cpu", "-dtype", "float64", "-memory", "100"), c_program), tmp_path)
    assert "-device" in found.py.command
    assert "-device" not in found.c.command


def test_without_separate_runs_nothing_is_known_of_the_start(c_program, tmp_path):
    found = run_both(Plan(WORDS, c_program, timed=False), tmp_path)
    assert found.c.startup == []
    assert "render" not in found.ratios()


def test_a_refused_flag_is_named(c_program, tmp_path):
    with pytest.raises(RunnerFailed, match="it objects to -misst") as caught:
        run_both(Plan((*WORDS, "-misst", "3"), c_program), tmp_path)
    assert caught.value.side == "C"
