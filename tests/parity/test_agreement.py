from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.parity.agreement import (
    DOUBLE_TOPHAT,
    correlation,
    count_problems,
    image_agreement,
    lost_peaks,
    single_problems,
    strongest_peaks,
    sum_agreement,
)


def spots(shape: tuple[int, int] = (60, 70), count: int = 12, seed: int = 1) -> np.ndarray:
    """Round spots of different heights, at least 8 pixels apart."""
    rng = np.random.default_rng(seed)
    slow, fast = np.indices(shape)
    image = np.zeros(shape)
    for i in range(count):
        s, f = 5 + 10 * (i // 6) + rng.random(), 5 + 10 * (i % 6) + rng.random()
        image += (100 + 7 * i) * np.exp(-((slow - s) ** 2 + (fast - f) ** 2) / 2)
    return image


def test_an_image_agrees_with_itself():
    agreement = image_agreement(spots(), spots())
    assert agreement.problems() == []
    assert (agreement.relative_l2, agreement.worst_pixel, agreement.sum, agreement.correlation) == (0, 0, 0, 1)


@pytest.mark.parametrize(("factor", "problems"), [(1 + 5e-8, 0), (1 + 2e-7, 1), (1 + 2e-6, 3)])
def test_bounds_of_a_scaled_image(factor, problems):
    """L2 3e-7, sum 1e-7, largest difference 1e-6 of the maximum; a pixel may be off by 1e-5 of itself."""
    assert len(image_agreement(spots() * factor, spots()).problems()) == problems


def test_one_wrong_pixel_is_found_and_named():
    image = spots()
    image[40, 3] += 1e-3
    agreement = image_agreement(image, spots())
    assert agreement.worst_at == (40, 3)
    assert agreement.worst_pixel > 1
    assert any("(40, 3)" in text for text in agreement.problems())


def test_a_top_hat_may_flip_one_pixel_in_ten_thousand():
    image = np.zeros((200, 200))
    image[50:60, 50:60] = 1.0
    flipped = image.copy()
    flipped[50, 60] = flipped[10, 10] = 1.0
    assert image_agreement(flipped, image, DOUBLE_TOPHAT).problems() == []
    assert image_agreement(flipped, image, DOUBLE_TOPHAT).excused == 2
    flipped[60, 50:53] = 1.0
    assert image_agreement(flipped, image, DOUBLE_TOPHAT).problems() != []
    assert image_agreement(flipped, image).problems() != []


def test_values_that_are_not_finite_never_agree():
    image = spots()
    image[0, 0] = np.nan
    assert len(image_agreement(image, spots()).problems()) == 4
    assert single_problems(image, spots()) != []


def test_blank_images():
    blank = np.zeros((4, 5))
    assert image_agreement(blank, blank).problems() == []
    assert image_agreement(blank + 1, blank).problems() != []
    assert sum_agreement(0.0, 0.0) == 0.0
    assert sum_agreement(1.0, 0.0) == np.inf


def test_shapes_have_to_be_equal():
    with pytest.raises(ValueError, match="cannot be compared"):
        image_agreement(np.zeros((2, 3)), np.zeros((3, 2)))


def test_correlation_does_not_see_a_scale():
    assert correlation(3 * spots() + 2, spots()) == pytest.approx(1.0)
    assert correlation(-spots(), spots()) == pytest.approx(-1.0)
    assert correlation(np.ones(4), np.ones(4)) == 1.0
    assert correlation(np.ones(4), np.arange(4.0)) == 0.0


def test_single_precision_bounds():
    image = spots().astype(np.float32)
    assert single_problems(image, spots()) == []
    assert len(single_problems(image * 1.001, spots())) == 1
    moved = np.roll(image, 1, axis=0)
    assert len(single_problems(moved, spots())) == 2


def test_peaks_are_ordered_by_height_and_placed_at_the_middle_of_their_plateau():
    image = np.zeros((30, 30))
    image[10:12, 20:23] = 5.0
    image[10, 20] = 5.0 * (1 - 5e-6)
    image[3, 3] = 2.0
    image[25, 25] = 7.0
    peaks = strongest_peaks(image, 10)
    assert [peak.height for peak in peaks] == [7.0, 5.0, 2.0]
    assert peaks[1][1:] == (10.5, 21.0)


def test_equal_peaks_at_the_end_of_the_list_are_all_kept():
    image = np.zeros((40, 40))
    image[5::10, 5::10] = 1.0
    assert len(strongest_peaks(image, 3)) == 16
    wobble = image * (1 + 1e-7 * np.random.default_rng(0).standard_normal(image.shape))
    assert lost_peaks(wobble, image, 3, 0.5) == []


def test_a_peak_that_has_moved_is_lost_in_both_images():
    image = spots()
    other = spots()
    other[:12, :12] = np.roll(other[:12, :12], 2, axis=0)
    assert len(lost_peaks(other, image, 12, 0.5)) == 2


def test_counts_may_be_off_by_one_on_one_pixel_in_a_thousand():
    counts = np.arange(4000, dtype=np.uint16).reshape(40, 100)
    off = counts.copy()
    off.flat[:4] += 1
    assert count_problems(off, counts) == []
    off.flat[4] += 1
    assert count_problems(off, counts) == ["5 of 4000 counts are off"]
    assert count_problems(counts + np.uint16(2), counts) != []
    assert count_problems(counts[:2], counts) != []
