"""How strong pixels are: powers of N and F, solid angle, polarization, fluence, units, extreme scales."""

from __future__ import annotations

import math

import numpy as np
import pytest

FLAT = "-xds -cell 30 -N 1 -default_F 10 -nointerpolate -lambda 1 -oversample 1 -nonoise -nopgm "
"""One cell with the same amplitude everywhere: pixel = F² p Ω."""


def bragg_pixel(draw, n: int, f: float) -> float:
    """The value of a single small pixel on the (1,0,0) reflection of a cell of 20 Å."""
    twotheta = 2 * math.degrees(math.asin(1 / 40))
    words = (
        f"-dials -cell 20 -N {n} -default_F {f} -nointerpolate -misset 0 {twotheta / 2:.12f} 0 -lambda 1 -distance 100 "
        f"-pixel 0.001 -detpixels 1 -twotheta {twotheta:.12f} -oversample 1 -nonoise -nopgm"
    )
    return float(draw(words).image[0, 0])


def slope(x: list[float], y: list[float]) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def test_peaks_grow_with_the_sixth_power_of_the_size(draw):
    counts = [2, 4, 8, 16, 32]
    assert slope(counts, [bragg_pixel(draw, n, 10.0) for n in counts]) == pytest.approx(6.0, abs=1e-6)


def test_peaks_grow_with_the_square_of_the_amplitude(draw):
    amplitudes = [1.0, 10.0, 100.0, 1000.0]
    assert slope(amplitudes, [bragg_pixel(draw, 5, f) for f in amplitudes]) == pytest.approx(2.0, abs=1e-6)


def positions(pixels: int, pixel: float, distance: float) -> np.ndarray:
    """[slow, fast, 3] pixel centres (mm) of a centred detector in the XDS frame."""
    along = (np.arange(pixels) + 0.5) * pixel - pixels * pixel / 2
    slow, fast = np.meshgrid(along, along, indexing="ij")
    return np.stack([fast, slow, np.full_like(fast, distance)], axis=-1)


@pytest.mark.parametrize(("pixel", "distance"), [(1.0, 50.0), (2.0, 50.0), (1.0, 150.0), (8.0, 40.0)])
def test_the_solid_angle_of_flat_pixels(draw, pixel, distance):
    """Ω = pixel² distance / R³, and the printed total is their sum."""
    drawn = draw(FLAT + f"-nopolar -pixel {pixel} -distance {distance} -detpixels 20")
    radius = np.linalg.norm(positions(20, pixel, distance), axis=-1)
    expected = pixel**2 * distance / radius**3
    np.testing.assert_allclose(drawn.image, 100.0 * expected, rtol=1e-6)
    assert drawn.printed["solid_angle_printed_sr"] == pytest.approx(expected.sum(), rel=1e-5)


def test_point_pixels_follow_the_inverse_square(draw):
    """D46: without the pixel area, 1/m²."""
    drawn = draw(FLAT + "-nopolar -point_pixel -pixel 4 -distance 50 -detpixels 20")
    radius = np.linalg.norm(positions(20, 4.0, 50.0), axis=-1) / 1000.0
    np.testing.assert_allclose(drawn.image, 100.0 / radius**2, rtol=1e-6)


@pytest.mark.parametrize("twotheta", [0, 20, 50])
def test_swinging_about_the_sample_keeps_the_solid_angle(draw, twotheta):
    drawn = draw(FLAT + f"-nopolar -pixel 1 -close_distance 50 -detpixels 10 -twotheta {twotheta}")
    assert drawn.image.sum() == pytest.approx(100 * 0.0394, rel=0.02)


@pytest.mark.parametrize("kahn", [None, 0.0, 0.5, 1.0, -1.0])
def test_polarization_is_that_of_dipoles(draw, kahn):
    """K = 1: 1 - (d·E)² with E along x in the XDS frame; K = -1 along y; between them the mixture (1 ± K)/2."""
    said = "" if kahn is None else f"-polar {kahn}"
    place = "-pixel 4 -distance 30 -detpixels 21 "
    ratio = draw(FLAT + place + said).image / draw(FLAT + place + "-nopolar").image
    d = positions(21, 4.0, 30.0)
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    share = (1 + (kahn or 0.0)) / 2
    expected = share * (1 - d[..., 0] ** 2) + (1 - share) * (1 - d[..., 1] ** 2)
    np.testing.assert_allclose(ratio, expected, rtol=1e-5)


SCENE = "-default_F 100 -cell 40 45 50 -N 4 -misset 10 20 30 -detpixels 24 -oversample 1 -nonoise -nopgm "


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-lambda 1.5", f"-energy {12398.42 / 1.5:.12f}"),
        ("-pixel 0.4 -detpixels 24", "-pixel 0.4 -detpixels 0 -detsize 9.6"),
        ("-flux 1e12 -exposure 2 -beamsize 0.05", f"-fluence {1e12 * 2 / (0.05e-3) ** 2:.17g} -beamsize 0.05"),
        ("-N 4", "-samplesize 0.0000159 -Nb 4 -Nc 4 -sample_y 0.0000179 -sample_z 0.0000199"),
        ("-divergence 4 -divsteps 2", "-hdivrange 4 -vdivrange 4 -hdivsteps 2 -vdivsteps 2"),
        ("-wave 1.5", "-lambda 1.5"),
    ],
)
def test_units(draw, one, other):
    """Two ways of saying the same quantity, in different units or words."""
    common = SCENE + "-pixel 0.4 -distance 60 "
    np.testing.assert_allclose(draw(common + one).image, draw(common + other).image, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("exponent", [5, 15, 25, 34])
def test_pixels_are_proportional_to_the_fluence(draw, exponent):
    image = draw(SCENE + f"-pixel 0.4 -distance 60 -fluence 1e{exponent}").image.astype(float)
    usual = draw(SCENE + "-pixel 0.4 -distance 60 -fluence 1e24").image.astype(float)
    np.testing.assert_allclose(image / 10.0**exponent, usual / 1e24, rtol=1e-6)


@pytest.mark.parametrize(
    "words",
    [
        "-pixel 0.0001 -distance 60", "-pixel 20 -distance 60", "-pixel 0.4 -distance 20000",
        "-pixel 0.4 -distance 0.5",
        "-pixel 0.4 -distance 60 -lambda 0.02", "-pixel 0.4 -distance 60 -lambda 30", "-pixel 0.4 -distance 60 -N 3000",
        "-pixel 0.4 -distance 60 -cell 2 3 4", "-pixel 0.4 -distance 60 -cell 2000 3000 4000",
        "-pixel 0.4 -distance 60 -default_F 1e-12",
        "-pixel 0.4 -distance 60 -default_F 1e9", "-pixel 0.4 -distance 60 -Na 1 -Nb 500 -Nc 2 -nointerpolate",
    ],
)  # fmt: skip
def test_extreme_scales(draw, words):
    image = draw(SCENE + words).image
    assert np.isfinite(image).all()
    assert image.max() > 0


@pytest.mark.parametrize(
    "words",
    [
        "-detector_roty 89", "-detector_rotx 88 -detector_rotz 45", "-xds -detector_roty 89.5", "-twotheta 85",
        "-xds -twotheta 120", "-xds -twotheta 180", "-detector_roty 179.5",
    ],
)  # fmt: skip
def test_grazing_and_backward_geometry(draw, words):
    assert np.isfinite(draw(SCENE + "-pixel 0.4 -distance 60 " + words).image).all()


@pytest.mark.parametrize(
    "name",
    [
        "conv_point_pixel", "conv_grazing_beam_pivot", "conv_grazing_sample_pivot", "conv_backscatter", "beam_polar_0",
        "beam_polar_095", "beam_polar_m05", "beam_polar_1", "beam_nopolar", "beam_polar_vector", "beam_polar_div",
        "beam_fluence", "beam_flux", "beam_flux_no_exposure", "beam_water", "beam_water_oversample", "basic_wide_angle",
        "basic_single_cell", "basic_energy", "basic_long_wavelength", "basic_short_wavelength", "xtal_N_60",
        "xtal_N_aniso", "xtal_shape_round", "xtal_shape_gauss", "xtal_shape_tophat",
    ],
)  # fmt: skip
def test_stored(three_ways, name):
    three_ways(name)
