"""How words become values."""

from __future__ import annotations

import math

import pytest

from nanobrag_torch.cli.flags import words


@pytest.mark.parametrize("word", ["1", "-1", "+1", "1.", ".5", "-1.5e-3", "1E5", "007"])
def test_numbers(word: str) -> None:
    assert words.number(word) == float(word)
    assert words.is_number(word)


@pytest.mark.parametrize(
    "word", ["", " 1", "1 ", "12abc", "nan", "inf", "-inf", "1_000", "0x10", "1d5", "--1", ".", "e5", "1e", "١"]
)
def test_not_numbers(word: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        words.number(word)
    assert not words.is_number(word)


def test_infinity_where_it_is_allowed() -> None:
    assert words.number("inf", infinite=True) == math.inf
    assert words.number("Infinity", infinite=True) == math.inf
    with pytest.raises(ValueError, match="not a number"):
        words.number("-inf", infinite=True)


@pytest.mark.parametrize(
    ("word", "value"), [("8", 8), ("8.0", 8), ("-3", -3), ("1e3", 1000), ("2147483647", 2**31 - 1)]
)
def test_whole_numbers(word: str, value: int) -> None:
    assert words.whole(word) == value
    assert isinstance(words.whole(word), int)


@pytest.mark.parametrize("word", ["8.9", "1e-3", "x", "nan", "9" * 30])
def test_not_whole_numbers(word: str) -> None:
    with pytest.raises(ValueError, match="number"):
        words.whole(word)


def test_words_that_look_like_flags() -> None:
    assert all(map(words.looks_like_flag, ("-a", "--abc")))
    assert not any(map(words.looks_like_flag, ("-", "-5", "a-b", "---a", "-.5", "")))


def test_energy_is_stored_as_a_wavelength() -> None:
    takes = words.energy("beam.wavelength_A")
    assert takes.values(["6199.21"]) == {"beam.wavelength_A": 2.0}
    with pytest.raises(ValueError, match="not positive"):
        takes.values(["-5"])


def test_cell_takes_one_to_six() -> None:
    takes = words.cell(*"abcdef")
    assert takes.count(["1", "2", "-x", "3"]) == 2
    assert takes.count([str(i) for i in range(9)]) == 6
    assert takes.count(["-x"]) == takes.count([]) == 1
    assert takes.values(["1", "2"]) == {"a": 1.0, "b": 2.0}


def test_misset_forms() -> None:
    takes = words.misset("angles", "random")
    assert takes.count(["random", "5"]) == 1
    assert takes.count(["1", "2", "3"]) == takes.count([]) == takes.count(["-rand"]) == 3
    assert takes.values(["brand"]) == {"angles": None, "random": True}
    assert takes.values(["1", "2", "3"]) == {"angles": (1.0, 2.0, 3.0), "random": False}


def test_containing_takes_the_last_meaning() -> None:
    takes = words.containing("field", {"sample": "S", "beam": "B"})
    assert takes.values(["sample"]) == {"field": "S"}
    assert takes.values(["beam_or_sample"]) == {"field": "B"}


def test_names() -> None:
    takes = words.name("field")
    assert takes.values(["a b.img"]) == {"field": "a b.img"}
    for word in ("-x", ""):
        with pytest.raises(ValueError, match="a name was expected"):
            takes.values([word])


def test_ignored_words_are_still_checked() -> None:
    assert words.ignored("x", 2).values(["1", "2"]) == {}
    with pytest.raises(ValueError, match="not a number"):
        words.ignored("x").values(["y"])
    assert words.ignored_number().count(["5"]) == 1
    assert words.ignored_number().count(["x"]) == words.ignored_number().count([]) == 0
