"""What single runs and series have in common; the whole of it is tested by test_main.py and test_series.py."""

from __future__ import annotations

import warnings

import pytest
import torch

from nanobrag_torch.cli.running import complain, say_line, threads, warnings_as_lines
from nanobrag_torch.errors import NanobragWarning


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    with pytest.raises(ZeroDivisionError), threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before
    with threads(None):
        assert torch.get_num_threads() == before


def test_warnings_become_lines(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings_as_lines():
        warnings.warn("two\nlines", NanobragWarning, stacklevel=1)
        warnings.warn("two\nlines", NanobragWarning, stacklevel=1)
    assert capfd.readouterr().err == 2 * "nanobrag: warning: two lines\n"


def test_lines_keep_their_order(capfd: pytest.CaptureFixture[str]) -> None:
    say_line("report")
    complain("problem")
    found = capfd.readouterr()
    assert (found.out, found.err) == ("report\n", "nanobrag: problem\n")
