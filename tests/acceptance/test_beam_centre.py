"""Where the direct beam falls: conventions, half pixels, sizes, offsets, equivalent ways of saying it."""

from __future__ import annotations

import numpy as np
import pytest

# A gaussian spot of the direct beam alone: its centre of mass is where the beam falls.
SPOT = "-hkl ../inputs/beam.hkl -cell 100 -N 5 -gauss_xtal -lambda 1 -distance 1000 -oversample 1 -nonoise -nopgm"
FILES = {"beam.hkl": "0 0 0 100\n"}


@pytest.fixture
def spot(draw):
    """Place of the beam (fast, slow) in mm."""
    return lambda words: draw(f"{SPOT} {words}", FILES).beam_spot()


@pytest.mark.parametrize("pixels", [40, 60, 80])
def test_the_default_centre_scales_with_the_detector(spot, pixels):
    """MOSFLM: half the length plus a pixel; it follows the size."""
    assert spot(f"-detpixels {pixels} -pixel 0.5") == pytest.approx((pixels * 0.25 + 0.5,) * 2, abs=0.01)


@pytest.mark.parametrize("pixel", [0.25, 0.5, 1.0])
def test_a_centre_in_mm_does_not_depend_on_the_pixel_size(spot, pixel):
    place = spot(f"-denzo -detsize 32 -pixel {pixel} -Xbeam 14 -Ybeam 17")
    assert place == pytest.approx((17.0, 14.0), abs=0.01)


@pytest.mark.parametrize(("shift_f", "shift_s"), [(5.0, 0.0), (0.0, -5.0), (-3.25, 4.75)])
def test_an_offset_moves_the_beam_by_as_much(spot, shift_f, shift_s):
    words = f"-adxv -detpixels 60 -pixel 0.5 -Xbeam {15 + shift_f} -Ybeam {15 - shift_s}"
    assert spot(words) == pytest.approx((15 + shift_f, 15 + shift_s), abs=0.01)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-mosflm -Xbeam 14 -Ybeam 17", (17.25, 14.25)),
        ("-denzo -Xbeam 14 -Ybeam 17", (17.0, 14.0)),
        ("-adxv -Xbeam 14 -Ybeam 17", (14.0, 30.0 - 17.0)),
        ("-xds -ORGX 28.5 -ORGY 33.5", (14.0, 16.5)),
        ("-dials -ORGX 28.5 -ORGY 33.5", (14.0, 16.5)),
        ("-fdet_vector 0 0 1 -Xbeam 14 -Ybeam 17", (14.0, 17.0)),
        ("-mosflm", (15.5, 15.5)),
        ("-denzo", (15.25, 15.25)),
        ("-adxv", (15.25, 30.0 - 14.75)),
        ("-xds", (15.0, 15.0)),
        ("-dials", (15.0, 15.0)),
        ("-fdet_vector 0 0 1", (15.0, 15.0)),
    ],
)
def test_half_pixel_shifts_of_each_convention(spot, words, expected):
    """specs: geometry 4: pixels of 0.5 mm, 60 a side."""
    assert spot(f"-detpixels 60 -pixel 0.5 {words}") == pytest.approx(expected, abs=0.01)


CRYSTAL = "-default_F 100 -cell 40 45 50 -N 4 -misset 10 20 30 -lambda 1.2 -distance 60 -oversample 1 -nonoise -nopgm "
DETECTOR = "-detpixels_f 24 -detpixels_s 20 -pixel 0.4 "


@pytest.mark.parametrize(
    "ways",
    [
        ("-mosflm -Xbeam 3.8 -Ybeam 4.8", "-denzo -Xbeam 4 -Ybeam 5", "-mosflm -Xbeam 3.8 -Ybeam 4.8 -ORGX 3"),
        ("-xds -ORGX 9 -ORGY 12.5", "-dials -ORGX 9 -ORGY 12.5"),
        (
            "-fdet_vector 0 0 1 -Xbeam 3.4 -Ybeam 4.8 -pivot sample",
            "-fdet_vector 0 0 1 -Xclose 3.4 -Yclose 4.8",
            "-fdet_vector 0 0 1 -ORGX 9 -ORGY 12.5",
            "-fdet_vector 0 0 1 -Xbeam 3.4 -Ybeam 4.8 -Xclose 1 -ORGY 2 -pivot sample",
        ),
        ("-adxv -Xbeam 4.8 -Ybeam 4", "-fdet_vector 1 0 0 -sdet_vector 0 -1 0 -beam_vector 0 0 1 -odet_vector 0 0 1 "
         "-polar_vector 1 0 0 -spindle_axis 1 0 0 -Xbeam 4.8 -Ybeam 4"),
    ],
)  # fmt: skip
def test_ways_to_say_the_same_centre(draw, ways):
    images = [draw(CRYSTAL + DETECTOR + words).image for words in ways]
    for image in images[1:]:
        np.testing.assert_allclose(image, images[0], rtol=1e-5, atol=1e-7 * images[0].max())


@pytest.mark.parametrize(
    "name",
    [
        "conv_mosflm_default", "conv_mosflm_center", "conv_denzo_center", "conv_adxv_default", "conv_adxv_center",
        "conv_xds_default", "conv_xds_org", "conv_xds_xbeam_no_effect", "conv_xds_xclose_no_effect",
        "conv_dials_default", "conv_custom_xclose", "conv_custom_org", "basic_detsize_fraction", "basic_detpixels_fs",
    ],
)  # fmt: skip
def test_stored(three_ways, name):
    three_ways(name)
