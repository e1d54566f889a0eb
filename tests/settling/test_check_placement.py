"""Detectors that cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nanobrag_torch.config import BeamConfig, Config, DetectorConfig, PanelConfig, SamplingConfig
from nanobrag_torch.errors import InputError
from nanobrag_torch.settling.check_placement import check_panels, check_placement


def custom(**fields: Any) -> Config:
    return Config(detector=DetectorConfig(convention="CUSTOM", **fields))


@pytest.mark.parametrize("name", [None, "ADXV", "MOSFLM", "DENZO", "XDS", "DIALS", "CUSTOM"])
def test_conventions_pass(name: str | None) -> None:
    check_placement(Config(detector=DetectorConfig(convention=name)))


@pytest.mark.parametrize("field", ["fdet_vector", "sdet_vector", "odet_vector", "twotheta_axis"])
def test_named_conventions_overwrite_vectors(field: str) -> None:
    check_placement(Config(detector=DetectorConfig(convention="XDS", twotheta_deg=5.0, **{field: (0.0, 0.0, 0.0)})))


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (custom(fdet_vector=(0.0, 0.0, 0.0)), "fdet_vector"),
        (custom(sdet_vector=(0.0, 0.0, 0.0)), "sdet_vector"),
        (custom(fdet_vector=(0.0, 3.0, 0.0)), "fdet_vector"),
        (replace(custom(), beam=BeamConfig(beam_vector=(0.0, 0.0, 0.0))), "beam_vector"),
        (replace(custom(), beam=BeamConfig(polar_vector=(0.0, 0.0, 0.0))), "polar_vector"),
        (replace(custom(), sampling=SamplingConfig(spindle_axis=(0.0, 0.0, 0.0))), "spindle_axis"),
        (replace(custom(), beam=BeamConfig(beam_vector=(0.0, 0.0, 1.0))), "fdet_vector"),
        (custom(odet_vector=(0.0, 1.0, 0.0)), "odet_vector"),
        (custom(twotheta_axis=(0.0, 0.0, 1.1), twotheta_deg=1.0), "twotheta_axis"),
        (custom(twotheta_deg=90.0), "twotheta_deg"),
        (Config(detector=DetectorConfig(rotz_deg=90.0)), "rotz_deg"),
        (Config(detector=DetectorConfig(roty_deg=-90.0)), "roty_deg"),
        (Config(detector=DetectorConfig(twotheta_deg=-90.0)), "twotheta_deg"),
        (Config(detector=DetectorConfig(pix0_override_mm=(0.0, 5.0, 5.0))), "pix0_override_mm"),
    ],
)
def test_impossible_placement(config: Config, field: str) -> None:
    with pytest.raises(InputError) as caught:
        check_placement(config)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "config",
    [
        custom(odet_vector=(2.0, 0.0, 0.0)),
        custom(odet_vector=(0.0, 0.0, 0.0)),
        custom(twotheta_axis=(0.0, 0.0, 1.1)),
        custom(pivot="SAMPLE", twotheta_deg=90.0),
        Config(detector=DetectorConfig(convention="XDS", twotheta_deg=90.0)),
        Config(detector=DetectorConfig(rotz_deg=89.0)),
        Config(detector=DetectorConfig(rotz_deg=180.0)),
        Config(detector=DetectorConfig(rotx_deg=90.0)),
    ],
)
def test_odd_but_possible_placement(config: Config) -> None:
    check_placement(config)


PANEL = PanelConfig((100.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 10, 10, 0.1)


def test_good_panels_pass() -> None:
    check_panels([PANEL, replace(PANEL, origin_mm=(100.0, 5.0, 5.0))])


@pytest.mark.parametrize(
    "fields",
    [
        {"pixels_f": 0},
        {"pixel_mm": 0.0},
        {"pixel_mm": float("nan")},
        {"origin_mm": (float("inf"), 0.0, 0.0)},
        {"origin_mm": (0.0, 5.0, 5.0)},
        {"fast_vector": (0.0, 1.0, 0.0)},
        {"fast_vector": (0.0, 0.0, 0.0)},
    ],
)
def test_bad_panel_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        check_panels([PANEL, replace(PANEL, **fields)])
    assert caught.value.field == "panels[1]"


def test_no_panel() -> None:
    with pytest.raises(InputError, match="there is no panel"):
        check_panels([])
