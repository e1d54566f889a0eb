from __future__ import annotations

import math

import numpy as np
import pytest

from nanobrag_torch.parity.metrics import cut, match_peaks, measure, plain, radial_profile, resampled, ssim

RANDOM = np.random.default_rng(3)
IMAGE = RANDOM.random((40, 50))


def test_equal_images():
    found = measure(IMAGE, IMAGE)
    assert (found.correlation, found.rmse, found.relative_l2, found.max_difference, found.ssim) == (1, 0, 0, 0, 1)
    assert (found.sum_ratio, found.equal_pixels, found.pixels) == (1, 2000, 2000)
    assert found.peaks.matched == found.peaks.c_count


def test_figures_of_one_changed_pixel():
    ours = IMAGE.copy()
    ours[7, 9] += 2.0
    found = measure(ours, IMAGE)
    assert found.max_difference == pytest.approx(2.0)
    assert found.max_difference_at == (7, 9)
    assert found.max_difference_values == pytest.approx((IMAGE[7, 9], IMAGE[7, 9] + 2.0))
    assert found.rmse == pytest.approx(2.0 / math.sqrt(2000))
    assert found.relative_l2 == pytest.approx(2.0 / np.linalg.norm(IMAGE))
    assert found.py_sum - found.c_sum == pytest.approx(2.0)
    assert found.equal_pixels == 1999
    assert 0.5 < found.correlation < 1


def test_a_region_counts_places_in_the_whole_frame():
    ours = IMAGE.copy()
    ours[7, 9] += 2.0
    ours[0, 0] += 9.0
    found = measure(ours, IMAGE, (5, 20, 6, 10))
    assert found.max_difference_at == (7, 9)
    assert found.pixels == 16 * 5
    assert cut(IMAGE, (-1, 3, 38, 99)).shape == (2, 4)


def test_what_cannot_be_measured():
    with pytest.raises(ValueError, match="shapes"):
        measure(IMAGE, IMAGE[1:])
    with pytest.raises(ValueError, match="no pixel"):
        measure(IMAGE, IMAGE, (60, 70, 0, 5))


def ssim_literally(a: np.ndarray, b: np.ndarray, window: int) -> float:
    """The formula, window by window."""
    span = b.max() - b.min()
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    values = []
    for i in range(a.shape[0] - window + 1):
        for j in range(a.shape[1] - window + 1):
            x, y = a[i : i + window, j : j + window].ravel(), b[i : i + window, j : j + window].ravel()
            cov = np.cov(x, y)
            above = (2 * x.mean() * y.mean() + c1) * (2 * cov[0, 1] + c2)
            values.append(above / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e20])
def test_structural_similarity_is_its_formula(scale):
    other = IMAGE + 0.3 * RANDOM.random(IMAGE.shape)
    assert ssim(other * scale, IMAGE * scale) == pytest.approx(ssim_literally(other, IMAGE, 7), rel=1e-9)


def test_structural_similarity_of_small_and_empty_images():
    assert ssim(np.zeros((3, 3)), np.zeros((3, 3))) == 1.0
    assert ssim(np.ones((3, 2)), np.zeros((3, 2))) < 0.1


def spots(*places: tuple[float, float]) -> np.ndarray:
    slow, fast = np.indices((60, 60))
    heights = range(len(places), 0, -1)
    return sum(h * np.exp(-((slow - s) ** 2 + (fast - f) ** 2) / 3) for h, (s, f) in zip(heights, places, strict=True))


def test_peaks_are_paired_with_their_neighbours():
    found = match_peaks(spots((10, 10), (30, 42), (50, 20)), spots((10, 10), (30, 40), (50, 20)))
    assert (found.c_count, found.matched) == (3, 3)
    assert found.max_distance == pytest.approx(2.0)
    assert found.mean_distance == pytest.approx(2 / 3)
    assert match_peaks(spots((10, 10)), spots((40, 40))).matched == 0


def test_the_radial_profile():
    slow, fast = np.indices((21, 21))
    image = np.hypot(slow - 10, fast - 10)
    columns = radial_profile(image + 1.0, image, (10.0, 10.0), bins=10)
    assert [round(v) for v in columns["abs_difference"] if v is not None] == [1] * 10
    for radius, value in zip(columns["radius"], columns["c"], strict=True):
        assert value == pytest.approx(radius, abs=1.0)


def test_a_stretched_image_keeps_its_sum_and_shape():
    out = resampled(IMAGE, (80, 25))
    assert out.shape == (80, 25)
    assert out.sum() == pytest.approx(IMAGE.sum(), rel=1e-5)
    assert np.array_equal(resampled(IMAGE, IMAGE.shape), IMAGE.astype(np.float32))
    np.testing.assert_allclose(resampled(np.full((4, 4), 3.0), (8, 2)), 3.0)


def test_json_has_no_infinities():
    assert plain({"a": [math.inf, 1.0, (math.nan, "x")]}) == {"a": [None, 1.0, [None, "x"]]}
