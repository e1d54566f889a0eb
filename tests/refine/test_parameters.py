"""Raw parameters: starts, positivity, bounds, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch import Config, CrystalConfig, DetectorConfig, Experiment, settle
from nanobrag_torch.errors import InputError
from nanobrag_torch.refine import Parameters


def scene(shape: str = "square", **said: object) -> Experiment:
    """A cube."""
    detector = DetectorConfig(distance_mm=100.0, pixels_f=8, pixels_s=8)
    return settle(
        Config(
            crystal=CrystalConfig(cell_a=40.0, Na=3, Nb=3, Nc=3, default_F=1.0, shape=shape, **said), detector=detector
        )
    )


def moved(parameters: Parameters, name: str, by: float) -> torch.Tensor:
    """The value after a move of the raw parameter."""
    with torch.no_grad():
        parameters.get_parameter(name).fill_(by)
    return parameters.value(name)


def test_one_raw_unit_is_the_natural_step() -> None:
    parameters = Parameters(scene(), ["misset", "distance"])
    torch.testing.assert_close(
        moved(parameters, "misset", 1.0), torch.full((3,), math.radians(0.1), dtype=torch.float64)
    )
    torch.testing.assert_close(
        moved(parameters, "distance", 1.0), torch.tensor(0.1 * math.exp(1e-3), dtype=torch.float64)
    )
    mine = Parameters(scene(), ["misset"], scales={"misset": 0.5})
    torch.testing.assert_close(moved(mine, "misset", -2.0), torch.full((3,), -1.0, dtype=torch.float64))


def test_positive_values_stay_positive_and_bounded_ones_inside() -> None:
    parameters = Parameters(scene(), ["N", "distance"], bounds={"distance": (0.09, 0.11)})
    assert bool((moved(parameters, "N", -50.0) > 0).all())
    for far in (-1e4, 1e4):
        assert 0.09 <= float(moved(parameters, "distance", far).detach()) <= 0.11
    raw = parameters.get_parameter("distance")
    with torch.no_grad():
        raw.zero_()
    (slope,) = torch.autograd.grad(parameters.value("distance"), raw)
    torch.testing.assert_close(parameters.value("distance"), torch.tensor(0.1, dtype=torch.float64))
    torch.testing.assert_close(slope, torch.tensor(1e-4, dtype=torch.float64))


def test_the_table_speaks_the_users_units() -> None:
    parameters = Parameters(scene(misset_deg=(1.0, 2.0, 3.0)), ["misset", "distance", "cell_lengths"])
    assert parameters.table().splitlines() == [
        "misset        1 2 3 deg",
        "distance      100 mm",
        "cell_lengths  40 40 40 A",
    ]
    assert not parameters.settled().crystal.misset.requires_grad
    assert parameters().crystal.misset.requires_grad


def test_refusals() -> None:
    with pytest.raises(InputError, match="tophat spots have no useful gradient"):
        Parameters(scene("tophat"), ["misset"])
    with pytest.raises(InputError, match="choose among misset"):
        Parameters(scene(), ["mistyped"])
    with pytest.raises(InputError, match="nothing to refine"):
        Parameters(scene(), [])
    with pytest.raises(InputError, match="widen the bounds"):
        Parameters(scene(), ["distance"], bounds={"distance": (0.2, 0.3)})
    with pytest.raises(InputError, match="not refined"):
        Parameters(scene(), ["misset"], bounds={"distance": (0.2, 0.3)})
    with pytest.raises(InputError, match="positive start"):
        Parameters(scene(), ["mosaic_spread"])
