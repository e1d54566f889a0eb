"""A crystal that the tests of imperfect crystals and beams start from."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig, Simulator, settle
from nanobrag_torch.pipeline.render import pixel_scene

SCENE = Config(
    crystal=CrystalConfig(
        cell_a=45.0,
        cell_b=52.0,
        cell_c=61.0,
        cell_alpha=85.0,
        cell_beta=97.0,
        cell_gamma=104.0,
        misset_deg=(11.0, -23.0, 34.0),
        Na=6,
        Nb=5,
        Nc=4,
        default_F=100.0,
    ),
    beam=BeamConfig(wavelength_A=1.1, fluence=1e28),
    detector=DetectorConfig(pixels_f=30, pixels_s=30, pixel_mm=1.2, distance_mm=60.0),
    sampling=SamplingConfig(oversample=1),
)


def crystal(**said: object) -> Config:
    return replace(SCENE, crystal=replace(SCENE.crystal, **said))


def values(config: Config, **changes: object) -> np.ndarray:
    return np.asarray(Simulator(settle(config).replace(**changes)).run().array)


def frame_of(config: Config) -> np.ndarray:
    """e1 along a, e3 along c*, from the scene's cell."""
    a, b, _ = pixel_scene(settle(config), 0).A[0].numpy()
    e1, e3 = a / np.linalg.norm(a), np.cross(a, b) / np.linalg.norm(np.cross(a, b))
    return np.stack([e1, np.cross(e3, e1), e3])


@pytest.fixture
def imperfect() -> SimpleNamespace:
    """`scene`; `crystal(...)`, the scene with other fields of its crystal; `values` and `frame_of` of a scene."""
    return SimpleNamespace(scene=SCENE, crystal=crystal, values=values, frame_of=frame_of)
