from __future__ import annotations

import pytest

from nanobrag_torch.parity.shrink import shrink


def test_only_what_matters_is_left():
    line = [
        "-cell",
        "41.237",
        "45",
        "50",
        "-N",
        "7",
        "-misset",
        "1",
        "2",
        "3",
        "-polar",
        "0.5",
        "-phi",
        "12.345",
        "-nonoise",
    ]
    assert shrink(line, lambda words: "-phi" in words and "-N" in words) == ["-N", "0", "-phi", "0"]


def test_numbers_become_simple_only_while_it_fails():
    assert shrink(["-phi", "12.345"], lambda w: "-phi" in w and float(w[1]) > 11) == ["-phi", "100"]
    assert shrink(["-phi", "12.345"], lambda w: "-phi" in w and 12 < float(w[1]) < 13) == ["-phi", "12.345"]


def test_spellings_become_plain():
    assert shrink(["--wavelength", "1.5"], lambda w: len(w) == 2 and w[1] == "1.5") == ["-lambda", "1.5"]


def test_a_line_that_nothing_can_leave():
    line = ["-a", "-b", "-c"]
    assert shrink(line, lambda words: list(words) == line) == line


@pytest.mark.parametrize("most", [0, 3])
def test_no_more_trials_than_allowed(most):
    tried = []
    shrink(["-N", "3", "-phi", "2", "-polar", "1", "-nonoise"], lambda words: bool(tried.append(words)), most)
    assert len(tried) <= most
