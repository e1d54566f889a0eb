"""Beside a program with the original's defects: work-arounds, explanations by number, and verbatim runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch.parity import compare, trace
from nanobrag_torch.parity.case import Line, try_line
from nanobrag_torch.parity.explain import unnudged
from nanobrag_torch.parity.fuzz import random_line
from nanobrag_torch.parity.matrix import main, read_table, run_lines

TABLE = Path(__file__).with_name("cases.yaml")
E0 = (
    "-default_F 100 -cell 40 45 50 -N 4 -detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 -lambda 1.2 "
    "-oversample 1 -nopgm -nonoise"
)
PLANE = "".join(f"{h} {k} {m} {20 + h + k + m}\n" for h in range(-3, 4) for k in range(-3, 4) for m in range(-3, 4))


def tried(original, tmp_path, words, files=None, **options):
    content = {name: text.encode() for name, text in (files or {}).items()}
    return try_line(Line("x", tuple(f"{E0} {words}".split()), content), original, tmp_path, **options)


def test_the_table_agrees_or_names_the_deviation(original):
    results = {r.id: r for r in run_lines(read_table(TABLE), original, 1)}
    assert {r.id: r.problems for r in results.values() if r.failed} == {}
    assert results["factors per term"].explained[0].startswith("D02")
    assert results["no polarization wins"].explained[0].startswith("D07")
    assert results["no sensor but its flag"].explained[0].startswith("D08")
    assert results["round crystal at the beam"].explained[0].startswith("D47, D65")
    assert results["unknown flag"].explained[0].startswith("D24")
    assert results["sweep over exactly 0"].changes[0].startswith("D01")
    assert sum(r.equal for r in results.values()) >= 30


def test_random_lines(original):
    lines = [Line(f"1:{i}", tuple(m.args), m.files) for i in range(12) for m in [random_line(1, i)]]
    assert [(r.id, r.problems) for r in run_lines(lines, original, 1) if r.failed] == []


@pytest.mark.parametrize(("seed", "index"), [(2, 366), (3, 230)])
def test_a_phi_that_shows_where_it_was_moved(original, tmp_path, seed, index):
    """One pixel that holds nearly everything: 1e-9 degrees are more than the bound of the sum."""
    made = random_line(seed, index)
    result = try_line(Line("x", tuple(made.args), made.files), original, tmp_path)
    assert result.problems == []
    assert any(text.startswith("D01: -phi 1") for text in result.explained)


def test_a_table_too_small_is_explained_and_only_with_evidence(original, tmp_path):
    words = "-hkl ../inputs/t.hkl -default_F 12 -cell 20 24 26 -N 2 -misset 10 20 30 -pixel 2"
    result = tried(original, tmp_path, words, {"t.hkl": PLANE})
    assert result.explained[0].startswith("D03")
    assert not result.failed


def test_a_wrong_image_is_not_explained(original, tmp_path):
    """A doubt alone excuses nothing: this program makes every pixel brighter."""
    script = tmp_path / "doubling"
    script.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 9\nexec {original.path} "$@" -fluence 3e29\n')
    script.chmod(0o755)
    c = type(original)(script, False, "doubling")
    result = tried(c, tmp_path, "-misset 10 20 30 -oversample 2 -oversample_omega")
    assert result.failed
    assert result.explained == []


def test_the_same_words_to_both_show_the_defects(original, tmp_path):
    words = "-misset 10 20 30 -phi 0 -osc 10 -phisteps 2"
    assert not tried(original, tmp_path, words).failed
    assert tried(original, tmp_path, words, verbatim=True).failed
    # The measured sums of D01.
    image = np.fromfile(tmp_path / "c" / "floatimage.bin", np.float32)
    assert image.sum(dtype=float) == pytest.approx(8033.29, abs=0.005)
    assert main([str(TABLE), "--only", "sweep over exactly 0", "--c-bin", str(original.path), "--verbatim"]) == 3


def test_verbatim_tells_what_the_defect_does(original, tmp_path, capsys):
    out = tmp_path / "out"
    line = f"{E0} -misset 10 20 30 -phi 0 -osc 10 -phisteps 2 -seed 1".split()
    own = ["--outdir", str(out), "--c-bin", str(original.path)]
    assert compare.main([*own, "--", *line]) == 0
    assert json.loads((out / "summary.json").read_text())["defects"] is None
    assert compare.main([*own, "--verbatim", "--", *line]) == 3
    told = json.loads((out / "summary.json").read_text())
    assert told["c"]["verbatim"]
    assert told["c"]["workarounds"] == []
    assert told["defects"]["defects"][0].startswith("D01")
    assert told["defects"]["effect"]["sum_ratio"] == pytest.approx(8033.29 / 8112.76, abs=1e-6)
    assert told["defects"]["corrected"]["relative_l2"] < 1e-7
    assert "ours/verbatim" in capsys.readouterr().out


def test_the_trace_falls_back_to_the_reference(original, c_program, monkeypatch, capsys):
    monkeypatch.setenv("NB_C_BIN", str(original.path))
    assert trace.main(["--pixel", "3", "4", "--compare", "--", *E0.split()]) == 0
    assert "project's own reference" in capsys.readouterr().err


def test_the_moved_phi_is_printed_as_it_was():
    assert unnudged("phi0 = 1e-09\nphi1 = 5\n  2 phi steps from 1e-09 to 5 degrees") == (
        "phi0 = 0\nphi1 = 5\n  2 phi steps from 0 to 5 degrees"
    )
    assert unnudged("wave=1e-09 meters") == "wave=1e-09 meters"
    assert unnudged("phi0 = 11e-09") == "phi0 = 11e-09"
