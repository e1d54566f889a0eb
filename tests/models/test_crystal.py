from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch

from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.models import Crystal, Mosaic


def crystal() -> Crystal:
    return Crystal(
        cell=vector((40.0, 45.0, 50.0, 1.5, 1.5, 1.5)),
        reciprocal=None,
        misset=torch.zeros(3, dtype=torch.float64),
        N=vector((4.0, 4.0, 4.0)),
        shape="square",
        fudge=real(1.0),
        mosaic=Mosaic(real(0.01), torch.eye(3, dtype=torch.float64), vector((0.0, 0.5, 1.0))),
        structure_factors=StructureFactors.constant(100.0),
        interpolate=False,
        water=real(0.0),
    )


def test_domains_are_counted():
    assert crystal().mosaic.domains == 3


def test_replace_makes_a_copy_and_nothing_else_can_be_changed():
    old = crystal()
    new = old.replace(shape="gauss")
    assert (old.shape, new.shape) == ("square", "gauss")
    assert new.mosaic is old.mosaic
    with pytest.raises(FrozenInstanceError):
        old.shape = "gauss"
    with pytest.raises(FrozenInstanceError):
        old.mosaic.spread = real(0.0)
