from __future__ import annotations

import math
import random

import numpy as np
import pytest

from nanobrag_torch.io.hkl import read_hkl
from nanobrag_torch.io.mosflm_matrix import read_matrix
from nanobrag_torch.io.smv import read_smv
from nanobrag_torch.parity import fuzz_files

CELL = (40.0, 50.0, 60.0, 80.0, 95.0, 105.0)


def test_reciprocal_vectors_are_those_of_the_cell():
    direct = np.linalg.inv(np.array(fuzz_files.reciprocal(CELL))).T
    lengths = np.linalg.norm(direct, axis=1)
    assert lengths.tolist() == pytest.approx(CELL[:3])
    for i, angle in enumerate(CELL[3:]):
        a, b = direct[(i + 1) % 3], direct[(i + 2) % 3]
        assert math.degrees(math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))) == pytest.approx(angle)


@pytest.mark.parametrize("seed", range(20))
def test_our_readers_take_the_files(tmp_path, seed):
    rng = random.Random(seed)
    (tmp_path / "t.hkl").write_text(fuzz_files.reflections(rng, (2, 3, 1)))
    (tmp_path / "a.mat").write_text(fuzz_files.matrix(rng, CELL, 1.2))
    (tmp_path / "m.img").write_bytes(fuzz_files.smv(rng, {"PIXEL_SIZE": "0.1"}, (7, 5), 0.5))
    read_hkl(tmp_path / "t.hkl", 0.0)
    read_matrix(tmp_path / "a.mat")
    counts, facts = read_smv(tmp_path / "m.img")
    assert counts.shape == (5, 7)
    assert facts.pixel_size == 0.1


def test_numbers_are_written_in_several_ways():
    rng = random.Random(1)
    words = {fuzz_files.number(rng, 12.3456789) for _ in range(300)}
    assert len(words) > 5
    assert all(abs(float(word) / 12.3456789 - 1) < 0.05 for word in words)
