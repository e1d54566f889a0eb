"""The numbers of the specification: reference rows of specs/intensity.md 8, measurements of specs/deviations.md."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from nanobrag_torch import Experiment, Image, Simulator, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import NanobragWarning, TableRangeWarning
from nanobrag_torch.kernels.backends import BACKENDS
from nanobrag_torch.pipeline.trace import trace_pixel

CPU = torch.device("cpu")
SERVING = [name for name, backend in BACKENDS.items() if backend.why_not(CPU, torch.float64, "square", False) is None]
WAYS = [None, "reference"] if len(SERVING) > 1 else ["reference"]
"""The best way on this machine, and the definition."""

EVERY_WAY = pytest.mark.parametrize("backend", WAYS, ids=str)

COMMON = "-detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 -lambda 1.2 -oversample 1 "
E0 = "-default_F 100 -cell 40 45 50 -N 4 " + COMMON


def experiment(line: str, physics: str = "nanobragg") -> Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(parse([*line.split(), "-dump", "no such dump"]), physics)


def drawn(line: str, backend: str | None = None, **way) -> Image:
    return Simulator(experiment(line), backend=backend, **way).run(solid_angle=True)


def array(line: str, backend: str | None = None, **way) -> np.ndarray:
    return drawn(line, backend, **way).array.numpy()


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> str:
    """t.hkl of specs: intensity 8: F = 10 + ((7h + 3k + 5l) mod 11)."""
    path = tmp_path_factory.mktemp("tables") / "t.hkl"
    rows = [
        f"{h} {k} {l} {10 + (7 * h + 3 * k + 5 * l) % 11}"
        for h in range(-6, 7)
        for k in range(-7, 8)
        for l in range(-8, 9)
    ]
    path.write_text("\n".join(rows) + "\n")
    return str(path)


# added flags | max_I | at (F, S) | mean | rms | rmsd | (0,0) | (13,5) | (19,15), pixels as (fast, slow)
ROWS = """
-cell 40 45 50 -N 4 | 743.624 | 0.003 0.0034 | 103.299 | 208.476 | 180.992 | 198.296661 | 29.6282654 | 6.55925941
-cell 40 45 50 80 85 95 -N 4 -polar 0.8 | 1729.45 | 0.003 0.005 | 50.2225 | 196.24 | 189.684 | 0.740855515 | 60.5728645 | 0.0116455862
-cell 40 45 50 -N 4 -misset 10 20 30 -oversample 3 | 583.63 | 0.00633333 0.00593333 | 27.5838 | 84.6248 | 79.9881 | 0.105779104 | 3.27437735 | 46.2361679
-cell 40 45 50 -misset_seed 12 -misset random -N 4 | 1203.96 | 0.0006 0.0006 | 35.7978 | 123.608 | 118.293 | 15.3380527 | 34.0790596 | 0.00623790035
-cell 40 45 50 -N 4 -misset 10 20 30 -mosaic 1 -mosaic_domains 5 -mosaic_seed 7 | 854.278 | 0.0014 0.0014 | 25.3084 | 93.0485 | 89.5293 | 0.000229650905 | 10.9438057 | 52.852684
-cell 40 45 50 -N 4 -misset 10 20 30 -phi 5 -osc 2 -phisteps 4 | 1202.14 | 0.0062 0.0058 | 25.2218 | 120.207 | 117.523 | 0.0685331225 | 0.248475969 | 1.54734123
-cell 40 45 50 -N 4 -divergence 20 -divsteps 5 -dispersion 3 -dispsteps 3 | 218.206 | 0.0042 0.0034 | 101.01 | 119.975 | 64.4911 | 77.514473 | 146.59726 | 19.2497711
-cell 40 45 50 -N 5 -round_xtal | 1525.21 | 0.003 0.0034 | 165.073 | 404.649 | 369.332 | 314.667694 | 18.1085129 | 1.81928802
-cell 40 45 50 80 85 95 -N 5 -gauss_xtal | 6753.33 | 0.003 0.005 | 536.379 | 1187.29 | 1058.8 | 0.441055983 | 1057.22314 | 26.7195816
-cell 40 45 50 80 85 95 -N 5 -tophat_spots -fudge 0.01 | 6944.14 | 0.0042 0.0034 | 6909.77 | 6920.63 | 23.3427 | 6833.20166 | 6933.03955 | 6874.32324
-cell 40 45 50 -N 4 -xds -twotheta 15 | 754.379 | 0.0022 0.0058 | 42.7591 | 138.999 | 132.237 | 2.64547634 | 0.081339106 | 382.286743
-cell 40 45 50 -N 4 -adxv -detector_rotx 5 -detector_roty 7 -detector_rotz 9 -twotheta 3 | 1803.92 | 0.0042 0.0034 | 97.3188 | 264.602 | 245.995 | 1.57128894 | 15.0975485 | 2.94926119
-cell 40 45 50 -N 4 -dials -ORGX 4 -ORGY 7 | 1820.44 | 0.0014 0.0026 | 66.5668 | 270.315 | 261.964 | 0.00231796945 | 0.000178868067 | 0.00358843873
-cell 40 45 50 -N 4 -denzo -Xbeam 2 -Ybeam 3 | 776.913 | 0.003 0.0018 | 103.646 | 208.625 | 180.964 | 584.908752 | 47.4492226 | 0.596082151
-cell 40 45 50 -N 4 -fdet_vector 0 0 1 -Xbeam 3 -Ybeam 4 -pivot sample -detector_roty 10 | 119.913 | 0.0078 0.0038 | 7.21054 | 18.831 | 17.3911 | 14.2633677 | 0.891225755 | 11.286705
-cell 40 45 50 -N 4 -curved_det -twotheta 10 | 928.634 | 0.0074 0.0022 | 96.1547 | 219.478 | 197.22 | 2.6834054 | 125.685867 | 4.84661674
-cell 40 45 50 -N 4 -point_pixel | 4.64894e+09 | 0.003 0.0034 | 6.46409e+08 | 1.30439e+09 | 1.13238e+09 | 1.24437018e+09 | 185252768 | 41099548
-cell 40 45 50 -N 4 -detector_thick 100 -detector_abs 300 -detector_thicksteps 4 | 224.007 | 0.003 0.0034 | 31.1876 | 63.0648 | 54.7855 | 60.0059853 | 8.96202087 | 1.95711398
-cell 40 45 50 -N 4 -detector_thick 100 -detector_abs 300 -detector_thicksteps 4 -oversample 2 -polar 0.9 -divergence 20 | 147.783 | 0.0023 0.0043 | 30.7461 | 52.3891 | 42.3831 | 0.347439736 | 8.47559071 | 70.0341187
-cell 40 45 50 -N 4 -water 10 -fluence 1e24 | 0.624502 | 0.003 0.0034 | 0.617012 | 0.617983 | 0.00255539 | 0.61093843 | 0.618502259 | 0.613082945
-cell 40 45 50 -N 4 -dmin 20 | 743.624 | 0.003 0.0034 | 80.4415 | 190.853 | 173.014 | 0 | 29.6282654 | 0
-cell 40 45 50 -N 4 -roi 3 10 5 12 | 743.624 | 0.003 0.0034 | 118.622 | 237.055 | 204.696 | 0 | 0 | 0
-cell 40 45 50 -N 4 -nopolar -flux 1e12 -exposure 0.1 -beamsize 0.05 | 2.36264e-07 | 0.003 0.0034 | 3.28512e-08 | 6.62906e-08 | 5.75488e-08 | 6.32397104e-08 | 9.41474365e-09 | 2.08871631e-09
-hkl t.hkl -cell 10 12 13 -N 2 -misset 10 20 30 | 0.298346 | 0.0042 0.0038 | 0.0701314 | 0.10973 | 0.0843022 | 0.00235199207 | 0.134094611 | 0.00100842188
-hkl t.hkl -cell 10 12 13 -N 2 -misset 10 20 30 -nointerpolate | 0.278437 | 0.0046 0.0038 | 0.0583729 | 0.093543 | 0.0730221 | 0.00259328191 | 0.11333926 | 0.00124324567
-hkl t.hkl -cell 40 45 50 -N 4 -misset 10 20 30 -oversample 2 | 17.3779 | 0.0059 0.0023 | 0.557666 | 1.90635 | 1.82269 | 0.00176270073 | 0.104373649 | 0.482692122
"""  # noqa: E501
TABLE = [[part.strip() for part in line.split("|")] for line in ROWS.strip().splitlines()]


@EVERY_WAY
@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_reference_values(row, backend, table):
    """Printed numbers to their digits, pixels to the rounding of single precision."""
    flags, max_I, at, mean, rms, rmsd, *pixels = row
    default = "" if "-hkl" in flags else "-default_F 100 "
    image = drawn(COMMON + default + flags.replace("t.hkl", table), backend)
    found = image.statistics()
    assert f"{found.max_I:g}" == max_I
    assert " ".join(f"{x:g}" for x in found.max_at) == at
    assert [f"{x:g}" for x in (found.mean, found.rms, found.rmsd)] == [mean, rms, rmsd]
    values = image.numpy()[0]
    for (fast, slow), expected in zip(((0, 0), (13, 5), (19, 15)), pixels, strict=True):
        assert values[slow, fast] == pytest.approx(float(expected), rel=3e-7, abs=1e-9 * found.max_I)


# -- the numbers of specs/deviations.md: what is decided FIX, and what stays as measured


def total(line: str, backend: str | None = None) -> float:
    """The sum of the float image."""
    return float(drawn(line, backend).numpy()[0].astype(np.float64).sum())


MISSET = " -misset 10 20 30 "
SENSOR = " -detector_thick 100 -detector_abs 300"


@EVERY_WAY
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (MISSET + "-phi 0 -osc 10 -phisteps 2", "8112.76"),  # D01
        (MISSET + "-oversample 2", "8789.2"),  # D02, no flag
        (MISSET + "-oversample 2 -oversample_omega", "8789.45"),
        (MISSET + "-oversample 2 -oversample_polar", "8789.29"),
        (MISSET + "-oversample 2 -oversample_polar -oversample_omega", "8789.54"),
        (MISSET + SENSOR, "2133.59"),
        (MISSET + SENSOR + " -oversample_thick", "2327.06"),
        (MISSET + "-nopolar", "8201.23"),  # D07
        (MISSET + "-nopolar -oversample_polar", "8201.23"),
        (MISSET, "8192.15"),
        ("-water 10 -default_F 1e-20", "3.12707e+12"),  # D29
        ("-water 10 -default_F 1e-20 -oversample 2", "7.81691e+11"),
        ("-water 10 -default_F 1e-20 -fluence 1e24", "197.181"),
    ],
)
def test_sums(line, expected, backend):
    digits = len(expected.split("e")[0].replace(".", ""))
    assert float(f"{total(E0 + line, backend):.{digits}g}") == float(expected)


@EVERY_WAY
def test_a_phi_step_of_zero_is_turned_like_any_other(backend):
    """Deviation D01: a sweep over 0 and 5 degrees is the mean of the two stills, also when it ends at 0."""
    still = array(E0 + MISSET, backend)
    turned = array(E0 + MISSET + "-phi 5", backend)
    np.testing.assert_allclose(
        array(E0 + MISSET + "-phi 0 -osc 10 -phisteps 2", backend), (still + turned) / 2, rtol=1e-12
    )
    back = array(E0 + MISSET + "-phi -5", backend)
    np.testing.assert_allclose(
        array(E0 + MISSET + "-phi -5 -osc 10 -phisteps 2", backend), (back + still) / 2, rtol=1e-12
    )


@EVERY_WAY
def test_interpolation_beyond_the_table_is_the_default_and_stays_on(backend, table):
    """Deviation D03: 47 samples out of range."""
    line = f"-hkl {table} -default_F 12 -cell 20 24 26 -N 2 -misset 10 20 30 -pixel 2 -detpixels_x 20 -detpixels_y 16 "
    line += "-distance 60 -lambda 1.2 -oversample 1"
    with pytest.warns(TableRangeWarning):
        values = drawn(line, backend).numpy()[0]
    assert f"{values.astype(np.float64).sum():.3f}" == "579.378"
    assert f"{values[0, 0]:.9g}" == "0.495452344"
    nearest = drawn(line + " -nointerpolate", backend).numpy()[0]
    assert f"{nearest.astype(np.float64).sum():.3f}" == "598.902"
    assert f"{nearest[0, 0]:.8g}" == "1.2420715"


@EVERY_WAY
def test_captured_fraction_is_one_without_a_sensor(backend):
    """Deviations D08 and D09: -oversample_thick without a thickness; an infinite depth on either side of it."""
    plain = array(E0 + MISSET, backend)
    for added in (
        "-oversample_thick",
        "-detector_abs inf -detector_thick 100",
        "-detector_thick 100 -detector_abs inf",
        "-detector_abs 0 -detector_thick 100 -thicksteps 3 -oversample_thick",
    ):
        np.testing.assert_allclose(array(E0 + MISSET + added, backend), plain, rtol=1e-13)


@EVERY_WAY
def test_a_sweep_of_no_range_has_one_step(backend):
    """Deviation D20."""
    assert np.array_equal(array(E0 + "-osc 0 -phistep 0.1", backend), array(E0, backend))


@pytest.mark.parametrize(("steps", "fraction"), [("", "0.478"), ("2", "0.466"), ("3", "0.435"), ("5", "0.408")])
def test_cached_capture_fractions_are_those_measured(steps, fraction):
    """Deviations D30 and D63: 100 µm with a depth of 100 µm, truly 0.632."""
    added = " -detector_thick 100 -detector_abs 100" + (f" -thicksteps {steps}" if steps else "")
    assert f"{total(E0 + MISSET + added) / total(E0 + MISSET):.3f}" == fraction


@EVERY_WAY
@pytest.mark.parametrize(("cells", "amplitude"), [(5, 125.0), (7, 343.0), (10, 1000.0)])
def test_at_a_whole_index_the_fringes_have_their_limit(cells, amplitude, backend):
    """Deviation D47: hkl 3 0 -1 exactly."""
    line = f"-xds -cell 5 -N {cells} -lambda 1 -pixel 1 -detpixels_x 40 -detpixels_y 1 -distance 40 -ORGX 1 -ORGY 1 "
    line += "-default_F 1 -oversample 1"
    scene = experiment(line)
    taps = {f"{tap.place}.{tap.name}": tap.values for tap in trace_pixel(scene, 0, 30)}
    assert taps["term[0,0,0,0].hkl_rounded"] == (3.0, 0.0, -1.0)
    assert abs(taps["term[0,0,0,0].F_latt"][0]) == pytest.approx(amplitude, rel=1e-12)
    factor = taps["pixel.omega_pixel"][0] * taps["pixel.polar"][0]
    assert math.sqrt(array(line, backend)[0, 30] / factor) == pytest.approx(amplitude, rel=1e-9)


@EVERY_WAY
def test_near_a_whole_index_the_sphere_has_its_limit(backend):
    """Deviation D65: the pixel of the direct beam."""
    line = "-default_F 100 -cell 40 45 50 -N 4 -round_xtal -detpixels_x 21 -detpixels_y 17 -pixel 0.4 -distance 60 "
    line += "-lambda 1.2 "
    assert f"{array(line + '-oversample 1 -xds', backend)[8, 10]:.4f}" == "953.1825"
    assert f"{array(line + '-oversample 3', backend)[9, 11]:.3f}" == "690.834"


@EVERY_WAY
def test_dmin_takes_the_background_with_it(backend):
    """Deviation D54: 80 of 320 pixels."""
    assert int((array(E0 + "-water 10 -dmin 20", backend) == 0).sum()) == 80


def test_point_pixels_lack_the_area_of_a_pixel():
    """Deviation D46, where the obliquity is 1: at the direct beam."""
    line = E0 + "-xds -detpixels_x 21 -detpixels_y 17 "
    ratio = array(line + "-point_pixel")[8, 10] / array(line)[8, 10]
    assert ratio == pytest.approx(1 / 0.0004**2, rel=1e-12)


@pytest.mark.parametrize(
    ("cell", "cells", "shape", "width"),
    [
        (100, 10, "square", 90), (100, 10, "gauss", 94), (100, 10, "tophat", 128),
        (50, 4, "square", 456), (50, 4, "gauss", 1462), (50, 4, "tophat", 1970),
        (50, 20, "square", 90), (50, 20, "gauss", 12), (50, 20, "tophat", 16),
    ],
)  # fmt: skip
def test_widths_of_spots_are_those_measured(cell, cells, shape, width):
    """Deviation D27: full width at half maximum in pixels of 0.01 mm at 1 m, along a row through a peak."""
    flag = {"square": "-square_xtal", "gauss": "-gauss_xtal", "tophat": "-tophat_spots"}[shape]
    window = {100: 1001, 50: 2001}[cell]  # from half-way to the peak before to half-way to the next
    line = f"-xds -cell {cell} -N {cells} -lambda 1 -pixel 0.01 -detpixels_x {window} -detpixels_y 1 -distance 1000 "
    row = array(line + f"-default_F 1 -oversample 1 -nopolar {flag}")[0]
    assert int((row > row.max() / 2).sum()) == pytest.approx(width, abs=1)


@pytest.mark.parametrize(("added", "printed"), [("", "0.00409179"), (" -phisteps 4 -osc 1", "0.00102295")])
def test_the_printed_solid_angle_is_divided_as_measured(added, printed):
    """Deviation D39: 64 x 64 pixels, -oversample 2."""
    line = "-detpixels 64 -cell 100 -N 1 -default_F 1 -oversample 2" + added
    assert f"{drawn(line).statistics().solid_angle:g}" == printed
