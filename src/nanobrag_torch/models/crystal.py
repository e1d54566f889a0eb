"""The settled crystal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from nanobrag_torch.kernels.coloured_factors import ColouredFactors
from nanobrag_torch.kernels.structure_factors import StructureFactors


@dataclass(frozen=True)
class Mosaic:
    """Mosaic domains, by one of three descriptions.

    As the C program draws them, domain m is rotated in the lab about `axes[m]` by `spread * relative_angles[m]` (specs:
    crystal 10). With `vectors`, it is rotated in the crystal's own frame (e1 along a, e3 along c*), before the spindle
    turns it, by the rotation vector `vectors[m]` times `spreads` (one for each axis) or `spread`. With `turns`, it is
    rotated in the lab at spindle angle 0 by the matrix `turns[m]`.

    Shapes: `spread` [] rad; `axes` [M, 3] unit vectors; `relative_angles` [M], 0 for the first domain; `spreads` [3]
    rad; `vectors` [M, 3]; `turns` [M, 3, 3]; `weights` [M] of mean 1, or `None` when all count the same.
    """

    spread: Tensor
    axes: Tensor
    relative_angles: Tensor
    spreads: Tensor | None = None
    vectors: Tensor | None = None
    turns: Tensor | None = None
    weights: Tensor | None = None

    @property
    def domains(self) -> int:
        """Number of domains."""
        chosen = next(x for x in (self.turns, self.vectors, self.axes) if x is not None)
        return int(chosen.shape[0])

    def only(self, chosen: Tensor) -> Mosaic:
        """The domains of a list [K] of numbers, without weights."""

        def some(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[chosen]

        own = self.turns is not None or self.vectors is not None
        axes, angles = (self.axes, self.relative_angles) if own else (self.axes[chosen], self.relative_angles[chosen])
        return Mosaic(self.spread, axes, angles, self.spreads, some(self.vectors), some(self.turns))


@dataclass(frozen=True)
class Blocks:
    """A distribution of block sizes: block k has N exp(spread · nodes[k]) cells, with share `weights[k]`.

    Shapes: `spread` [] standard deviation of ln N; `nodes` [K]; `weights` [K] of sum 1.
    """

    spread: Tensor
    nodes: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Diffuse:
    """Correlated displacements of whole cells (`physics.diffuse`).

    Shapes: `sigma` [3] amplitude and `gamma` [3] correlation length (Å) along the axes of the crystal's own frame;
    `operations` [K, 3, 3] of the Laue group, h' = h W, those that make different laws.
    """

    sigma: Tensor
    gamma: Tensor
    operations: Tensor


@dataclass(frozen=True)
class Other:
    """Another crystal in the beam, with its share [] of what all of them scatter.

    It is the first crystal with its indices changed by `law` [3, 3] (h' = law · h; a twin), then rotated about lab x,
    y, z by `misset` [3] (rad); or a `crystal` of its own.
    """

    share: Tensor
    misset: Tensor
    law: Tensor | None = None
    crystal: Crystal | None = None


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
        coupling: [3] off-diagonal elements N_bc, N_ac, N_ab of a symmetric matrix N (`gauss` only), or `None`.
        blocks: a distribution of block sizes, or `None`.
        others: further crystals; this one has what their shares leave.
        diffuse: displacements that scatter between the spots, or `None`. A crystal of the shape `diffuse` draws what
            one operation makes of them, and no spots.
        colours: the parts of structure factors that follow the wavelength of each source, or `None`.
        orientation: [3, 3] rotation of the cell's default orientation before misset, or `None` for none; a crystal
            with `reciprocal` has none.
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
    coupling: Tensor | None = None
    blocks: Blocks | None = None
    others: tuple[Other, ...] = ()
    diffuse: Diffuse | None = None
    colours: ColouredFactors | None = None
    orientation: Tensor | None = None

    def replace(self, **changes: Any) -> Crystal:
        """A copy with some fields changed."""
        return replace(self, **changes)
