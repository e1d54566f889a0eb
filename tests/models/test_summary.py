"""`Config` and `Experiment` print themselves."""

from __future__ import annotations

import re

import torch

from nanobrag_torch import BackgroundConfig, BeamConfig, Config, CrystalConfig, DetectorConfig, settle


def said() -> Config:
    cell_a = torch.tensor(70.0, dtype=torch.float64, requires_grad=True)
    return Config(
        crystal=CrystalConfig(cell_a=cell_a, Na=3, default_F=7.5, mosaic_spread_deg=0.25, mosaic_law="gauss"),
        beam=BeamConfig(wavelength_A=1.25, fluence=1e24),
        detector=DetectorConfig(distance_mm=123.0, pixels_f=200, pixels_s=100, pixel_mm=0.5, thickness_um=320.0),
        background=BackgroundConfig(air_mm=3.0),
    )


def value(table: str, name: str) -> str:
    found = re.search(rf"\b{name}\s\s+(\S.*)$", table, re.MULTILINE)
    assert found is not None, (name, table)
    return found[1]


def test_a_config_shows_what_was_said_and_nothing_else():
    table = str(said())
    assert value(table, "cell_a") == "70 (requires a gradient)"
    assert value(table, "wavelength_A") == "1.25"
    assert len(table.split("\n")) == 1 + 13
    assert "nothing specified" in str(Config())
    assert said()._repr_html_().count("<tr>") == 13


def test_an_experiment_shows_what_decides_the_image_in_the_users_units():
    experiment = settle(said())
    table = str(experiment)
    assert value(table, "cell") == "70 70 70 Å, 90 90 90° (requires a gradient)"
    assert value(table, "cells") == "3 1 1, square"
    assert value(table, "mosaic") == "20 domains, spread 0.25°"
    assert value(table, "structure factors") == "F = 7.5 electrons everywhere"
    assert value(table, "wavelength") == "1.25 Å"
    assert value(table, "fluence") == "1e+24 photons/m²"
    assert value(table, "panel 0") == "200 x 100 pixels of 0.5 mm, distance 123 mm, sensor 320 µm"
    assert value(table, "terms per pixel") == str(experiment.steps)
    assert "something beside the crystal scatters" in table
    assert experiment._repr_html_().count("<tr>") == len(table.split("\n")) - 1
