from __future__ import annotations

import numpy as np
from PIL import Image

from nanobrag_torch.io.png import preview, write_png


def spots() -> np.ndarray:
    image = np.random.default_rng(0).random((60, 80)).astype(np.float32)
    image[10, 20] = image[40, 70] = 1e4
    return image


def test_spots_are_dark_on_white():
    grey = preview(spots())
    assert grey[10, 20] == grey[40, 70] == 0
    assert np.median(grey) > 200


def test_the_same_image_gives_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        write_png(tmp_path / name, spots())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), preview(spots()))


def test_images_without_contrast_are_drawn():
    assert (preview(np.zeros((4, 5))) == 255).all()
    assert (preview(np.full((4, 5), 3.0)) == 0).all()
    assert (preview(np.full((4, 5), -3.0)) == 255).all()
    assert preview(np.array([[np.nan, np.inf, 1.0, 2.0, 5.0]])).tolist()[0][:2] == [255, 255]


def test_order_of_magnitude_does_not_matter():
    np.testing.assert_array_equal(preview(spots() * np.float32(2.0**80)), preview(spots()))
