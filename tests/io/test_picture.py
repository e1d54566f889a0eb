"""Pictures to look at."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as PngImage

from nanobrag_torch.io.picture import BEAM_COLOUR, RING_COLOUR, png_bytes, preview, shrunk
from nanobrag_torch.io.rings import Marks, Ring

IMAGE = np.random.default_rng(2).gamma(2.0, 1.0, (60, 90)).astype(np.float32)


def decoded(data: bytes) -> np.ndarray:
    """The pixels of a PNG file."""
    return np.asarray(PngImage.open(io.BytesIO(data)))


def test_percentiles_choose_white_and_black() -> None:
    grey = preview(IMAGE, white=20.0, black=80.0)
    assert (grey == 255).mean() > 0.19
    assert (grey == 0).mean() > 0.19
    np.testing.assert_array_equal(decoded(png_bytes(IMAGE)), preview(IMAGE))


def test_spots_survive_shrinking() -> None:
    spot = np.zeros((101, 57), np.float32)
    spot[100, 56] = 9.0
    small = shrunk(spot, 20)
    assert small.shape == (17, 10)
    assert small[-1, -1] == 9.0
    assert shrunk(spot, 101) is not None
    assert shrunk(spot, 101).shape == spot.shape


def test_marks_are_drawn_where_they_are() -> None:
    ring = Ring(2.5, (np.array([[10.0, 20.0], [70.0, 20.0], [70.0, 50.0]]),))
    plain, drawn = decoded(png_bytes(IMAGE)), decoded(png_bytes(IMAGE, Marks((ring,), (40.0, 40.0))))
    assert tuple(drawn[35, 70]) == RING_COLOUR
    assert tuple(drawn[40, 40]) == BEAM_COLOUR
    np.testing.assert_array_equal(drawn[55:, :60, 0], plain[55:, :60])
    assert png_bytes(IMAGE, Marks((ring,))) == png_bytes(IMAGE, Marks((ring,)))
