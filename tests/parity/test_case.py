from __future__ import annotations

import stat

import pytest

from nanobrag_torch.parity.agreement import Bounds
from nanobrag_torch.parity.case import Line, terms_of, try_line
from nanobrag_torch.parity.programs import find_c_program

WORDS = [
    "-cell",
    "40",
    "45",
    "50",
    "-N",
    "4",
    "-default_F",
    "100",
    "-detpixels",
    "12",
    "-pixel",
    "1",
    "-distance",
    "60",
    "-oversample",
    "2",
    "-seed",
    "1",
]


@pytest.fixture
def against(c_program, tmp_path):
    """Try a line against a C side that does something else with its words; `$C` is the reference."""

    def tried(body: str, *words: str, **named):
        script = tmp_path / "c.sh"
        script.write_text(f'#!/bin/sh\nC={c_program.path}\n[ "$1" = --version ] && exec $C --version\n{body}\n')
        script.chmod(script.stat().st_mode | stat.S_IEXEC)
        return try_line(Line("x", (*WORDS, *words), **named), find_c_program(str(script)), tmp_path)

    return tried


def test_agreement(against):
    found = against('exec $C "$@"', "-phi", "3")
    assert (found.problems, found.status, found.equal, found.excess) == ([], (0, 0), True, 0.0)


def test_files_are_at_hand(against):
    found = against('exec $C "$@"', "-hkl", "../inputs/t.hkl", files={"t.hkl": b"0 0 0 5\n"})
    assert not found.failed


def test_both_refuse(against):
    found = against('exec $C "$@"', "-lambda", "-1")
    assert (found.problems, found.status) == ([], (9, 9))


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ('exec $C "$@" -fluence 1e20', ["image", "printed (ours | C)"]),
        ('exec $C "$@" -pgmscale 3', ["header of image.pgm (ours | C)", "image.pgm", "printed (ours | C)"]),
        ('exec $C "$@" -scale 3', ["intimage.img", "printed (ours | C)"]),
        ('exec $C "$@" -adc 41', ["noiseimage.img"]),
        ('exec $C "$@" -detpixels 11', ["image sizes differ"]),
        ('$C "$@" | sed s/max_I/max_J/', ["printed (ours | C)"]),
        ('$C "$@"; sed -i s/PHI=0/PHI=1/ intimage.img', ["header of intimage.img (ours | C)"]),
        ('$C "$@"; rm noiseimage.img', ["the c side wrote no noiseimage.img"]),
        ('$C "$@"; rm floatimage.bin', ["the c side wrote no floatimage.bin"]),
        ('$C "$@"; echo x > Fdump.bin', ["Fdump.bin differs"]),
        ("exit 9", ["statuses differ"]),
        ("kill -SEGV $$", ["statuses differ"]),
    ],
)
def test_disagreements(against, body, kinds):
    found = against(body)
    kinds_found = {problem.partition(":")[0] for problem in found.problems}
    assert found.failed
    assert set(kinds) <= kinds_found
    assert found.excess > 1.0


def test_bounds_of_ones_own(against):
    found = against('exec $C "$@" -fluence 1.26e29', bounds=Bounds(1, 1, 1, 1, 1), text=False)
    assert not any(problem.startswith(("image:", "printed")) for problem in found.problems)


def test_a_crash_of_ours(against, monkeypatch):
    from nanobrag_torch.pipeline import simulator

    def broken(*a, **k):
        raise ZeroDivisionError("of a test")

    monkeypatch.setattr(simulator.Simulator, "run", broken)
    found = against('exec $C "$@"')
    assert "ours crashed: ZeroDivisionError: of a test" in found.problems[0]


def test_how_much_a_line_costs(tmp_path):
    assert terms_of(Line("x", tuple(WORDS)), tmp_path) == 12 * 12 * 4
    assert terms_of(Line("x", (*WORDS, "-osc", "1")), tmp_path) == 2 * 12 * 12 * 4
    assert terms_of(Line("x", (*WORDS, "-lambda", "-1")), tmp_path) == 0
