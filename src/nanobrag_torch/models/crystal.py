"""The settled crystal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from nanobrag_torch.kernels.structure_factors import StructureFactors


@dataclass(frozen=True)
class Mosaic:
    """Mosaic domains: domain m is rotated about `axes[m]` by `spread * relative_angles[m]` (specs: crystal 10).

    Shapes: `spread` [] rad; `axes` [M, 3] unit vectors; `relative_angles` [M], 0 for the first domain.
    """

    spread: Tensor
    axes: Tensor
    relative_angles: Tensor

    @property
    def domains(self) -> int:
        """Number of domains."""
        return int(self.axes.shape[0])


@dataclass(frozen=True)
class Crystal:
    """Unit cell, orientation, size, shape, mosaicity, structure factors and the water around it.

    Args:
        cell: [6] a, b, c (Å), alpha, beta, gamma (rad); `None` when only a matrix was given.
        reciprocal: [3, 3] rows a*, b*, c* (1/Å) of a matrix, before misset; `None` when only a cell was given.
        misset: [3] rotations about lab x, y, z, in this order (rad).
        N: [3] numbers of cells along a, b, c.
        shape: `square`, `round`, `gauss` or `tophat`.
        fudge: [] factor on the squared radius of the last three shapes.
        mosaic: the mosaic domains.
        structure_factors: amplitudes of the P1 cell.
        interpolate: tricubic interpolation of the amplitudes instead of the nearest index.
        water: [] edge of the water droplet that makes the background (m).
    """

    cell: Tensor | None
    reciprocal: Tensor | None
    misset: Tensor
    N: Tensor
    shape: str
    fudge: Tensor
    mosaic: Mosaic
    structure_factors: StructureFactors
    interpolate: bool
    water: Tensor

    def replace(self, **changes: Any) -> Crystal:
        """A copy with some fields changed."""
        return replace(self, **changes)
