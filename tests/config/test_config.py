"""What holds of every configuration class."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from nanobrag_torch.config import (
    BackgroundConfig,
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    OutputConfig,
    PanelConfig,
    PathConfig,
    ResponseConfig,
    SamplingConfig,
)

PARTS = [
    CrystalConfig,
    BeamConfig,
    DetectorConfig,
    SamplingConfig,
    OutputConfig,
    BackgroundConfig,
    PathConfig,
    ResponseConfig,
]


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_frozen_and_refuse_unknown_fields(part: type) -> None:
    made = part()
    name = next(iter(part.__dataclass_fields__))  # type: ignore[attr-defined]
    with pytest.raises(FrozenInstanceError):
        setattr(made, name, 1)
    with pytest.raises(TypeError, match="no_such_field"):
        part(no_such_field=1)


def test_field_names_are_unique_over_all_parts() -> None:
    """Errors and image headers name a field without its component."""
    names = [name for part in PARTS for name in part.__dataclass_fields__]
    assert len(names) == len(set(names))


def test_parts_stand_in_one_configuration() -> None:
    config = Config()
    assert [type(getattr(config, name)) for name in Config.__dataclass_fields__] == PARTS


def test_configurations_compare_by_value() -> None:
    assert Config(beam=BeamConfig(wavelength_A=1.0)) == Config(beam=BeamConfig(wavelength_A=1.0)) != Config()


def test_panels_need_their_placement() -> None:
    with pytest.raises(TypeError, match="origin_mm"):
        PanelConfig()  # type: ignore[call-arg]
