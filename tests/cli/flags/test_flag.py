"""The record of a flag; the rows are tested in ../test_flags.py."""

from __future__ import annotations

from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.words import real


def test_name_fields_and_example() -> None:
    flag = Flag(("-wave*", "-x"), "text", "-wave 5", {"a.b": 5.0}, takes=real("a.b"), sets={"a.c": True})
    assert flag.name == "-wave"
    assert flag.fields == ("a.b", "a.c")
    assert flag.example_words == ["-wave", "5"]


def test_flag_without_words() -> None:
    flag = Flag(("-x",), "text", "-x")
    assert flag.takes.count(["1"]) == 0
    assert flag.fields == ()
