"""Directions of a divergent beam (specs: sources 6)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nanobrag_torch.geometry.rotation import rotate_about
from nanobrag_torch.geometry.vectors import cross, real
from nanobrag_torch.numerics import normalise

SOURCE_DISTANCE = 10.0
"""Metres; only the direction of a source matters."""


@dataclass(frozen=True)
class Divergence:
    """Steps of one divergence plane: angle k is step*k - range/2 (rad)."""

    steps: int
    range: float
    step: float

    def angle(self, k: int) -> float:
        """Angle of step k (rad)."""
        return self.step * k - self.range / 2.0


def kept_directions(horizontal: Divergence, vertical: Divergence, trim: bool) -> list[tuple[float, float]]:
    """Pairs (horizontal, vertical) of angles (rad) that an elliptical trimming keeps, horizontal outermost."""
    kept = []
    even_h = 1.0 if horizontal.steps % 2 == 0 else 0.0
    even_v = 1.0 if vertical.steps % 2 == 0 else 0.0
    for i in range(horizontal.steps):
        for j in range(vertical.steps):
            h, v = horizontal.angle(i), vertical.angle(j)
            if trim and horizontal.range > 0 and vertical.range > 0:
                test = (h * h - even_h * horizontal.step**2 / 4.0) / horizontal.range**2
                test += (v * v - even_v * vertical.step**2 / 4.0) / vertical.range**2
                if test * 4.0 > 1.1:
                    continue
            kept.append((h, v))
    return kept


def source_position(beam: Tensor, polarization_axis: Tensor, horizontal: float, vertical: float) -> Tensor:
    """Position [3] (m) of a source rotated from the beam: rot(rot(-10 b, p, δv), v, δh), v = normalise(b×p)."""
    across = normalise(cross(beam, polarization_axis))
    raised = rotate_about(-SOURCE_DISTANCE * beam, polarization_axis, real(vertical))
    return rotate_about(raised, across, real(horizontal))
