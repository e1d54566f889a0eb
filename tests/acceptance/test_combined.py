"""Everything at once, and the strongest pixel: acceptance tests that users of other ports know by their numbers."""

from __future__ import annotations

import numpy as np
import pytest

TRICLINIC = "-cell 70 80 90 75 85 95 -default_F 100 -N 5"
TURNED = "-detector_rotx 5 -detector_roty 3 -detector_rotz 2 -twotheta 10"
PLAIN = "-distance 100 -pixel 0.8 -detpixels 32 -oversample 1 -nonoise -nopgm"


def test_everything_at_once(draw):
    sampling = "-mosaic 0.5 -mosaic_domains 5 -phi 1e-6 -osc 90 -phisteps 9 -seed 1 -mosaic_seed 2"
    sensor = "-detector_abs 500 -detector_thick 450 -thicksteps 5 -polar 0.95"
    image = draw(f"{TRICLINIC} -lambda 1 {sampling} {TURNED} {sensor} {PLAIN}").image
    assert np.isfinite(image).all()
    assert image.max() > 10 * np.median(image) > 0


@pytest.mark.parametrize("steps", [1, 9])
def test_a_sweep_before_a_turned_detector(draw, steps):
    """A quarter turn of a cube before a turned detector is the mean of its stills."""
    line = f"-cell 100 -default_F 100 -N 5 -lambda 1 {TURNED} {PLAIN}"
    sweep = draw(f"{line} -phi 1e-6 -osc 90 -phisteps {steps}").image.astype(float)
    step = 90 / steps
    stills = [draw(f"{line} -phi {1e-6 + step * i} -osc 0 -phisteps 1").image.astype(float) for i in range(steps)]
    np.testing.assert_allclose(sweep, np.mean(stills, axis=0), rtol=1e-4, atol=1e-7 * sweep.max())


@pytest.mark.parametrize("angles", ["0 0 0", "10.5 0 0", "0 10.25 0", "0 0 9.75", "15 20.5 30.25"])
@pytest.mark.parametrize("cell", ["70 80 90 75 85 95", "100 100 100 90 90 90"])
def test_explicit_misset(draw, angles, cell):
    """Both programs agree, and printed angles that are all 0 leave the image alone."""
    line = f"-cell {cell} -default_F 100 -N 5 -lambda 1 {PLAIN}"
    turned, still = draw(f"{line} -misset {angles}").image, draw(line).image
    assert (angles == "0 0 0") == bool(np.array_equal(turned, still))


@pytest.mark.parametrize(
    "line",
    [
        "-cell 100 -lambda 1 -N 1 -distance 100 -pixel 0.1 -detpixels 64",
        "-cell 70 80 90 85 95 105 -lambda 1.5 -N 1 -distance 150 -pixel 0.4 -detpixels 64",
    ],
)
def test_the_strongest_pixel(draw, line):
    """One cell scatters most where the beam arrives: at the centre of the detector, where both programs have it."""
    drawn = draw(f"{line} -default_F 100 -oversample 1 -nonoise -nopgm")
    places = [np.unravel_index(int(image.argmax()), image.shape) for image in (drawn.image, drawn.c_image)]
    assert places[0] == places[1]


def test_amplitudes_of_a_table(draw):
    """At the strongest pixel of a reflection the image is (F/100)^2 of that with 100 everywhere."""
    amplitudes = {
        (0, 0, 0): 100.0,
        (0, 1, 0): 50.0,
        (0, 0, 1): 25.0,
        (0, 1, 1): 12.5,
        (0, 2, 0): 200.0,
        (0, 0, 2): 150.0,
    }
    table = "".join(f"{h} {k} {l} {F}\n" for (h, k, l), F in amplitudes.items())
    line = (
        "-cell 100 -lambda 6.2 -N 5 -distance 100 -pixel 0.5 -detpixels 64 -oversample 1 -nointerpolate -nonoise -nopgm"
    )
    image = draw(f"{line} -hkl ../inputs/t.hkl", {"t.hkl": table}).image.astype(float)
    even = draw(f"{line} -default_F 100").image.astype(float)
    seen = {round(float(ratio), 4) for ratio in (image / even)[even > 0.05 * even.max()]}
    assert seen <= {0.0, *(round((F / 100) ** 2, 4) for F in amplitudes.values())}
    assert {1.0, 0.25, 4.0, 2.25} <= seen
