"""Sensor thickness and absorption, structure-factor tables and their interpolation, sub-pixels, regions and masks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nanobrag_torch.parity.fuzz_files import smv

FLAT = "-xds -cell 30 -N 1 -default_F 10 -nointerpolate -nopolar -lambda 1 -oversample 1 -nonoise -nopgm "
CAMERA = "-pixel 4 -distance 2000 -detpixels 10 "


@pytest.mark.parametrize(("thick", "depth"), [(100.0, 300.0), (450.0, 300.0), (1000.0, 50.0)])
def test_two_layers_with_factors_of_their_own_capture_what_a_sensor_does(draw, thick, depth):
    """Far away the ray is straight on: Σκ = 1 - exp(-t/depth)."""
    bare = draw(FLAT + CAMERA).image
    sensor = draw(FLAT + CAMERA + f"-detector_thick {thick} -detector_abs {depth} -oversample_thick").image
    assert float(sensor.sum() / bare.sum()) == pytest.approx(1 - math.exp(-thick / depth), rel=2e-4)


@pytest.mark.parametrize(("steps", "fraction"), [("", 0.478), ("2", 0.466), ("3", 0.435), ("5", 0.408), ("1", 0.466)])
def test_layers_without_their_own_factors(draw, steps, fraction):
    """D30, D63: the sum of all layers times the last one's fraction; fractions as measured with the original."""
    count = f"-detector_thicksteps {steps}" if steps else ""
    bare = draw(FLAT + CAMERA).image
    sensor = draw(FLAT + CAMERA + f"-detector_thick 100 -detector_abs 100 {count}").image
    assert float(sensor.sum() / bare.sum()) == pytest.approx(fraction, abs=2e-3)


@pytest.mark.parametrize(
    "off", ["-detector_abs inf -detector_thick 100", "-detector_thick 100 -detector_abs 0", "-detector_thick 0"]
)
def test_absorption_switched_off(draw, off):
    assert np.array_equal(draw(FLAT + CAMERA + off).image, draw(FLAT + CAMERA).image)


def test_a_tilted_sensor_captures_more(draw):
    straight, tilted = (
        draw(FLAT + CAMERA + f"-detector_thick 100 -detector_abs 300 -adxv -detector_roty {angle}").image.sum()
        / draw(FLAT + CAMERA + f"-adxv -detector_roty {angle}").image.sum()
        for angle in (0, 60)
    )
    assert tilted > 1.3 * straight


def test_interpolation_reproduces_a_plane(draw):
    """F = 50 + h - 2k + 3l is a cubic too: a cell alone shows F² at its own fractional indices."""
    table = "".join(
        f"{h} {k} {l} {50 + h - 2 * k + 3 * l}\n" for h in range(-9, 10) for k in range(-9, 10) for l in range(-9, 10)
    )
    words = (
        "-xds -hkl ../inputs/plane.hkl -cell 9 10 11 -N 1 -interpolate -nopolar -lambda 1 -distance 50 -pixel 2 "
        "-detpixels 20 -oversample 1 -nonoise -nopgm"
    )  # fmt: skip
    image = draw(words, {"plane.hkl": table}).image
    along = (np.arange(20) + 0.5) * 2 - 20
    slow, fast = np.meshgrid(along, along, indexing="ij")
    position = np.stack([fast, slow, np.full_like(fast, 50.0)], axis=-1)
    radius = np.linalg.norm(position, axis=-1)
    q = position / radius[..., None] - np.array([0, 0, 1.0])
    amplitude = 50 + 9 * q[..., 0] - 20 * q[..., 1] + 33 * q[..., 2]
    np.testing.assert_allclose(image, amplitude**2 * 4 * 50 / radius**3, rtol=1e-5)


def test_interpolation_passes_through_the_reflections(draw):
    """At whole indices both look-ups agree: the beam pixel sees F(000)."""
    table = {
        "t.hkl": "".join(
            f"{h} {k} {l} {abs(5 * h + 3 * k - l) + 7}\n"
            for h in range(-4, 5)
            for k in range(-4, 5)
            for l in range(-4, 5)
        )
    }
    words = "-xds -hkl ../inputs/t.hkl -cell 20 -N 3 -lambda 1 -distance 80 -pixel 1 -detpixels 21 "
    words += "-oversample 1 -nonoise -nopgm "
    on, off = (draw(words + flag, table).image for flag in ("-interpolate", "-nointerpolate"))
    assert on[10, 10] == pytest.approx(off[10, 10], rel=1e-6)
    assert not np.allclose(on, off)


@pytest.mark.parametrize(
    ("counts", "on"), [("-N 2", True), ("-N 3", False), ("-Na 1 -Nb 9 -Nc 9", True), ("-samplesize 0.00002", True)]
)
def test_interpolation_chooses_itself(draw, counts, on):
    table = {
        "t.hkl": "".join(
            f"{h} {k} {l} {abs(h + k + l) + 1}\n" for h in range(-4, 5) for k in range(-4, 5) for l in range(-4, 5)
        )
    }
    words = f"-hkl ../inputs/t.hkl -cell 20 {counts} -lambda 1 -distance 80 -pixel 1 -detpixels 9 "
    words += "-oversample 1 -nonoise -nopgm"
    assert draw(words, table).printed["interpolation_auto"] is on


SCENE = (
    "-default_F 100 -cell 40 45 50 -N 4 -misset 10 20 30 -lambda 1.2 -distance 60 -pixel 0.4 -detpixels_x 24 "
    "-detpixels_y 20 -oversample 1 -nonoise -nopgm "
)


@pytest.mark.parametrize("roi", [(3, 10, 5, 12), (0, 0, 0, 0), (23, 23, 0, 19), (-1, -1, 4, 4), (20, 99, -5, 2)])
def test_a_region_is_a_part_of_the_whole(draw, roi):
    whole, part = draw(SCENE).image, draw(SCENE + "-roi " + " ".join(map(str, roi))).image
    xmin, xmax, ymin, ymax = (roi[0], roi[1] if roi[1] >= 0 else 23, roi[2], roi[3] if roi[3] >= 0 else 19)
    expected = np.zeros_like(whole)
    window = np.s_[max(ymin, 0) : ymax + 1, max(xmin, 0) : xmax + 1]
    expected[window] = whole[window]
    assert np.array_equal(part, expected)


def test_masked_pixels_are_skipped(draw):
    import random

    content = smv(random.Random(3), {"PIXEL_SIZE": "0.4"}, (24, 20), 0.3)
    keep = np.frombuffer(content[512:], np.uint16).reshape(20, 24) != 0
    drawn = draw(SCENE + "-mask ../inputs/mask.img", {"mask.img": content})
    assert np.array_equal(drawn.image, np.where(keep, draw(SCENE).image, 0.0))
    assert (drawn.counts("int_file")[~keep] == 40).all()


@pytest.mark.parametrize(
    "factors", ["", "-oversample_omega", "-oversample_polar", "-oversample_omega -oversample_polar"]
)
def test_sub_pixels_are_smaller_pixels(draw, factors):
    """3 x 3 sub-pixels with their own factors are the mean of nine times as many pixels, a ninth of Ω each."""
    fine = draw(SCENE + "-denzo -Xbeam 4 -Ybeam 4.8 -detpixels_x 72 -detpixels_y 60 -pixel 0.13333333333333333").image
    coarse = draw(SCENE + f"-denzo -Xbeam 4 -Ybeam 4.8 -oversample 3 {factors}").image
    summed = fine.astype(float).reshape(20, 3, 24, 3).sum(axis=(1, 3))
    # Cached factors are those of the first sub-pixel: within the change over a pixel.
    tolerance = 1e-5 if len(factors) > 20 else 0.02
    np.testing.assert_allclose(coarse, summed, rtol=tolerance)


@pytest.mark.parametrize(
    "name",
    [
        "samp_thick_default_layers", "samp_thick_4_layers", "samp_thick_alias", "samp_thick_no_abs", "samp_thick_over2",
        "samp_interp_auto_N1", "samp_interp_auto_N2", "samp_interp_auto_off", "samp_interp_forced",
        "samp_interp_forced_off", "samp_interp_mosaic_div", "samp_over1", "samp_over2", "samp_over3", "samp_over_auto",
        "samp_over2_everything", "samp_roi", "samp_roi_edge", "samp_mask", "samp_mask_header", "samp_mask_roi",
        "samp_dmin", "samp_dmin_disp", "samp_dmin_water", "defect_oversample_omega", "defect_oversample_polar",
        "defect_oversample_thick", "xtal_hkl_p1", "xtal_hkl_gaps", "xtal_hkl_negative", "xtal_hkl_sparse_50",
    ],
)  # fmt: skip
def test_stored(three_ways, name):
    three_ways(name)
