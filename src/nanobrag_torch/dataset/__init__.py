"""Data sets: populations of images whose truth is known, in shards, for training and planning.

from nanobrag_torch.dataset import DiffractionDataset, SimulatedDiffraction, read_population
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Population": "population",
    "Noise": "population",
    "Labels": "population",
    "Shards": "population",
    "read_population": "reading",
    "make": "making",
    "verify": "verifying",
    "Maker": "images",
    "Sample": "images",
    "open_shard": "shards",
    "decode": "tar_shard",
    "DiffractionDataset": "training",
    "SimulatedDiffraction": "training",
    "image_tensor": "training",
    "spot_map": "training",
    "sample_list": "training",
    "Uniform": "distributions",
    "LogUniform": "distributions",
    "Normal": "distributions",
    "LogNormal": "distributions",
    "Integers": "distributions",
    "Choice": "distributions",
    "Rotations": "distributions",
    "Fixed": "distributions",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
