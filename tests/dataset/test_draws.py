"""Random choices: the published generator, distributions, and independence of everything else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nanobrag_torch.dataset.distributions import (
    Choice,
    Integers,
    LogNormal,
    LogUniform,
    Normal,
    Rotations,
    Uniform,
    Unsuitable,
)
from nanobrag_torch.dataset.draws import deviates, draw
from nanobrag_torch.geometry.rotation import rotate_xyz


def test_an_image_alone_is_the_image_among_others():
    many = deviates(9, range(731_200, 731_210), "a", 5)
    assert np.array_equal(deviates(9, [731_204], "a", 5)[0], many[4])
    assert np.array_equal(deviates(9, [731_204], "a", 3)[0], many[4, :3])
    for other in (deviates(8, [731_204], "a", 5), deviates(9, [731_204], "b", 5), deviates(9, [2**32], "a", 5)):
        assert not np.isin(other, many).any()


@pytest.mark.parametrize(
    ("distribution", "mean", "sd"),
    [
        (Uniform(2, 4), 3, 2 / 12**0.5),
        (LogUniform(1, np.e), np.e - 1, ((np.e**2 - 1) / 2 - (np.e - 1) ** 2) ** 0.5),
        (Normal(5, 2), 5, 2),
        (LogNormal(1, 0.5), np.exp(0.125), (np.exp(0.5) - np.exp(0.25)) ** 0.5),
        (Integers(1, 4), 2.5, 1.25**0.5),
        (Choice((1, 5), (3, 1)), 2, 3**0.5),
    ],
)
def test_moments(distribution, mean, sd):
    found = np.asarray(draw(1, range(40_000), "x", distribution))
    assert abs(found.mean() - mean) < 4 * sd / 200
    assert abs(found.std() - sd) < 0.03 * sd


def test_rotations_are_uniform():
    """Every matrix element has mean 0 and mean square 1/3, and the angle of the rotation follows (1 - cos w)/pi."""
    angles = torch.from_numpy(np.radians(draw(1, range(20_000), "o", Rotations())))
    matrices = torch.vmap(rotate_xyz, in_dims=(None, 0))(torch.eye(3, dtype=torch.float64), angles)
    assert float(matrices.mean(0).abs().max()) < 0.02
    assert float(((matrices**2).mean(0) - 1 / 3).abs().max()) < 0.01
    trace = matrices.diagonal(dim1=1, dim2=2).sum(1)
    turn = torch.acos(((trace - 1) / 2).clamp(-1, 1)).sort().values
    expected = (turn - torch.sin(turn)) / torch.pi
    assert float((expected - torch.linspace(0, 1, len(turn), dtype=torch.float64)).abs().max()) < 0.015


def test_limits():
    assert set(draw(1, range(100), "x", Normal(0, 1, low=0, high=0.5))) >= {0.0, 0.5}
    with pytest.raises(Unsuitable):
        Normal(0, 1, low=9, high=10)
    with pytest.raises(Unsuitable):
        Integers(1.5, 2)
