from __future__ import annotations

import math

import pytest

from nanobrag_torch.text import c_format, format_g, real


@pytest.mark.parametrize(
    ("value", "text"),
    [(100.0, "100"), (0.1, "0.1"), (1 / 3, "0.333333"), (1e-10, "1e-10"), (-0.0, "-0"), (1234567.0, "1.23457e+06")],
)
def test_g_writes_as_printf(value, text):
    assert format_g(value) == text


def test_g_has_no_sign_for_nan():
    assert format_g(-math.nan) == "nan"


def test_c_format_fills_printf_directives():
    assert c_format("%11.8f|%g|%d|%.0f", 1.5, 1e20, 7, 2.5) == " 1.50000000|1e+20|7|2"


@pytest.mark.parametrize(
    ("word", "value"), [("1", 1.0), ("-.5", -0.5), ("+2.", 2.0), ("3e-2", 0.03), ("INF", math.inf)]
)
def test_real_reads_a_decimal_number(word, value):
    assert real(word) == value


@pytest.mark.parametrize("word", ["", "12abc", "1_000", "0x10", "1e", "--1", "1,5", "1 "])
def test_real_refuses_everything_else(word):
    with pytest.raises(ValueError, match="is not a number"):
        real(word)
