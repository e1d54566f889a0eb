"""What the programs beside `nanobrag` have in common."""

from __future__ import annotations

import argparse

import pytest

from nanobrag_torch.errors import InputError
from nanobrag_torch.program import OK, REFUSED, run_parsed


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("nb-thing")
    made.add_argument("--count", type=int, default=1)
    return made


def test_the_work_gets_the_options_and_decides_the_status():
    assert run_parsed("nb-thing", parser(), ["--count", "7"], lambda options: options.count) == 7


@pytest.mark.parametrize(("words", "status"), [(["--help"], OK), (["--count", "many"], REFUSED), (["--no"], REFUSED)])
def test_help_and_wrong_words_do_no_work(words, status, capsys):
    assert run_parsed("nb-thing", parser(), words, lambda options: pytest.fail("worked")) == status
    assert "nb-thing" in "".join(capsys.readouterr())


def test_a_refusal_is_one_line(capsys):
    def work(options: argparse.Namespace) -> int:
        raise InputError("--count", "1 is\ntoo few", "give 2")

    assert run_parsed("nb-thing", parser(), [], work) == REFUSED
    assert capsys.readouterr().err == "nb-thing: --count: 1 is too few; give 2\n"


def test_other_exceptions_are_not_swallowed():
    def work(options: argparse.Namespace) -> int:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run_parsed("nb-thing", parser(), [], work)
