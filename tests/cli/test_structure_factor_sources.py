"""MTZ files, reflection mmCIF files and models on the command line (specs: structure_factors 5, 7)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pytest

from nanobrag_torch.cli.main import main

ROOT = Path(__file__).parents[2]
SCENE = (
    "-misset 5 10 15 -N 4 -detpixels 12 -pixel 4 -distance 100 -lambda 1.2 -oversample 1 -noprogress -nopgm -nonoise"
)
CIF = """data_r1abcsf
_cell.length_a 40
_cell.length_b 45
_cell.length_c 50
_cell.angle_alpha 90
_cell.angle_beta 90
_cell.angle_gamma 90
_symmetry.space_group_name_H-M 'P 1'
loop_
_refln.index_h
_refln.index_k
_refln.index_l
_refln.F_meas_au
_refln.F_calc_au
"""


def rows() -> str:
    """The reflections of data.mtz."""
    return "".join(
        f"{h} {k} {l} {10 + (7 * h + 3 * k + 5 * l) % 11} {20 + 2 * ((7 * h + 3 * k + 5 * l) % 11)}\n"
        for k in range(-9, 10)
        for h in range(-9, 10)
        for l in range(10)
    )


@pytest.fixture
def files(run: Any) -> Any:
    """A runner whose folders hold the reflections of data.mtz in other formats too."""
    run.more["data.cif"] = CIF + rows()
    run.more["data.ent"] = CIF + rows()
    listed = [line.split() for line in rows().splitlines()]
    mates = [f"{-int(h)} {-int(k)} {-int(l)} {F}\n" for h, k, l, F, _ in listed]
    run.more["all.hkl"] = "".join(mates) + "".join(f"{h} {k} {l} {F}\n" for h, k, l, F, _ in listed)
    return run


def test_every_format_draws_the_same(files: Any) -> None:
    text = files(f"{SCENE} -hkl all.hkl -cell 40 45 50")
    assert text.err == ""
    for name in ("data.mtz", "data.cif", "data.ent"):
        other = files(f"{SCENE} -hkl {name}")
        assert (other.status, other.err) == (0, "")
        assert other.files["floatimage.bin"] == text.files["floatimage.bin"]
        expected = f"reading Fs from {name}, column F"
        assert expected in other.out
        assert ", space group P 1, cell 40 45 50 90 90 90\n" in other.out
        assert "  3610 initialized hkls" not in other.out
        assert "  6859 initialized hkls (all others =0)\n" in other.out


def test_a_column_of_either_format(files: Any) -> None:
    strong = [
        files(f"{SCENE} {words}") for words in ("-hkl data.mtz -mtz_column FP", "-hkl data.cif -mtz_column F_calc_au")
    ]
    weak = files(f"{SCENE} -hkl data.mtz")
    assert strong[0].files["floatimage.bin"] == strong[1].files["floatimage.bin"]
    np.testing.assert_allclose(strong[0].image(12, 12), 4 * weak.image(12, 12), rtol=1e-6)


def test_models_of_either_format(run: Any) -> None:
    pdb = run(f"{SCENE} -model model.pdb")
    assert (pdb.status, pdb.err) == (0, "")
    said = "computing Fs of model.pdb to 2.96438 A at 1.2 A, space group P 1, cell 40 45 50 90 90 90\n"
    assert said in pdb.out
    run.more["other.cif"] = gemmi.read_structure(str(pdb.folder / "model.pdb")).make_mmcif_document().as_string()
    cif = run(f"{SCENE} -model other.cif")
    assert (cif.status, cif.err) == (0, "")
    np.testing.assert_allclose(cif.image(12, 12), pdb.image(12, 12), rtol=1e-5)


def test_anomalous_scattering_at_the_wavelength(run: Any) -> None:
    """At its edge selenium scatters like some eleven electrons less; beside the beam F is that of 0 0 0."""
    words = "-model model.pdb -N 1 -nointerpolate -detpixels 3 -pixel 0.1 -Xbeam 0.1 -Ybeam 0.1 -nonoise -nopgm"
    edge, away = (run(f"{words} -lambda {x}").image(3, 3)[1, 1] for x in ("0.9795", "0.6"))
    assert 0.5 < edge / away < 0.7


@pytest.mark.parametrize("words", ["-hkl data.mtz", "-model model.pdb"])
def test_no_dump_is_read_or_written(words: str, run: Any) -> None:
    run.more["Fdump.bin"] = "not a dump"
    found = run(f"{SCENE} {words}")
    assert (found.status, found.err) == (0, "")
    assert (found.folder / "Fdump.bin").read_text() == "not a dump"
    assert "dump" not in found.out
    found = run(f"{SCENE} {words} -dump mine.bin")
    assert found.err.startswith("nanobrag: warning: mine.bin is neither read nor written")
    assert found.err.count("\n") == 1
    assert not (found.folder / "mine.bin").exists()


def test_a_series_of_a_model(run: Any) -> None:
    words = f"{SCENE} -model model.pdb -osc 1 -floatfile f_###.bin"
    series, single = run(f"{words} -frames 2"), run(f"{SCENE} -model model.pdb -osc 1 -floatfile one.bin")
    assert (series.status, series.err) == (0, "")
    assert series.files["f_001.bin"] == single.files["one.bin"]


def test_nothing_is_written_over_a_model(run: Any) -> None:
    found = run(f"{SCENE} -model model.pdb -floatfile model.pdb")
    assert (found.status, found.err) == (
        9,
        "nanobrag: -floatfile: model.pdb is the file of -model too; choose another file name\n",
    )


PDB = (ROOT / "examples" / "model.pdb").read_text()
HEAD, ATOM = PDB.splitlines()[:2]
BAD = [
    ("-model bad.pdb", PDB[:60000], "bad.pdb: line 741: the file is truncated: it ends within an atom"),
    ("-model bad.pdb", f"{HEAD}\n{ATOM[:30]}   abc  {ATOM[38:]}\nEND\n", "bad.pdb: line 2: x is 'abc', not a number"),
    ("-model bad.pdb", ATOM + "\nEND\n", "bad.pdb: no unit cell in the file; add one"),
    ("-model bad.pdb", f"{HEAD[:55]}\n{ATOM}\nEND\n", "bad.pdb: no space group in the file, or an unknown one"),
    ("-model bad.pdb", f"{HEAD[:55]}Q 9 9 9\n{ATOM}\nEND\n", "bad.pdb: no space group in the file, or an unknown one"),
    ("-model bad.pdb", f"{HEAD.replace('90.00', '10.00', 2)}\n{ATOM}\nEND\n", "bad.pdb: no unit cell has"),
    ("-model bad.pdb", f"{HEAD}\n{ATOM[:12]} QX {ATOM[16:76]}QX\nEND\n", "bad.pdb: atom 1 (QX of ALA 1): its element"),
    ("-model bad.pdb", f"{HEAD}\nEND\n", "bad.pdb: no atoms in the file"),
    ("-model bad.pdb", "", "bad.pdb: "),
    ("-model bad.cif", "data_x\n_cell.length_a 10\nloop_\n_atom_site.id\n_atom_site.type_symbol\n1 C 2\n", "bad.cif: "),
    ("-model bad.txt", "1 2 3 4\n", "bad.txt: "),
    ("-model data.mtz", "", "data.mtz: no atoms in the file"),
    ("-model missing.pdb", "", "missing.pdb: unable to open: No such file or directory"),
    ("-hkl bad.mtz", "MTZ ", "bad.mtz: truncated or corrupt MTZ file"),
    ("-hkl bad.mtz", "1 2 3 4\n", "bad.mtz: not an MTZ file"),
    ("-hkl bad.cif", CIF + "1 2 3\n", "bad.cif: truncated or corrupt CIF file"),
    ("-hkl bad.cif", CIF.replace("_cell.length_a 40\n", "") + rows(), "bad.cif: no unit cell"),
    ("-hkl bad.cif", CIF.replace("_symmetry.space_group_name_H-M 'P 1'\n", "") + rows(), "bad.cif: no space group"),
    ("-hkl bad.cif", "data_x\n_cell.length_a 40\n", "bad.cif: no table of merged reflections"),
    ("-hkl missing.mtz", "", "missing.mtz: unable to open: No such file or directory"),
    (
        "-hkl data.mtz -mtz_column FOBS",
        "",
        "-mtz_column: data.mtz has no column 'FOBS'; the columns are: H (H), K (H), L (H), F (F), SIGF (Q), FP (F)",
    ),
    ("-hkl data.mtz -mtz_column SIGF", "", "-mtz_column: column 'SIGF' of data.mtz has type Q; give amplitudes"),
    ("-hkl P1.hkl -cell 40 -mtz_column F", "", "-mtz_column: P1.hkl is a text table of h k l F"),
    ("-cell 40 -default_F 1 -mtz_column F", "", "-mtz_column: there is no file to take a column from"),
    ("-cell 40 -default_F 1 -model_dmin 2", "", "-model_dmin: there is no model"),
    ("-hkl data.mtz -model model.pdb", "", "-model: the structure factors come from data.mtz already"),
    ("-model model.pdb -model_dmin 0", "", "-model_dmin: 0 is not positive"),
    ("-model model.pdb -model_dmin 0.05", "", "-model_dmin: 0.05 A is too fine for this cell"),
]


@pytest.mark.parametrize(("words", "content", "message"), BAD)
def test_one_line_and_nothing_written(words: str, content: str, message: str, run: Any) -> None:
    name = words.split()[1]
    if content or "bad" in name:
        run.more[name] = content
    found = run(f"{SCENE} {words}")
    flag = words.split()[0] + " " if message.startswith(name) else ""
    assert found.err.startswith(f"nanobrag: {flag}{message}")
    assert found.err.count("\n") == 1
    assert found.status == 9
    assert set(found.files) <= {name}


@pytest.mark.parametrize("size", [10, 2000, -100])
def test_mtz_files_that_were_cut_off(size: int, run: Any, tmp_path: Path) -> None:
    whole = (run("-h").folder / "data.mtz").read_bytes()
    (tmp_path / "cut.mtz").write_bytes(whole[:size])
    found = run(f"{SCENE} -hkl {tmp_path}/cut.mtz")
    assert (found.status, found.files) == (9, {})
    assert found.err.startswith(f"nanobrag: -hkl {tmp_path}/cut.mtz: truncated or corrupt MTZ file (")
    assert found.err.count("\n") == 1


class TestRangeOfInterpolation:
    """specs: structure_factors 5; deviations D03."""

    @pytest.mark.parametrize("name", ["defect_interp_out_of_range", "defect_interp_late"])
    def test_the_warning_of_the_c_program(self, name: str, run: Any) -> None:
        folder = ROOT / "tests" / "golden_data"
        lines = (folder / "cases.json").read_text().splitlines()
        (case,) = (json.loads(line.rstrip(",")) for line in lines if f'"id":"{name}"' in line)
        words = [str(folder / word) if word.startswith("inputs/") else word for word in case["args"]]
        found = run.words([*words, "-nopgm", "-noprogress"])
        printed = found.out.splitlines()
        place = next(i for i, line in enumerate(printed) if "three point" in line)
        assert [line.rstrip() for line in printed[place : place + 2]] == case["stats"]["warnings"]
        assert printed[place].endswith(" ")
        assert found.out.count("further warnings") == 1
        assert found.err == ""

    def test_quiet_runs_say_it_in_one_line(self, run: Any) -> None:
        found = run.small("-hkl P1.hkl -interpolate -distance 30 -quiet")
        assert found.out == ""
        assert found.err.startswith("nanobrag: warning: out of range for three point interpolation: h,k,l,")
        assert found.err.count("\n") == 1

    def test_a_series_says_it_once(self, run: Any) -> None:
        found = run.small("-hkl P1.hkl -interpolate -distance 30 -frames 3 -osc 1 -floatfile f_###.bin")
        assert found.status == 0
        assert found.out.count("three point interpolation") == 1

    @pytest.mark.parametrize("words", ["-interpolate -distance 400", "-nointerpolate -distance 30"])
    def test_no_warning_without_need(self, words: str, run: Any) -> None:
        assert "three point" not in run.small(f"-hkl P1.hkl {words}").out


def test_the_example_model_in_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processor time of this process, which has imported torch; the process alone takes about one second more."""
    monkeypatch.chdir(tmp_path)
    before = os.times()
    words = (
        f"-model {ROOT}/examples/model.pdb -lambda 1 -N 20 -distance 200 -detpixels 1024 -nexus out.nxs -png out.png"
    )
    assert main(words.split()) == 0
    after = os.times()
    assert after.user + after.system - before.user - before.system < 10.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.nxs", "out.png"]
