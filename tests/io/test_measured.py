from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.measured import read_measured


def test_numpy_and_plain_floats(tmp_path):
    image = np.array([[1.0, -2.0], [3.5, 4.0]])
    np.save(tmp_path / "a.npy", image)
    assert read_measured(tmp_path / "a.npy").tolist() == [[1.0, 0.0], [3.5, 4.0]]
    image.astype(np.float32).tofile(tmp_path / "a.bin")
    assert read_measured(tmp_path / "a.bin").tolist() == [1.0, 0.0, 3.5, 4.0]


def test_refusals(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"123")
    with pytest.raises(FileFormatError, match="3 bytes"):
        read_measured(tmp_path / "a.bin")
    np.save(tmp_path / "a.npy", np.ones((2, 2, 2)))
    with pytest.raises(FileFormatError, match="expected numbers"):
        read_measured(tmp_path / "a.npy")
    np.full(4, np.nan, dtype=np.float32).tofile(tmp_path / "b.bin")
    with pytest.raises(FileFormatError, match="not finite"):
        read_measured(tmp_path / "b.bin")
