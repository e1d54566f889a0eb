from __future__ import annotations

import math

import pytest

from nanobrag_torch.parity.trace_compare import chosen, differences, parse_trace, relative_error
from nanobrag_torch.pipeline.trace import Tap

TEXT = "banner\nTRACE_C: setup.angles_rad.rotx 0.5\nTRACE_C: step[0,0,0,0,1,0].F_latt -3\nTRACE_C: pixel.polar 1 2 3\n"
TAPS = [
    Tap("setup", "angles_rad.rotx", (0.5,), "geometry 8"),
    Tap("step[0,0,0,0,1,0]", "F_latt", (3.0,), "intensity 4"),
    Tap("pixel", "polar", (1.0, 2.0, 3.0), "intensity 5"),
]


def test_lines_are_read():
    assert parse_trace(TEXT) == {
        ("setup", "angles_rad.rotx"): (0.5,),
        ("step[0,0,0,0,1,0]", "F_latt"): (-3.0,),
        ("pixel", "polar"): (1.0, 2.0, 3.0),
    }


def test_equal_traces_but_for_the_sign_of_a_lattice_factor():
    assert differences(TAPS, parse_trace(TEXT)) == []


def test_the_first_difference_comes_first():
    theirs = parse_trace(TEXT.replace("0.5", "0.6").replace("1 2 3", "1 2 4"))
    found = differences(TAPS, theirs)
    assert [d.name for d in found] == ["angles_rad.rotx", "polar"]
    assert found[0].error == pytest.approx(1 / 6)
    assert "specs/geometry.md 8" in found[0].text()


def test_what_one_side_lacks_is_a_difference():
    assert [d.name for d in differences(TAPS[:2], parse_trace(TEXT))] == ["polar"]
    assert differences(TAPS, {})[0].error == math.inf
    assert "(missing)" in differences(TAPS, {})[0].text()


@pytest.mark.parametrize(
    ("ours", "theirs", "error"),
    [
        ((1.0, 0.0), (1.0, 1e-17), 1e-17),
        ((0.0,), (0.0,), 0.0),
        ((1e-3,), (0.0,), 1e-3),
        ((1.0,), (1.0, 2.0), math.inf),
        ((math.nan,), (math.nan,), 0.0),
        ((math.nan,), (1.0,), math.inf),
        ((math.inf,), (math.inf,), 0.0),
    ],
)
def test_relative_error(ours, theirs, error):
    assert relative_error("polar", ours, theirs) == error


def test_taps_are_chosen_by_name_group_or_place():
    assert [t.name for t in chosen(TAPS, ["f_latt", "pixel"])] == ["F_latt", "polar"]
    assert chosen(TAPS, []) == TAPS
    with pytest.raises(ValueError, match="no quantity is called what"):
        chosen(TAPS, ["what"])
