"""A small scene whose configuration fields are changed by name, settled and rendered in either mode."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from nanobrag_torch.config import BeamConfig, Config, CrystalConfig, DetectorConfig, OutputConfig, SamplingConfig
from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.models import Experiment
from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.settling import settle
from nanobrag_torch.settling.inputs import Inputs

PARTS = {
    "crystal": CrystalConfig,
    "beam": BeamConfig,
    "detector": DetectorConfig,
    "sampling": SamplingConfig,
    "output": OutputConfig,
}
SMALL = {
    "cell_a": 40.0,
    "cell_b": 45.0,
    "cell_c": 50.0,
    "Na": 4,
    "Nb": 4,
    "Nc": 4,
    "default_F": 100.0,
    "wavelength_A": 1.2,
    "pixels_f": 20,
    "pixels_s": 16,
    "pixel_mm": 0.4,
    "distance_mm": 60.0,
    "oversample": 1,
}


def make_config(**changes: Any) -> Config:
    said = {**SMALL, **changes}
    parts = {}
    for name, kind in PARTS.items():
        own = {field.name for field in fields(kind)}
        parts[name] = kind(**{field: said.pop(field) for field in list(said) if field in own})
    assert not said, f"no such fields: {sorted(said)}"
    return Config(**parts)


def make_scene(physics: str, *, sources: Any = None, **changes: Any) -> Experiment:
    inputs = None if sources is None else Inputs(sources=np.asarray(sources, dtype=np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(make_config(**changes), physics, inputs)


def make_image(physics: str, **changes: Any) -> np.ndarray:
    return Simulator(make_scene(physics, **changes)).run().array.detach().numpy()


@pytest.fixture(scope="session")
def config() -> Callable[..., Config]:
    """Fields by name → the configuration of a small scene with these changes."""
    return make_config


@pytest.fixture(scope="session")
def scene() -> Callable[..., Experiment]:
    """Mode, rows of a source file, and fields by name → a settled scene."""
    return make_scene


@pytest.fixture(scope="session")
def render() -> Callable[..., np.ndarray]:
    """As `scene` → pixel values [slow, fast] in double precision."""
    return make_image
