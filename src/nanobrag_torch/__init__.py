"""X-ray diffraction of nanocrystals on an absolute scale, pixel by pixel, differentiable.

    from nanobrag_torch import Config, CrystalConfig, settle, Simulator

    scene = Config(crystal=CrystalConfig(cell_a=100.0, Na=5, Nb=5, Nc=5, default_F=100.0))
    image = Simulator(settle(scene)).run()

Names are loaded when they are first used, so that importing the package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nanobrag_torch.moved import serve_old_names

__version__ = "0.1.0"

_HOMES = {
    "Config": "config",
    "CrystalConfig": "config",
    "BeamConfig": "config",
    "DetectorConfig": "config",
    "PanelConfig": "config",
    "SamplingConfig": "config",
    "OutputConfig": "config",
    "BackgroundConfig": "config",
    "PathConfig": "config",
    "ResponseConfig": "config",
    "Amorphous": "config",
    "Incoherent": "config",
    "OtherLattice": "config",
    "Crystal": "models",
    "Mosaic": "models",
    "Scan": "models",
    "Beam": "models",
    "Detector": "models",
    "Panel": "models",
    "Sampling": "models",
    "Experiment": "models",
    "StructureFactors": "kernels.structure_factors",
    "lattice_sum": "kernels.lattice_sum",
    "model_sums": "io.model",
    "anomalous_factors": "io.model",
    "model_structure_factors": "settling.model_amplitudes",
    "settle": "settling",
    "read_scene": "io.scene_file",
    "write_scene": "io.scene_file",
    "Simulator": "pipeline.simulator",
    "Image": "pipeline.image",
    "NanobragError": "errors",
    "InputError": "errors",
    "FileFormatError": "errors",
    "BackendUnavailable": "errors",
    "NanobragWarning": "errors",
    "LegacyDefectWarning": "errors",
    "TableRangeWarning": "errors",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


serve_old_names(__name__)
