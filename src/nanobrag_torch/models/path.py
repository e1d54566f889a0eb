"""The settled path of the X-rays through sample and air."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from nanobrag_torch.geometry.bodies import Body


@dataclass(frozen=True)
class BeamForm:
    """How the beam falls off from its middle: `gauss` or `flat`, with full widths [2] (at half maximum, m)."""

    form: str
    widths: Tensor


@dataclass(frozen=True)
class Sample:
    """A body of attenuation coefficient `attenuation` [] (1/m), that the spindle turns.

    Args:
        body: its form, in metres, in the lab frame at spindle angle 0.
        attenuation: [] 1/m.
        points: [K, 3] places in the body (m), and `shares` [K] of sum 1, that stand for its volume.
        beam: the beam's form; `None` lights all of the body.
    """

    body: Body
    attenuation: Tensor
    points: Tensor
    shares: Tensor
    beam: BeamForm | None = None


@dataclass(frozen=True)
class Path:
    """What absorbs, and what is lit; empty unless something was specified. `air` [] is in 1/m."""

    sample: Sample | None = None
    air: Tensor | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was specified."""
        return self.sample is None and self.air is None

    def replace(self, **changes: Any) -> Path:
        """A copy with some fields changed."""
        return replace(self, **changes)
