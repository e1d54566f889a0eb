"""Values that cannot be meant; tests/cli/test_main.py has the same through the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nanobrag_torch.config import (
    BackgroundConfig,
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    OutputConfig,
    PanelConfig,
    PathConfig,
    SamplingConfig,
)
from nanobrag_torch.errors import InputError, UsageError
from nanobrag_torch.settling import checks
from nanobrag_torch.settling.checks import available_memory, check, detector_pixels

GOOD = Config(crystal=CrystalConfig(cell_a=40.0, default_F=1.0))


def with_(part: str, **fields: Any) -> Config:
    return replace(GOOD, **{part: replace(getattr(GOOD, part), **fields)})


def test_good_configuration_passes() -> None:
    check(GOOD)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("beam", "wavelength_A", 0.0),
        ("beam", "wavelength_A", -1.0),
        ("beam", "wavelength_A", float("nan")),
        ("beam", "wavelength_A", float("inf")),
        ("beam", "wavelength_A", "1.0"),
        ("beam", "wavelength_A", torch.tensor(0.0)),
        ("beam", "wavelength_A", torch.tensor([1.0, 2.0])),
        ("beam", "fluence", -1.0),
        ("beam", "beam_vector", (1.0, 0.0)),
        ("beam", "beam_vector", (1.0, 0.0, float("nan"))),
        ("beam", "hdiv_steps", 2.5),
        ("beam", "source_file", 5),
        ("crystal", "cell_a", -5.0),
        ("crystal", "cell_b", float("nan")),
        ("crystal", "Na", 1e12),
        ("crystal", "sample_x_mm", -1.0),
        ("crystal", "water_um", -1.0),
        ("crystal", "fudge", -0.1),
        ("crystal", "shape", "cube"),
        ("crystal", "misset_seed", 2147483647),
        ("crystal", "mosaic_seed", -2147483647),
        ("crystal", "misset_deg", 5.0),
        ("crystal", "mosaic_domains", 2**31),
        ("crystal", "orientation_matrix", np.zeros((3, 3))),
        ("crystal", "orientation_matrix", np.full((3, 3), np.nan)),
        ("crystal", "orientation_matrix", np.ones((2, 3))),
        ("detector", "convention", "mosflm"),
        ("detector", "pivot", "middle"),
        ("detector", "pixel_mm", 0.0),
        ("detector", "distance_mm", -1.0),
        ("detector", "close_distance_mm", 0.0),
        ("detector", "detsize_f_mm", 0.0),
        ("detector", "pixels_f", -1),
        ("detector", "pixels_s", 2**31 - 1),
        ("detector", "attenuation_depth_um", float("nan")),
        ("sampling", "roi", (0, 1, 2)),
        ("sampling", "roi", (0, 1.5, 0, 1)),
        ("sampling", "roi", (3, 2, 0, 1)),
        ("sampling", "phi_deg", float("inf")),
        ("output", "noise_seed", 2147483647),
        ("output", "dtype", "float16"),
        ("output", "threads", 0),
        ("output", "memory_MB", 0.0),
        ("output", "printout_pixel", (1024, 0)),
        ("output", "physics", "newtonian"),
    ],
)
def test_impossible_value_is_refused_by_its_field(part: str, field: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        check(with_(part, **{field: value}))
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        ("detector", {"attenuation_depth_um": float("inf")}),
        ("detector", {"attenuation_depth_um": -1.0}),
        ("detector", {"pixels_f": 0}),
        ("detector", {"thickness_um": -1.0}),
        ("beam", {"beamsize_mm": -1.0}),
        ("beam", {"dispersion_percent": -1.0}),
        ("beam", {"hdiv_range_mrad": -1.0, "hdiv_steps": 0}),
        ("crystal", {"Na": 0}),
        ("crystal", {"Na": -3}),
        ("crystal", {"cell_alpha": 0.0, "cell_b": -1.0}),
        ("crystal", {"mosaic_spread_deg": -1.0, "mosaic_domains": -1}),
        ("crystal", {"misset_deg": torch.tensor([1.0, 2.0, 3.0])}),
        ("crystal", {"cell_a": torch.tensor(40.0, requires_grad=True)}),
        ("crystal", {"orientation_matrix": torch.eye(3)}),
        ("sampling", {"roi": (-5, 5000, -1, -1)}),
        ("sampling", {"roi": (1023, 1024, 0, 0)}),
        ("sampling", {"oversample": -1, "dmin_A": -1.0}),
        ("sampling", {"phi_steps": 0}),
        ("output", {"scale": -1.0, "adc": -50.0, "noise_seed": -5}),
    ],
)
def test_odd_but_meaningful_values_pass(part: str, fields: dict[str, Any]) -> None:
    check(with_(part, **fields))


@pytest.mark.parametrize("angles", [(30, 30, 90), (60, 60, 120), (200, 90, 90), (120, 120, 120), (150, 150, 150)])
def test_impossible_angles(angles: tuple[float, float, float]) -> None:
    alpha, beta, gamma = map(float, angles)
    with pytest.raises(InputError, match="no cell has the angles"):
        check(with_("crystal", cell_alpha=alpha, cell_beta=beta, cell_gamma=gamma))


@pytest.mark.parametrize("angles", [(60, 60, 60), (60, 60, 119), (119, 119, 119), (20, 90, 90)])
def test_possible_angles(angles: tuple[float, float, float]) -> None:
    alpha, beta, gamma = map(float, angles)
    check(with_("crystal", cell_alpha=alpha, cell_beta=beta, cell_gamma=gamma))


def test_crystal_is_needed() -> None:
    with pytest.raises(UsageError) as caught:
        check(Config(crystal=CrystalConfig(default_F=1.0)))
    assert caught.value.field == "cell_a"
    check(Config(crystal=CrystalConfig(default_F=1.0, matrix_file="A.mat")))


def test_amplitudes_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        check(Config(crystal=CrystalConfig(cell_a=40.0, use_dump=True)))
    assert caught.value.field == "hkl_file"
    (tmp_path / "Fdump.bin").touch()
    check(Config(crystal=CrystalConfig(cell_a=40.0, use_dump=True)))
    with pytest.raises(UsageError):
        check(Config(crystal=CrystalConfig(cell_a=40.0)))
    check(Config(crystal=CrystalConfig(cell_a=40.0, dump_file="named.bin")))
    check(Config(crystal=CrystalConfig(cell_a=40.0, hkl_file="P1.hkl")))
    check(Config(crystal=CrystalConfig(cell_a=40.0, default_F=-1.0)))


def test_flux_through_nothing() -> None:
    with pytest.raises(InputError, match="beamsize_mm"):
        check(with_("beam", flux=1e12, beamsize_mm=0.0))
    check(with_("beam", beamsize_mm=0.0))


def test_counts_that_no_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "available_memory", lambda: 1e9)
    check(with_("detector", pixels_f=5000, pixels_s=5000))
    for part, fields, field in (
        ("detector", {"pixels_f": 10000, "pixels_s": 10000}, "pixels_f"),
        ("detector", {"pixel_mm": 0.01}, "pixel_mm"),
        ("sampling", {"phi_steps": 10**8}, "phi_steps"),
        ("sampling", {"osc_deg": 360.0, "phi_step_deg": 1e-8}, "phi_steps"),
        ("crystal", {"mosaic_domains": 10**8, "mosaic_spread_deg": 1.0}, "mosaic_domains"),
        ("beam", {"vdiv_range_mrad": 1.0, "vdiv_steps": 10**8}, "vdiv_steps"),
        ("beam", {"hdiv_range_mrad": 1.0, "hdiv_step_mrad": 1e-8}, "hdiv_steps"),
    ):
        with pytest.raises(InputError, match="GB of memory") as caught:
            check(with_(part, **fields))
        assert caught.value.field == field


def test_a_source_file_replaces_the_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "available_memory", lambda: 1e9)
    check(with_("beam", hdiv_range_mrad=1.0, hdiv_steps=10**8, source_file="sources.txt"))


def test_available_memory_is_plausible() -> None:
    assert available_memory() > 1e7


@pytest.mark.parametrize(
    ("fields", "pixels"),
    [
        ({}, (1024, 1024)),
        ({"pixels_f": 10}, (10, 1024)),
        ({"detsize_f_mm": 4.5, "pixel_mm": 1.0}, (4, 102)),
        ({"detsize_f_mm": 1.05}, (11, 1024)),  # in metres a last bit above 10.5 pixels, as in the C program
        ({"detsize_f_mm": 1.06}, (11, 1024)),
        ({"pixels_f": 7, "detsize_f_mm": 50.0, "pixel_mm": 0.2}, (7, 512)),
        ({"pixel_mm": torch.tensor(0.2)}, (512, 512)),
    ],
)
def test_detector_pixels(fields: dict[str, Any], pixels: tuple[int, int]) -> None:
    """specs: geometry 1; half a pixel rounds down."""
    assert detector_pixels(DetectorConfig(**fields)) == pixels


def test_panels_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = PanelConfig((100.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 6000, 6000, 0.1)
    check(with_("detector", panels=(panel,)))
    monkeypatch.setattr(checks, "available_memory", lambda: 1e9)
    with pytest.raises(InputError, match="2 panels"):
        check(with_("detector", panels=(panel, panel)))


def test_every_annotation_is_understood() -> None:
    """A field whose type is new would go unchecked."""
    known = ("Real", "float", "Vector", "int", "tuple[int", "tuple[float", "tuple[str", "str", "bool", "object")
    known += ("StructureFactors", "np.ndarray", "tuple[OtherLattice", "tuple[Amorphous", "tuple[Incoherent")
    parts = (CrystalConfig, BeamConfig, DetectorConfig, SamplingConfig, OutputConfig, BackgroundConfig, PathConfig)
    for part in parts:
        for field in part.__dataclass_fields__.values():
            assert str(field.type).startswith((*known, "tuple[PanelConfig")), f"{part.__name__}.{field.name}"
