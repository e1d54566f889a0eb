from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.pgm import read_pgm, write_pgm


def test_header_is_that_of_the_c_program(tmp_path):
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    write_pgm(tmp_path / "a.pgm", grey, 0.07430113014)
    assert (tmp_path / "a.pgm").read_bytes() == b"P5\n3 2\n# pixels scaled by 0.0743011\n255\n" + bytes(range(6))
    np.testing.assert_array_equal(read_pgm(tmp_path / "a.pgm"), grey)


def test_pixels_that_look_like_white_space_or_comments_are_kept(tmp_path):
    grey = np.array([[10, 32, 35, 9]], dtype=np.uint8)
    write_pgm(tmp_path / "a.pgm", grey, 1.0)
    np.testing.assert_array_equal(read_pgm(tmp_path / "a.pgm"), grey)


@pytest.mark.parametrize("content", [b"", b"P6\n1 1\n255\nabc", b"P5\n1 1\n65535\nab", b"P5\n3 2\n255\nab"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.pgm").write_bytes(content)
    with pytest.raises(FileFormatError):
        read_pgm(tmp_path / "a.pgm")
