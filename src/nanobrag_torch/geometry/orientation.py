"""From the cell at rest to the cell of every phi step and mosaic domain (specs: crystal 4, 6, 9, 10)."""

from __future__ import annotations

import torch
from torch import Tensor

from nanobrag_torch.geometry.cell import Lattice, direct_lattice, reciprocal_vectors
from nanobrag_torch.geometry.rotation import rotate_about, rotate_xyz, rotation_matrices, turn
from nanobrag_torch.geometry.vectors import cross
from nanobrag_torch.numerics import normalise


def lattice_at_rest(
    cell: Tensor | None,
    reciprocal: Tensor | None,
    misset: Tensor,
    exact: bool,
    orientation: Tensor | None = None,
) -> Lattice:
    """The lattice after misset and before the spindle.

    Args:
        cell: [6] Å, rad, or `None`.
        reciprocal: [3, 3] rows (1/Å) of an orientation matrix, or `None`; it wins over the cell's orientation.
        misset: [3] angles (rad) about lab x, y, z.
        exact: which law makes the default orientation (specs: deviations, D26).
        orientation: [3, 3] rotation of a cell's default orientation, before misset.
    """
    if reciprocal is None:
        if cell is None:
            raise ValueError("a lattice needs a cell or a matrix")
        reciprocal = reciprocal_vectors(cell, exact)
        if orientation is not None:
            reciprocal = reciprocal @ orientation.transpose(0, 1)
    return direct_lattice(rotate_xyz(reciprocal, misset), cell)


def phi_angles(start: Tensor, step: Tensor, steps: int) -> Tensor:
    """Spindle angles [T] (rad): the start of each step."""
    return start + step * torch.arange(steps, dtype=start.dtype, device=start.device)


def domain_cells(direct: Tensor, axis: Tensor, phi: Tensor, domain_axes: Tensor, domain_angles: Tensor) -> Tensor:
    """Cell vectors [T*M, 3, 3] (rows a, b, c, Å) of every phi step and mosaic domain, phi outermost.

    Shapes: `direct` [3, 3]; spindle `axis` [3]; `phi` [T]; `domain_axes` [M, 3]; `domain_angles` [M] (rad).
    """
    turned = rotate_about(direct.expand(len(phi), 3, 3), axis, phi[:, None].expand(-1, 3))
    matrices = rotation_matrices(domain_axes, domain_angles)
    cells = turn(matrices[None, :, None], turned[:, None])
    return cells.reshape(-1, 3, 3)


def crystal_frame(direct: Tensor) -> Tensor:
    """Unit vectors [3, 3] (rows) of the crystal's own frame: e1 along a, e3 along c* = a×b, e2 = e3×e1."""
    first = normalise(direct[0])
    third = normalise(cross(direct[0], direct[1]))
    return torch.stack([first, cross(third, first), third])


def turned_cells(direct: Tensor, axis: Tensor, phi: Tensor, turns: Tensor) -> Tensor:
    """Cell vectors [T*M, 3, 3] (rows, Å) of domains that the spindle turns along, phi outermost.

    Shapes: `direct` [3, 3]; spindle `axis` [3]; `phi` [T]; `turns` [M, 3, 3], applied before the spindle.
    """
    at_rest = turn(turns[:, None], direct[None])
    angles = phi[:, None, None].expand(-1, len(turns), 3)
    cells = rotate_about(at_rest[None].expand(len(phi), -1, 3, 3), axis, angles)
    return cells.reshape(-1, 3, 3)
