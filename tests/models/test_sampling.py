from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.models import Sampling, Scan


def test_replace_makes_a_copy_and_nothing_else_can_be_changed():
    scan = Scan(axis=vector((0.0, 0.0, 1.0)), start=real(0.0), step=real(0.1), steps=3, range=real(0.3))
    assert float(scan.replace(start=real(0.5)).start) == 0.5
    assert float(scan.start) == 0.0
    sampling = Sampling(2, False, False, False, 0.0, (0, 20, 0, 16), None)
    assert sampling.replace(dmin=3.0).dmin == 3.0
    assert sampling.dmin == 0.0
    with pytest.raises(FrozenInstanceError):
        sampling.dmin = 3.0
    with pytest.raises(FrozenInstanceError):
        scan.steps = 2
