from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from nanobrag_torch import native
from nanobrag_torch.legacy_random import LegacyRandom, Stream, mosaic_draws
from nanobrag_torch.physics import noise
from nanobrag_torch.physics.noise import (
    draw_in_python,
    draw_natively,
    grey_image,
    grey_scale,
    integer_image,
    integer_scale,
    noise_image,
    pixel_window,
)

needs_library = pytest.mark.skipif(
    native.load("nanobrag_noise") is None, reason=native.why_missing("nanobrag_noise") or "built"
)
BOTH = [pytest.param(draw_natively, marks=needs_library, id="native"), pytest.param(draw_in_python, id="python")]


def means(top: float = 40.0, shape: tuple[int, int] = (16, 20)) -> np.ndarray:
    return (np.random.default_rng(1).random(shape) * top).astype(np.float32)


def wild() -> np.ndarray:
    """Every regime of the deviate, and values that are no intensity at all."""
    image = np.concatenate([means(3), means(30), means(2e4), means(9e5), means(4e6)])
    image[0, :8] = [0.0, -0.0, -1.0, -1e30, 12.0, 1.0e6, np.nan, np.nextafter(np.float32(12), np.float32(0))]
    image[-1, :3] = [1e30, np.inf, 3e38]
    return image


@needs_library
@pytest.mark.parametrize(("roi", "adc"), [(None, 40.0), ((2, 11, 0, 40), 7.5), ((0, 20, 3, 99), -50.0)])
@pytest.mark.parametrize("seed", [3, 0, -77])
def test_library_and_twin_agree_byte_for_byte(roi, adc, seed):
    results = []
    for draw in (draw_natively, draw_in_python):
        generator, stream = LegacyRandom(), Stream.from_seed(seed)
        mosaic_draws(generator, Stream.from_seed(5), 0.1, 2)
        one = noise_image(wild(), generator, stream, adc=adc, roi=roi, draw=draw)
        two = noise_image(means(), generator, stream, draw=draw)
        results.append((one, two, generator, stream))
    for native_image, python_image in zip(results[0][:2], results[1][:2], strict=True):
        assert native_image.counts.tobytes() == python_image.counts.tobytes()
        assert native_image.overloads == python_image.overloads
        np.testing.assert_equal(native_image.photons, python_image.photons)
    assert results[0][2:] == results[1][2:]


@pytest.mark.parametrize("draw", BOTH)
def test_pixels_outside_the_region_hold_0_and_take_no_draw(draw):
    image, roi = means(), (3, 8, 2, 5)
    inside = noise_image(image, LegacyRandom(), Stream.from_seed(4), roi=roi, draw=draw)
    alone = noise_image(image[2:6, 3:9], LegacyRandom(), Stream.from_seed(4), draw=draw)
    np.testing.assert_array_equal(inside.counts[2:6, 3:9], alone.counts)
    outside = inside.counts.copy()
    outside[2:6, 3:9] = 0
    assert not outside.any()
    assert inside.photons == alone.photons


@pytest.mark.parametrize("draw", BOTH)
def test_adc_is_added_and_counts_are_cut(draw):
    """specs: deviations D21: a negative count is 0."""
    image = np.zeros((2, 3), dtype=np.float32)
    assert set(noise_image(image, LegacyRandom(), Stream(-1), adc=40.9, draw=draw).counts.ravel()) == {40}
    assert not noise_image(image, LegacyRandom(), Stream(-1), adc=-50.0, draw=draw).counts.any()
    bright = noise_image(image + np.float32(5e6), LegacyRandom(), Stream(-1), draw=draw)
    assert set(bright.counts.ravel()) == {65535}
    assert bright.overloads == 6


def test_noise_continues_the_table_of_the_mosaic_stage():
    """specs: rng 2 and 3: a negative noise seed."""
    image = means()
    fresh = noise_image(image, LegacyRandom(), Stream.from_seed(-9), draw=draw_in_python)
    generator = LegacyRandom()
    mosaic_draws(generator, Stream.from_seed(12345678), 0.0, 1)
    after = noise_image(image, generator, Stream.from_seed(-9), draw=draw_in_python)
    assert (fresh.counts != after.counts).any()


def test_missing_library_is_said_and_replaced(monkeypatch, caplog):
    expected = noise_image(means(), LegacyRandom(), Stream(-2), draw=draw_in_python)
    monkeypatch.setattr(noise.native, "load", lambda name: None)
    monkeypatch.setattr(noise.native, "why_missing", lambda name: "not built")
    with caplog.at_level(logging.WARNING):
        got = noise_image(means(), LegacyRandom(), Stream(-2))
    assert "not built" in caplog.text
    np.testing.assert_array_equal(got.counts, expected.counts)
    with pytest.raises(RuntimeError, match="not built"):
        noise_image(means(), LegacyRandom(), Stream(-2), draw=draw_natively)


def test_an_array_in_any_order_is_drawn_in_raster_order():
    image = means()
    a = noise_image(np.asfortranarray(image), LegacyRandom(), Stream(-2))
    b = noise_image(image, LegacyRandom(), Stream(-2))
    np.testing.assert_array_equal(a.counts, b.counts)


@pytest.mark.parametrize(
    ("roi", "window"),
    [
        (None, (0, 20, 0, 16)),
        ((0, 20, 0, 16), (0, 20, 0, 16)),
        ((-1, -1, -1, -1), (0, 20, 0, 16)),
        ((3, 3, 5, 6), (3, 4, 5, 7)),
        ((50, 60, 0, 16), (20, 20, 0, 16)),
        ((9, 4, 0, 16), (9, 9, 0, 16)),
    ],
)
def test_window_of_an_inclusive_region(roi, window):
    assert pixel_window((16, 20), roi) == window


def test_scales():
    """specs: io_formats 2 and 4."""
    assert integer_scale(20.0, 3.0) == 20.0
    assert integer_scale(None, 110.0) == integer_scale(0.0, 110.0) == integer_scale(-1.0, 110.0) == 500.0
    assert integer_scale(None, 0.0) == 1.0
    assert grey_scale(5.0, 10.0, 3.0) == 5.0
    assert grey_scale(None, 10.0, 3.0) == 5.0
    assert grey_scale(None, 0.0, 3.0) == 3.0


def test_integer_image_rounds_cuts_and_leaves_the_outside():
    image = np.array([[0.0, 1.2, 1.3, 1e9, -1e9, np.nan, 7.0]], dtype=np.float32)
    counts = integer_image(image, 2.0, adc=10.0, roi=(0, 5, 0, 0))
    assert counts.tolist() == [[10, 12, 13, 65535, 0, 0, 0]]
    assert counts.dtype == np.uint16


def test_integer_image_rounds_in_single_precision():
    """floor(float32(z + 0.5)): z = 40000.49999 becomes 40001."""
    assert integer_image(np.ones((1, 1), np.float32), 40000.49999, adc=0.0).item() == 40001


def test_grey_image_truncates_and_cuts():
    image = np.array([[0.0, 1.99, 300.0, -4.0, np.nan, 9.0]], dtype=np.float32)
    grey = grey_image(image, 1.0, roi=(0, 4, 0, 0))
    assert grey.tolist() == [[0, 1, 255, 0, 0, 0]]
    assert grey.dtype == np.uint8


class Case:
    """A golden case with its arrays and the few words of its command line that matter here."""

    def __init__(self, folder, case):
        self.id, self.stats, self.arguments = case["id"], case["stats"], case["args"]
        with np.load(folder / case["file"]) as arrays:
            self.arrays = {name: arrays[name] for name in case["arrays"]}
        self.image = self.arrays["image"]
        roi = self.words("-roi", 4)
        self.roi = tuple(int(word) for word in roi) if roi else None
        self.adc = float(self.words("-adc", 1)[0]) if self.words("-adc", 1) else 40.0
        self.scale = float(self.words("-scale", 1)[0]) if self.words("-scale", 1) else None

    def words(self, flag, count):
        if flag not in self.arguments:
            return []
        place = self.arguments.index(flag) + 1
        return self.arguments[place : place + count]


@pytest.fixture(scope="module")
def cases(golden_folder):
    listed = json.loads((golden_folder / "cases.json").read_text())
    return [Case(golden_folder, case) for case in listed if set(case["arrays"]) & {"noise", "intimage", "pgm"}]


@pytest.mark.golden
@pytest.mark.parametrize("draw", BOTH)
def test_golden_noise_images_are_identical(cases, draw):
    drawn = [case for case in cases if "noise" in case.arrays]
    assert len(drawn) == 5
    for case in drawn:
        stream = Stream.from_seed(int(case.words("-seed", 1)[0]))
        got = noise_image(case.image, LegacyRandom(), stream, adc=case.adc, roi=case.roi, draw=draw)
        assert got.counts.tobytes() == case.arrays["noise"].tobytes(), case.id
        assert f"{got.photons:.0f}" == f"{case.stats['noise_photons']:.0f}"
        assert got.overloads == case.stats["noise_overloads"]


@pytest.mark.golden
def test_golden_integer_images_are_identical(cases):
    written = [case for case in cases if "intimage" in case.arrays]
    assert len(written) >= 10
    for case in written:
        scale = integer_scale(case.scale, float(case.image.max()))
        assert f"{scale:g}" == f"{case.stats['intfile_scale']:g}"
        counts = integer_image(case.image, scale, adc=case.adc, roi=case.roi)
        np.testing.assert_array_equal(counts, case.arrays["intimage"], err_msg=case.id)


@pytest.mark.golden
def test_golden_grey_images_are_identical(cases):
    written = [case for case in cases if "pgm" in case.arrays and "-mask" not in case.arguments]
    assert len(written) >= 3
    for case in written:
        x0, x1, y0, y1 = pixel_window(case.image.shape, case.roi)
        rmsd = case.image[y0:y1, x0:x1].astype(np.float64).std(ddof=1)
        given = case.words("-pgmscale", 1)
        integer = integer_scale(case.scale, float(case.image.max()))
        scale = grey_scale(float(given[0]) if given else None, rmsd, integer)
        assert f"{scale:g}" == f"{case.stats['pgm_scale']:g}"
        np.testing.assert_array_equal(grey_image(case.image, scale, roi=case.roi), case.arrays["pgm"], case.id)
