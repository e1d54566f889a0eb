from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.raw import read_float_image, write_float_image


def test_values_are_rounded_once_and_stored_fast_axis_first(tmp_path):
    image = np.asfortranarray(np.random.default_rng(0).random((3, 5)))
    write_float_image(tmp_path / "a.bin", image)
    stored = np.fromfile(tmp_path / "a.bin", dtype=np.float32)
    np.testing.assert_array_equal(stored, image.astype(np.float32).ravel())
    np.testing.assert_array_equal(read_float_image(tmp_path / "a.bin", 5, 3), image.astype(np.float32))


def test_a_wrong_size_is_refused(tmp_path):
    write_float_image(tmp_path / "a.bin", np.zeros((3, 5)))
    with pytest.raises(FileFormatError, match="60 bytes, expected 64 for 4 x 4"):
        read_float_image(tmp_path / "a.bin", 4, 4)
