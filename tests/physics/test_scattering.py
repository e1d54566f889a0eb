from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.numerics import normalise
from nanobrag_torch.physics.scattering import scattering_vectors, within_resolution

BEAM = vector((1.0, 0.0, 0.0))


@pytest.mark.parametrize("two_theta", [0.0, 0.3, math.pi / 2, math.pi])
def test_braggs_law(two_theta):
    """|S| = 2 sin θ/λ."""
    d = vector((math.cos(two_theta), math.sin(two_theta), 0.0))[None]
    S = scattering_vectors(d, BEAM, real(1.2))
    assert float(S.norm()) == pytest.approx(2 * math.sin(two_theta / 2) / 1.2, abs=1e-15)


def test_the_resolution_limit_keeps_what_is_coarser_and_the_direct_beam():
    spacing = vector((25.0, 20.000001, 19.999999, 5.0))
    S = torch.zeros(5, 3, dtype=torch.float64)
    S[:4] = normalise(vector((1.0, 2.0, 2.0))) / spacing[:, None]
    assert within_resolution(S, 20.0).tolist() == [True, True, False, False, True]
