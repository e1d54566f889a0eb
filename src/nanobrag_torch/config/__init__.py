"""What the user specified: one frozen dataclass per component, user units in the field names, `None` = not given.

A scene is written in Python as a `Config`; the command line makes the same `Config` from its words. `settle`
supplies every default, auto-selection and unit. Continuous fields may be numbers or 0-d tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from nanobrag_torch.config.background import Amorphous, BackgroundConfig, Incoherent
from nanobrag_torch.config.beam import BeamConfig
from nanobrag_torch.config.crystal import CrystalConfig, OtherLattice
from nanobrag_torch.config.detector import DetectorConfig, PanelConfig
from nanobrag_torch.config.output import OutputConfig
from nanobrag_torch.config.path import PathConfig
from nanobrag_torch.config.response import ResponseConfig
from nanobrag_torch.config.sampling import SamplingConfig
from nanobrag_torch.tables import Row, as_html, as_text, written


@dataclass(frozen=True)
class Config:
    """The whole scene as the user specified it; `settle` supplies the rest."""

    crystal: CrystalConfig = field(default_factory=CrystalConfig)
    beam: BeamConfig = field(default_factory=BeamConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    path: PathConfig = field(default_factory=PathConfig)
    response: ResponseConfig = field(default_factory=ResponseConfig)

    def __str__(self) -> str:
        """What was specified, as a table: fields that differ from their defaults."""
        return as_text(self._title, self._rows())

    def _repr_html_(self) -> str:
        return as_html(self._title, self._rows())

    @property
    def _title(self) -> str:
        return "Config: what was specified; settle() supplies the rest" if self._rows() else "Config: nothing specified"

    def _rows(self) -> list[Row]:
        parts = ((part.name, getattr(self, part.name)) for part in fields(self))
        return [
            (name, own.name, written(getattr(part, own.name)))
            for name, part in parts
            for own in fields(part)
            if getattr(part, own.name) is not own.default
        ]


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
    "ResponseConfig",
    "SamplingConfig",
]
