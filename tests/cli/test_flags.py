"""Every row of the flag table: its example, its effect, the order rules and the errors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanobrag_torch.cli.flags import FLAGS, GROUPS, Flag
from nanobrag_torch.cli.parse import find_flag, parse, parse_line
from nanobrag_torch.config import Config

ROWS = [pytest.param(flag, id=flag.name) for flag in FLAGS if not flag.action]

NO_EFFECT = {"-coherent", "-density", "-MW", "-stol", "-stolout"}
"""Accepted, and said to have no effect."""
ELSEWHERE = {
    "-physics",
    "-device",
    "-dtype",
    "-threads",
    "-memory",
    "-expt",
    "-however_long",
    "-traceback",
    "-scene",
    "-photons",
}
"""How to compute, not what: test_main.py shows that each arrives where it should. test_modern.py has -expt,
test_scene.py -scene, tests/detector/test_of_scene.py -photons."""
PRINTS = {"-printout", "-printout_pixel", "-progress", "-noprogress", "-quiet"}
"""Flags that change what is printed and no file."""

RECORDED = "Response of the detector"
COUNTED = "-noisefile noise.img -seed 7 -response photons"
CONTEXT = {
    "-png_rings": "-png out.png",
    "-dump": "-hkl P1.hkl",
    "-mtz_column": "-hkl data.mtz",
    "-model_dmin": "-model model.pdb -model_dmin 9",
    "-model_energies": "-model model.pdb -spectrum edge.txt",
    "-spectrum_merge": "-spectrum edge.txt",
    "-mosaic_law": "-mosaic 1 -mosaic_domains 5",
    "-N_off": "-gauss_xtal",
    "-diffuse_sigma": "-diffuse_gamma 40 40 40 -diffuse_sigma 0.1 0.1 0.1",
    "-diffuse_gamma": "-diffuse_sigma 0.5 0.5 0.5 -diffuse_gamma 9 9 9",
    "-diffuse_group": "-cell 40 40 50 -diffuse_sigma 0.5 0.1 0.5 -diffuse_gamma 40 40 40",
    "-block_sizes": "-block_spread 0.3",
    "-background_scale": "-background_image camera.img",
    "-ice_width": "-ice 5",
    "-absorb_sample": "-absorb_form box -absorb_size 0.1 0.2 0.3 -beam_form flat",
    "-absorb_material": "-absorb_form box -absorb_size 0.1 0.2 0.3 -beam_form flat",
    "-absorb_form": "-absorb_form ellipsoid -absorb_size 0.1 0.2 0.3 -absorb_sample 1",
    "-absorb_size": "-absorb_form box -absorb_size 0.3 0.2 0.1 -absorb_sample 1",
    "-beam_form": "-absorb_form box -absorb_size 0.3 0.2 0.1 -absorb_sample 1",
    "-beam_width": "-absorb_form box -absorb_size 0.3 0.2 0.1 -beam_form gauss",
    "-misset_seed": "-misset random -misset_seed 3",
    "-square_xtal": "-round_xtal",
    "-fudge": "-round_xtal",
    "-mosaic_dom": "-mosaic 1",
    "-mosaic_seed": "-mosaic 1",
    "-interpolate": "-hkl P1.hkl -nointerpolate",
    "-nointerpolate": "-hkl P1.hkl -interpolate",
    "-dispsteps": "-dispersion 2",
    "-hdivsteps": "-hdivrange 10",
    "-vdivsteps": "-vdivrange 10",
    "-divsteps": "-divergence 10",
    "-round_div": "-divergence 10 -divsteps 5 -square_div",
    "-square_div": "-divergence 10 -divsteps 5",
    "-exposure": "-flux 1e12",
    "-beamsize": "-flux 1e12",
    "-source_weights": "-sourcefile sources.txt",
    "-detsize": "-detpixels 0",
    "-detsize_f": "-detpixels 0",
    "-detsize_s": "-detpixels 0",
    "-Xclose": "-fdet_vector 0 0 1",
    "-Yclose": "-fdet_vector 0 0 1",
    "-ORGX": "-xds",
    "-ORGY": "-xds",
    "-pivot": "-fdet_vector 0 0 1 -detector_roty 10",
    "-mosflm": "-xds",
    "-odet_vector": "-fdet_vector 1 0 0 -sdet_vector 0 1 0 -beam_vector 0 0 1 -odet_vector 0 0.6 0.8",
    "-beam_vector": "-fdet_vector 1 0 0 -sdet_vector 0 1 0 -odet_vector 0 0 1 -beam_vector 0 0.6 0.8",
    "-polar_vector": "-polar 0.9",
    "-spindle_axis": "-phi 20 -fdet_vector 0 0 1",
    "-twotheta_axis": "-twotheta 10 -fdet_vector 0 0 1",
    "-detector_abs": "-detector_thick 450",
    "-detector_thicksteps": "-detector_thick 450",
    "-phisteps": "-osc 5",
    "-oversample_thick": "-oversample 2 -detector_thick 450 -detector_abs 300",
    "-oversample_polar": "-oversample 2",
    "-oversample_omega": "-oversample 2",
    "-dmin": "-distance 10",
    "-roi": "-detpixels 300 -pixel 0.2",
    "-nopgm": "-pgmfile grey.pgm",
    "-pgmscale": "-pgmfile grey.pgm",
    "-seed": "-noisefile noise.img -seed 7",
    "-nonoise": "-noisefile noise.img",
    "-frames": "-osc 2 -floatfile f.bin",
    "-printout_pixel": "-detpixels_f 101 -detpixels_s 201 -roi 100 100 200 200",
    "-noprogress": "-progress",
    "-tolerance": "-fluence 1e21",
    "-response": "-noisefile noise.img -seed 7",
    **dict.fromkeys((flag.name for flag in GROUPS[RECORDED][1:]), COUNTED),
    "-beamstop": f"{COUNTED} -pixel 1 -detpixels 48",
    "-noparallax": f"{COUNTED} -sensor Si -distance 20",
    "-sensor_thick": f"{COUNTED} -sensor Si",
    "-beamstop_edge": f"{COUNTED} -pixel 1 -detpixels 48 -beamstop 2",
    "-beamstop_transmission": f"{COUNTED} -beamstop 100",
    "-calib_seed": f"{COUNTED} -calibration 0.1",
    "-dead_time_law": f"{COUNTED} -dead_time 1e8 -dead_time_law nonparalyzable",
    "-dead_time": f"{COUNTED} -exposure 1e-6",
    "-psf_fwhm": f"{COUNTED} -psf gauss",
    "-bits": f"{COUNTED} -gain 1000 -bits 8",
    "-dead_pixels": f"{COUNTED} -detpixels 60",
    "-hot_pixels": f"{COUNTED} -detpixels 60",
}
"""Words before a flag that make its effect possible."""


def said(config: Config) -> dict[str, Any]:
    """Every field of a configuration as {`component.field`: value}."""
    return {
        f"{part}.{name}": value
        for part in Config.__dataclass_fields__
        for name, value in vars(getattr(config, part)).items()
    }


@pytest.mark.parametrize("flag", ROWS)
def test_example_gives_its_config(flag: Flag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header: dict[str, Any] = {}
    monkeypatch.setattr("nanobrag_torch.cli.parse._header", lambda path, kind, notes: header)
    assert said(parse(flag.example_words)) == {**said(parse([])), **flag.gives}


@pytest.mark.parametrize("flag", ROWS)
def test_every_spelling_works_with_one_and_two_dashes(flag: Flag) -> None:
    for spelling in flag.spellings:
        for word in (spelling.rstrip("*"), "-" + spelling.rstrip("*")):
            assert find_flag(word) is flag
        longer = spelling.rstrip("*") + "_and_more"
        if spelling.endswith("*"):
            assert find_flag(longer) is flag
        else:
            assert find_flag(longer) is not flag


@pytest.mark.parametrize("flag", ROWS)
def test_row_is_complete(flag: Flag) -> None:
    assert flag.help
    assert find_flag(flag.example_words[-1 - len(flag.example_words[1:])]) is flag
    assert set(flag.fields) >= set(flag.gives) - {"detector.convention", "detector.pivot"}
    assert set(flag.gives) or flag.says
    assert all(name in said(Config()) for name in flag.fields)


@pytest.mark.parametrize("flag", [row for row in ROWS if row.id not in NO_EFFECT | ELSEWHERE])
def test_flag_changes_something(flag: Flag, run: Any) -> None:
    context = CONTEXT.get(flag.name, "")
    without, with_flag = run.small(context), run.small(f"{context} {flag.example}")
    assert (without.status, with_flag.status) == (0, 0), with_flag.err
    if flag.name in PRINTS:
        assert with_flag.files == without.files
        assert with_flag.out != without.out
        return
    assert with_flag.files != without.files
    if flag not in (*GROUPS["Output"], *GROUPS["Input files"], *GROUPS[RECORDED]):
        assert with_flag.files["floatimage.bin"] != without.files["floatimage.bin"]


@pytest.mark.parametrize("flag", [row for row in ROWS if row.id in NO_EFFECT])
def test_flag_without_effect_says_so(flag: Flag, run: Any) -> None:
    without, with_flag = run.small(), run.small(flag.example)
    assert with_flag.status == 0
    assert with_flag.files == without.files
    assert with_flag.out == without.out
    assert with_flag.err == f"nanobrag: {flag.name}: {flag.says}\n"


def test_values_of_pix0_vector_have_no_effect(run: Any) -> None:
    here, there = (run.small(f"-pix0_vector {values}") for values in ("1 2 3", "400 500 600"))
    assert here.files == there.files
    assert "not used" in here.err


def test_extensions_begin_with_no_starred_spelling() -> None:
    starred = [s[:-1] for flag in FLAGS if not flag.extension for s in flag.spellings if s.endswith("*")]
    names = [s for flag in FLAGS if flag.extension for s in flag.spellings]
    planned = ["-model", "-model_dmin", "-mtz_column", "-cbf", "-nexus", "-expt", "-frames", "-batch", "-spectrum"]
    for name in names + planned:
        assert not [prefix for prefix in starred if name.startswith(prefix)]


def test_no_spelling_belongs_to_two_rows() -> None:
    spellings = [s for flag in FLAGS for s in flag.spellings]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("word", ["-mosaics", "-mosaic_seeds", "-lamda", "-n", "-xbeam", "-Distance", "---cell", "-"])
def test_other_words_match_nothing(word: str) -> None:
    assert find_flag(word) is None


def given(line: str, name: str) -> Any:
    return said(parse(line.split()))[name]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("-distance 5 -distance 6", "detector.distance_mm", 6.0),
        ("-misset 1 2 3 -misset random", "crystal.misset_random", True),
        ("-misset 1 2 3 -misset random", "crystal.misset_deg", None),
        ("-misset random -misset 1 2 3", "crystal.misset_random", False),
        ("-misset random -misset_seed 5", "crystal.misset_random", True),
        ("-misset random_orientation", "crystal.misset_random", True),
        ("-polar 0.5 -nopolar", "beam.polarization", False),
        ("-nopolar -polar 0.5", "beam.polarization", True),
        ("-noisefile a -nonoise", "output.noise", False),
        ("-nonoise -noisefile a", "output.noise", True),
        ("-pgmfile a -nopgm", "output.pgm", False),
        ("-nopgm -pgmscale 2", "output.pgm", True),
        ("-interpolate -nointerpolate", "crystal.interpolate", False),
        ("-round_xtal -tophat_spots", "crystal.shape", "tophat"),
        ("-tophat_spots -square_xtal", "crystal.shape", "square"),
        ("-square_div -round_div", "beam.round_divergence", True),
        ("-lambda 2 -energy 12398.42", "beam.wavelength_A", 1.0),
        ("-energy 12398.42 -lambda 2", "beam.wavelength_A", 2.0),
        ("-noprogress -progress", "output.progress", True),
        ("-N 5 -Na 7", "crystal.Na", 7),
        ("-Na 7 -N 5", "crystal.Na", 5),
        ("-samplesize 1 -xtal_x 2", "crystal.sample_x_mm", 2.0),
        ("-divergence 3 -hdivrange 4", "beam.hdiv_range_mrad", 4.0),
        ("-divergence 3 -hdivrange 4", "beam.vdiv_range_mrad", 3.0),
        ("-cell 10 20 30 80 90 100 -cell 40", "crystal.cell_b", 20.0),
        ("-cell 10 20 -N 3", "crystal.cell_c", None),
        ("-N 8.0", "crystal.Na", 8),
        ("-detector_abs inf", "detector.attenuation_depth_um", math.inf),
        ("-detector_abs -1", "detector.attenuation_depth_um", -1.0),
        ("-phi -3e1", "sampling.phi_deg", -30.0),
        ("-curved_detector 3 -N 5", "crystal.Na", 5),
        ("-N 5 -curved_det", "detector.curved", True),
        ("-pivot sample", "detector.pivot", "SAMPLE"),
        ("-pivot the_sample_or_beam", "detector.pivot", "BEAM"),
        ("-mosflm -xds", "detector.convention", "XDS"),
        ("-xds -mosflm", "detector.convention", "MOSFLM"),
        ("-xds -fdet_vector 0 0 1", "detector.convention", "CUSTOM"),
        ("-pix0_vector_mm 1 2 3", "detector.convention", "CUSTOM"),
        ("-twotheta_axis 1 0 0", "detector.twotheta_deg", None),
        ("-twotheta_axis 1 0 0", "detector.pivot", None),
    ],
)
def test_order_and_forms(line: str, field: str, value: object) -> None:
    assert given(line, field) == value


PIVOTS = {
    "BEAM": ("-Xbeam 1", "-Ybeam 1", "-distance 1", "-pivot beam", "-mosflm", "-adxv", "-denzo", "-dials"),
    "SAMPLE": ("-Xclose 1", "-Yclose 1", "-ORGX 1", "-ORGY 1", "-close_distance 1", "-twotheta 1", "-xds"),
}


@pytest.mark.parametrize(("pivot", "fragment"), [(p, f) for p, fragments in PIVOTS.items() for f in fragments])
def test_last_pivot_flag_counts(pivot: str, fragment: str) -> None:
    other = "-twotheta 3" if pivot == "BEAM" else "-distance 3"
    assert given(f"{other} {fragment}", "detector.pivot") == pivot
    assert given(f"{fragment} {other}", "detector.pivot") != pivot


@pytest.mark.parametrize(
    ("fragment", "convention", "pivot"),
    [
        ("", "mosflm", "direct beam spot"),
        ("-pivot sample", "mosflm", "direct beam spot"),
        ("-twotheta 10", "mosflm", "direct beam spot"),
        ("-close_distance 50", "mosflm", "direct beam spot"),
        ("-ORGX 5", "mosflm", "direct beam spot"),
        ("-Xclose 1", "mosflm", "direct beam spot"),
        ("-Xbeam 1", "mosflm", "direct beam spot"),
        ("-xds", "xds", "sample"),
        ("-xds -pivot beam", "xds", "sample"),
        ("-dials", "dials", "sample"),
        ("-dials -Xbeam 1", "dials", "sample"),
        ("-adxv -twotheta 10", "adxv", "direct beam spot"),
        ("-denzo -ORGX 3", "denzo", "direct beam spot"),
        ("-fdet_vector 0 0 1", "custom", "direct beam spot"),
        ("-fdet_vector 0 0 1 -pivot sample", "custom", "sample"),
        ("-fdet_vector 0 0 1 -twotheta 10", "custom", "sample"),
        ("-fdet_vector 0 0 1 -twotheta 10 -distance 60", "custom", "direct beam spot"),
        ("-xds -fdet_vector 1 0 0", "custom", "sample"),
        ("-fdet_vector 0 0 1 -mosflm", "mosflm", "direct beam spot"),
    ],
)
def test_convention_and_pivot_as_measured(fragment: str, convention: str, pivot: str, run: Any) -> None:
    """The table of specs: geometry 5."""
    scene = "-cell 40 -default_F 50 -N 4 -detpixels 4 -pixel 4 -oversample 1 -nonoise -nopgm"
    out = run(f"{scene} {fragment}").out
    assert f"{convention} convention selected." in out
    assert f"pivoting detector around {pivot}\n" in out


@pytest.mark.parametrize("convention", ["-adxv", "-mosflm", "-denzo", "-xds", "-dials", "-fdet_vector 0 0 1"])
@pytest.mark.parametrize("fragment", ["-Xbeam 20", "-Ybeam 21", "-ORGX 4", "-ORGY 5", "-Xclose 20", "-Yclose 19"])
def test_which_beam_centre_moves_the_image(convention: str, fragment: str, run: Any) -> None:
    """The second table of specs: geometry 5."""
    custom = convention.startswith("-fdet")
    moves = custom or fragment[1] == ("O" if convention in ("-xds", "-dials") else fragment[1])
    if convention in ("-adxv", "-mosflm", "-denzo"):
        moves = "beam" in fragment
    elif not custom:
        moves = "ORG" in fragment
    before, after = run.small(convention), run.small(f"{convention} {fragment}")
    assert (before.files["floatimage.bin"] != after.files["floatimage.bin"]) == moves


def test_never_existing_flags_swallow_one_number() -> None:
    parsed = parse_line(["-dispstep", "5", "--hdiv", "3", "-vdiv", "-N", "2"])
    assert parsed.config.crystal.Na == 2
    assert len(parsed.notes) == 3
    assert "-dispstep" in parsed.notes[0]


def test_dump_is_read_where_it_lies(run: Any, tmp_path: Path) -> None:
    dump = tmp_path / "cache.bin"
    dump.write_bytes(b"-1 1 -1 1 -1 1\n\f" + np.arange(4.0**3).tobytes())
    outcome = run.small(f"-dump {dump}")
    assert f"reading Fs from {dump}" in outcome.out
    assert outcome.files["floatimage.bin"] != run.small().files["floatimage.bin"]
