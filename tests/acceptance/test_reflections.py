"""Where reflections fall: Bragg's law, rotated detectors, many peaks at once, special orientations."""

from __future__ import annotations

import math

import numpy as np
import pytest

ONE = {"one.hkl": "1 0 0 100\n"}


@pytest.mark.parametrize(
    ("distance", "wavelength"), [(80.0, 1.0), (160.0, 1.0), (300.0, 1.0), (160.0, 0.7), (160.0, 1.5), (160.0, 2.2)]
)
def test_a_reflection_at_its_bragg_angle(draw, distance, wavelength):
    """a* turned by theta about y, beam along z: the spot lies at distance * tan(2 theta)."""
    a = 20.0
    theta = math.asin(wavelength / (2 * a))
    pixel = 0.005 * distance / 4
    away = distance * math.tan(2 * theta) / pixel
    words = (
        f"-dials -hkl ../inputs/one.hkl -cell {a} -N 20 -round_xtal -nointerpolate "
        f"-misset 0 {math.degrees(theta):.9f} 0 "
        f"-lambda {wavelength} -distance {distance} -pixel {pixel} -detpixels 40 -ORGX {20.5 - away:.9f} -ORGY 20.5 "
        "-oversample 1 -nonoise -nopgm"
    )
    fast, slow = draw(words, ONE).beam_spot()
    assert (fast / pixel, slow / pixel) == pytest.approx((20.0, 20.0), abs=0.05)


def turn(vector: np.ndarray, axis: int, angle_deg: float) -> np.ndarray:
    """Right-handed rotation about a lab axis."""
    angle = math.radians(angle_deg)
    c, s = math.cos(angle), math.sin(angle)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    out = vector.copy()
    out[i], out[j] = c * vector[i] - s * vector[j], s * vector[i] + c * vector[j]
    return out


@pytest.mark.parametrize("angles", [(8, 0, 0), (0, -9, 0), (0, 0, 25), (5, -7, 12)])
@pytest.mark.parametrize("twotheta", [0.0, 10.0])
def test_a_spot_on_a_turned_detector(draw, angles, twotheta):
    """XDS frame, pivot at the sample: the ray k + a* meets the turned plane where the spot is drawn."""
    a, distance, pixel = 20.0, 150.0, 0.25
    theta = math.asin(1 / (2 * a))
    ray = np.array([math.sin(2 * theta), 0.0, math.cos(2 * theta)])
    axes = [np.array(v, float) for v in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    for axis, angle in ((0, angles[0]), (1, angles[1]), (2, angles[2]), (0, twotheta)):
        axes = [turn(v, axis, angle) for v in axes]
    fast, slow, normal = axes
    meets = ray * distance / (ray @ normal)
    at = np.array([meets @ fast, meets @ slow]) / pixel
    words = (
        f"-xds -hkl ../inputs/one.hkl -cell {a} -N 20 -round_xtal -nointerpolate -misset 0 {math.degrees(theta):.9f} 0 "
        f"-lambda 1 -close_distance {distance} -pixel {pixel} -detpixels 40 -ORGX {20.5 - at[0]:.9f} "
        f"-ORGY {20.5 - at[1]:.9f} -detector_rotx {angles[0]} -detector_roty {angles[1]} -detector_rotz {angles[2]} "
        f"-twotheta {twotheta} -oversample 1 -nonoise -nopgm"
    )
    found = np.array(draw(words, ONE).beam_spot()) / pixel
    assert found.tolist() == pytest.approx([20.0, 20.0], abs=0.3)


@pytest.mark.parametrize("misset", [(0, 0, 0), (10, 20, 30), (-75, 33, 120)])
def test_every_strong_pixel_is_near_a_reflection(draw, misset):
    """The 30 brightest pixels by geometry written out here: whole indices within a spot and its first fringe."""
    words = (
        f"-xds -cell 50 60 70 -N 12 -default_F 100 -misset {misset[0]} {misset[1]} {misset[2]} -lambda 1 -distance 100 "
        "-pixel 0.4 -detpixels 120 -oversample 1 -nonoise -nopgm"
    )
    image = draw(words).image
    cell = [np.array(v, float) for v in ((50, 0, 0), (0, 60, 0), (0, 0, 70))]
    for axis in range(3):
        cell = [turn(v, axis, misset[axis]) for v in cell]
    for place in np.argsort(image, axis=None)[-30:]:
        slow, fast = divmod(int(place), 120)
        position = np.array([(fast + 0.5 - 60) * 0.4, (slow + 0.5 - 60) * 0.4, 100.0])
        scattering = position / np.linalg.norm(position) - np.array([0, 0, 1.0])
        index = np.array([v @ scattering for v in cell])
        assert np.abs(index - np.round(index)).max() < 2 / 12


@pytest.mark.parametrize("misset", ["90 0 0", "0 90 0", "0 0 90", "180 0 0", "0 -90 90", "360 0 0", "0 0 -180"])
def test_a_cube_turned_onto_itself(draw, misset):
    common = "-cell 60 -N 5 -default_F 100 -lambda 1 -distance 80 -pixel 1 -detpixels 30 -oversample 1 -nonoise -nopgm "
    turned, still = draw(common + f"-misset {misset}").image, draw(common).image
    np.testing.assert_allclose(turned, still, rtol=1e-4, atol=1e-9 * still.max())


@pytest.mark.parametrize(
    "misset", ["0 0 0", "1e-9 0 0", "89.9999999 0 0", "0 0 179.9999999", "-180 180 -180", "720 0 0"]
)
def test_orientations_at_the_edge_of_their_range(draw, misset):
    draw(f"-cell 40 45 50 80 85 95 -N 4 -default_F 100 -misset {misset} -lambda 1.2 -distance 60 -pixel 0.4 "
         "-detpixels 24 -oversample 1 -nonoise -nopgm")  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "conv_mosflm_rotx", "conv_mosflm_roty", "conv_mosflm_rotz", "conv_mosflm_rotxyz", "conv_mosflm_twotheta",
        "conv_xds_rot_twotheta", "conv_adxv_rot_twotheta", "conv_denzo_rot", "conv_dials_org_twotheta",
        "conv_custom_vectors", "conv_custom_beam_tilted", "conv_custom_pivot_sample", "conv_custom_pivot_beam",
        "conv_custom_twotheta_axis", "conv_close_distance", "conv_close_distance_xds", "xtal_misset_large",
        "xtal_mat", "xtal_mat_and_cell", "xtal_mat_other_lambda",
    ],
)  # fmt: skip
def test_stored(three_ways, name):
    three_ways(name)
