from __future__ import annotations

import pytest

from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import ParityError
from nanobrag_torch.parity.workarounds import for_original

BASE = "-cell 40 -default_F 1 "
END: list[str] = []


def original(line: str):
    words = (BASE + line).split()
    return for_original(words, parse(words))


def changed(line: str) -> list[str]:
    return original(line).words[len(BASE.split()) :]


@pytest.mark.parametrize(
    "line", ["-N 4", "-phi 5 -osc 2", "-phi 0", "-misset 1 2 3", "-detector_abs 300 -detector_thick 100"]
)
def test_most_lines_stay_as_they_are(line):
    found = original(line)
    assert found.words == [*(BASE + line).split(), *END]
    assert found.changes == []


@pytest.mark.parametrize(
    ("line", "words", "identifier"),
    [
        ("-phi 0 -osc 10 -phisteps 2", "-phi 0 -osc 10 -phisteps 2 -phi 1.0000000000000001e-09", "D01"),
        ("-phi -1 -osc 2 -phisteps 2", "-phi -1 -osc 2 -phisteps 2 -phi -0.99999999900000003", "D01"),
        ("-nopolar -oversample_polar", "-nopolar", "D07"),
        ("-oversample_thick", "", "D08"),
        ("-detector_abs inf -detector_thick 100", "-detector_thick 100 -detector_abs inf", "D09"),
        ("-twotheta 20 -twotheta_axis 0 1 0", "-twotheta 20 -twotheta_axis 0 1 0 -twotheta 20 -pivot sample", "D10"),
        ("-twotheta_axis 0 1 0", "-twotheta_axis 0 1 0 -twotheta 0 -pivot beam", "D10"),
        ("-osc 0 -phistep 0.1 -phi 3", "-osc 0 -phistep 0.1 -phi 3 -phisteps 1", "D20"),
        ("-curved_det", "-curved_det -noprogress", "D06"),
        ("-physics nanobragg -quiet -N 3", "-N 3", ""),
    ],
)
def test_known_defects_are_kept_out(line, words, identifier):
    assert changed(line) == words.split()
    assert all(text.startswith(identifier) for text in original(line).changes)
    assert bool(original(line).changes) == bool(identifier)


def test_the_seed_of_a_misset_comes_first():
    words = original("-misset random -misset_seed 5 -N 3").words
    assert words == ["-misset_seed", "5", *BASE.split(), "-misset", "random", "-N", "3", *END]
    assert changed("-misset_seed 5 -N 3") == ["-N", "3"]


@pytest.mark.parametrize("line", ["-source_weights", "-pix0_override_mm 1 2 3", "-physics exact"])
def test_what_no_original_can_do(line):
    with pytest.raises(ParityError, match="nanoBragg has no such flag"):
        original(line)


@pytest.mark.parametrize(
    ("line", "identifier"),
    [("-oversample_omega", "D02"), ("-hkl t.hkl", "D03"), ("-adc -5", "D21"), ("-round_xtal", "D65")],
)
def test_what_may_still_differ_is_said(line, identifier):
    assert any(identifier in text for text in original(line).doubts)
