"""What the user said: one frozen dataclass per component, user units in the field names, `None` = not said.

A scene is written in Python as a `Config`; the command line makes the same `Config` from its words. `settle`
supplies every default, auto-selection and unit. Continuous fields may be numbers or 0-d tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nanobrag_torch.config.background import Amorphous, BackgroundConfig, Incoherent
from nanobrag_torch.config.beam import BeamConfig
from nanobrag_torch.config.crystal import CrystalConfig, OtherLattice
from nanobrag_torch.config.detector import DetectorConfig, PanelConfig
from nanobrag_torch.config.output import OutputConfig
from nanobrag_torch.config.path import PathConfig
from nanobrag_torch.config.sampling import SamplingConfig


@dataclass(frozen=True)
class Config:
    """The whole scene as said."""

    crystal: CrystalConfig = field(default_factory=CrystalConfig)
    beam: BeamConfig = field(default_factory=BeamConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    path: PathConfig = field(default_factory=PathConfig)


__all__ = [
    "Amorphous",
    "BackgroundConfig",
    "BeamConfig",
    "Config",
    "CrystalConfig",
    "DetectorConfig",
    "Incoherent",
    "OtherLattice",
    "OutputConfig",
    "PanelConfig",
    "PathConfig",
    "SamplingConfig",
]
