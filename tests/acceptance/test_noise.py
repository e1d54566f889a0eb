"""Counting statistics of the noise image; the draws themselves equal the C program's."""

from __future__ import annotations

import numpy as np
import pytest

# One cell far away: every pixel has nearly the same mean.
FLAT = (
    "-xds -cell 30 -N 1 -nointerpolate -nopolar -lambda 1 -distance 5000 -pixel 1 -detpixels 60 -oversample 1 -nopgm "
)


def flat(draw, mean: float, words: str = ""):
    drawn = draw(f"{FLAT} -default_F {(mean / (1 / 5000) ** 2) ** 0.5:.12g} -noisefile n.img {words}")
    assert drawn.image[20:30, 10:20].mean() == pytest.approx(mean, rel=1e-3)
    return drawn


@pytest.mark.parametrize("mean", [0.3, 5.0, 11.9, 12.1, 100.0, 5000.0])
@pytest.mark.parametrize("seed", [1, 77])
def test_counts_have_poisson_mean_and_variance(draw, mean, seed):
    counts = flat(draw, mean, f"-seed {seed}").counts("noise_file").astype(float) - 40
    spread = 5 / np.sqrt(counts.size)
    assert counts.mean() == pytest.approx(mean, abs=spread * mean**0.5)
    assert counts.var() == pytest.approx(mean, rel=2 * spread + spread / mean**0.5)


def test_above_a_million_photons_the_noise_is_gaussian_and_the_counts_overflow(draw):
    drawn = flat(draw, 2e6, "-seed 5")
    assert (drawn.counts("noise_file") == 65535).all()
    assert drawn.printed["noise_overloads"] == 3600
    photons = drawn.printed["noise_photons"]
    assert photons == pytest.approx(3600 * 2e6, rel=1e-4)


def test_one_seed_one_image(draw):
    one, same, other = (flat(draw, 20.0, f"-seed {s}").counts("noise_file") for s in (4, 4, 5))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_only_the_region_is_counted(draw):
    counts = flat(draw, 20.0, "-seed 4 -adc 7 -roi 10 19 20 29").counts("noise_file")
    outside = np.ones(counts.shape, bool)
    outside[20:30, 10:20] = False
    assert (counts[outside] == 0).all()
    assert (counts[~outside] >= 7).all()


@pytest.mark.parametrize(
    "name",
    [
        "out_noise_weak", "out_noise_medium", "out_noise_strong", "out_noise_roi_adc", "out_noise_mosaic_seed",
        "out_int_auto", "out_int_scale_adc", "out_int_clip", "out_int_roi", "out_int_mask", "out_header_xds",
        "out_header_adxv", "out_pgm_scale", "out_pgm_auto_water", "out_img_header_mosflm", "out_img_header_xds",
        "out_img_header_override",
    ],
)  # fmt: skip
def test_stored(three_ways, name):
    three_ways(name)
