from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nanobrag_torch.parity.pictures import difference_png, intensity_png, profile_svg, reduced, scale_limits


def opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=int)


def test_large_images_shrink_to_the_strongest_of_each_block():
    image = np.zeros((50, 70))
    image[49, 69], image[3, 3] = 5.0, -7.0
    small, factor = reduced(image, 20)
    assert (factor, small.shape) == (4, (13, 18))
    assert (small[12, 17], small[0, 0]) == (5.0, -7.0)
    assert reduced(image)[1] == 1


def test_one_scale_for_both():
    image = np.linspace(0.0, 100.0, 10000).reshape(100, 100)
    low, high = scale_limits(image, 99.0)
    assert (low, high) == (pytest.approx(1.0, abs=0.1), pytest.approx(99.0, abs=0.1))
    assert scale_limits(np.zeros((4, 4)), 99.0) == (0.0, 1.0)
    assert scale_limits(np.full((4, 4), 2.0), 99.0) == (0.0, 2.0)
    picture = opened(intensity_png(image, (low, high)))
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[-1, -1].sum() < 100


def test_differences_are_blue_below_and_red_above():
    picture, top = difference_png(np.array([[-2.0, 0.0, 2.0, np.nan]]))
    low, none, high, missing = opened(picture)[0]
    assert top == 2.0
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert none.tolist() == missing.tolist()
    assert min(none) >= 250


def test_the_profile_has_gaps_and_decades():
    svg = profile_svg([1.0, 2.0, 3.0, 4.0], {"c": ([1.0, 10.0, None, 100.0], "red"), "py": ([0.0] * 4, "blue")})
    assert svg.startswith("<svg")
    assert "1e2" in svg
    assert svg.count("<polyline") == 1
    assert svg.count("<circle") == 1
    assert "empty" in profile_svg([1.0], {"c": ([0.0], "red")})
