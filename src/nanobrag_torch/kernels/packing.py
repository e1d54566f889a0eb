"""The flat form in which compiled kernels take a problem: whole numbers, and vectors of real parameters.

The order is that of the enumerations in csrc/problem.h. Real parameters are put together by torch, so that their
gradients find the way back to the tensors they came from.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.kernels.problem import LatticeProblem
from nanobrag_torch.kernels.shapes import CODES
from nanobrag_torch.numerics import normalise

THREADS = 11
"""Place of the number of threads in the configuration; it is filled in when a kernel is called."""

PIXELS_F = 15
"""Place of the length of a row of pixels in the configuration."""

LATTICE_LENGTH, GEOMETRY_LENGTH, SOURCE_LENGTH = 13, 33, 11
CURVATURES = {"flat": 0, "nanobragg": 1, "exact": 2}
BACKGROUNDS = {"none": 0, "nanobragg": 1, "exact": 2}


LAGRANGE_NORM = 1.25**3
"""The most that cubic interpolation between nodes of size 1 gives."""

LARGEST_TABLE = 2**31 - 1
"""Entries that the kernels' 32-bit places reach."""


class PackedScene(NamedTuple):
    """A scene as the fused kernel takes it, put together once for any number of pixel lists.

    Args:
        tensors: geometry [G], sources [Q,11], A [M,3,3], lattice [13], table [T].
        config: the whole numbers.
        has_background: whether a background is summed too.
    """

    tensors: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
    config: list[int]
    has_background: bool

    @property
    def pixels_f(self) -> int:
        """Length of a row of pixels."""
        return self.config[PIXELS_F]

    @property
    def device(self) -> torch.device:
        """Where the scene is."""
        return self.tensors[0].device

    def to(self, device: torch.device, table: Tensor | None = None) -> PackedScene:
        """The packed scene on another device, in two transfers: the table's, and one for all else.

        Args:
            device: where.
            table: the table, where it is there already.
        """
        if self.device == device:
            return self
        small = self.tensors[:4]
        there = torch.cat([tensor.reshape(-1) for tensor in small]).to(device)
        pieces = torch.split(there, [tensor.numel() for tensor in small])
        geometry, sources, A, lattice = (p.reshape(t.shape) for p, t in zip(pieces, small, strict=True))
        return self._replace(
            tensors=(geometry, sources, A, lattice, self.tensors[4].to(device) if table is None else table)
        )


def pack_scene(
    scene: PixelScene,
    dtype: torch.dtype,
    *,
    crystal: PackedScene | None = None,
    panel: PackedScene | None = None,
    table: Tensor | None = None,
) -> PackedScene:
    """Put a scene together, for double precision or, from the fractions of h on, single.

    Args:
        scene: one panel, the sources, the crystal.
        dtype: float64 or float32.
        crystal: a packed scene of the same crystal and scan, in the same precision, whose tensors are taken.
        panel: a packed scene of the same panel and beam, whose tensors are taken.
        table: the packed table, where it is known.

    Raises:
        InputError: the table is larger than `LARGEST_TABLE`.
    """
    config = scene_config(scene, dtype)
    lattice = lattice_parameters(scene.N, scene_problem(scene, dtype)) if crystal is None else crystal.tensors[3]
    table = table if crystal is None else crystal.tensors[4]
    if table is None:
        table = scene.structure_factors.flat()
        if not scene.keeps_graph:  # gradients look up the amplitudes in double
            table = table.to(dtype)
    geometry, sources = (scene_geometry(scene), scene_sources(scene)) if panel is None else panel.tensors[:2]
    return PackedScene((geometry, sources, scene.A, lattice, table), config, scene.background != "none")


def lattice_config(problem: LatticeProblem, orientations: int) -> list[int]:
    """The whole numbers of a lattice sum.

    Raises:
        InputError: the table is larger than `LARGEST_TABLE`.
    """
    table = problem.table
    if prod(table.sizes) >= LARGEST_TABLE:
        largest = f"the compiled kernels take fewer than {LARGEST_TABLE}: use the backend reference, or fewer indices"
        raise InputError("structure_factors", f"the table has {prod(table.sizes)} entries", largest)
    lookup = 0 if table.values is None else 2 if problem.interpolation else 1
    return [
        CODES[problem.shape],
        lookup,
        int(problem.radius == "exact"),
        int(problem.dtype == torch.float32),
        *table.sizes,
        *table.origin,
        orientations,
        1,
    ]


def lattice_parameters(N: Tensor, problem: LatticeProblem) -> Tensor:
    """N, fudge and reciprocal vectors, [LATTICE_LENGTH]; constants where the shape does not use them."""
    fudge = problem.fudge.detach() if problem.shape == "square" else problem.fudge
    radial = problem.shape == "diffuse" or (problem.shape in ("gauss", "tophat") and problem.radius == "nanobragg")
    reciprocal = problem.reciprocal if radial else problem.reciprocal.detach()
    return torch.cat([N, fudge.reshape(1), reciprocal.reshape(-1)])


def scene_config(scene: PixelScene, dtype: torch.dtype) -> list[int]:
    """The whole numbers of a sum over pixels."""
    return [
        *lattice_config(scene_problem(scene, dtype), len(scene.A)),
        len(scene.incident),
        scene.layers,
        scene.oversample,
        scene.pixels_f,
        CURVATURES[scene.curved],
        int(scene.point_pixel),
        int(scene.has_sensor),
        int(scene.polarized),
        int(scene.per_term_omega),
        int(scene.per_term_polar),
        int(scene.per_term_thick),
        BACKGROUNDS[scene.background],
        int(scene.dmin > 0.0),
    ]


def scene_problem(scene: PixelScene, dtype: torch.dtype) -> LatticeProblem:
    """The lattice's part of a scene."""
    return LatticeProblem(
        scene.structure_factors,
        scene.shape,
        scene.reciprocal,
        scene.fudge,
        scene.interpolate and scene.structure_factors.values is not None,
        scene.radius,
        dtype,
    )


def scene_geometry(scene: PixelScene) -> Tensor:
    """The panel's real parameters, [GEOMETRY_LENGTH]."""
    fast, slow = _sphere_axes(scene)
    dmin = scene.origin.new_tensor(scene.dmin)
    parts = (
        scene.origin,
        scene.fast,
        scene.slow,
        scene.normal,
        scene.pixel_size,
        scene.close_distance,
        scene.layer_step,
        scene.attenuation,
        scene.point_area,
        scene.polarization_factor,
        dmin,
        scene.distance,
        scene.beam,
        scene.beam_centre,
        fast,
        slow,
        *_limits(scene),
    )
    return torch.cat([part.reshape(-1) for part in parts])


def _limits(scene: PixelScene) -> tuple[Tensor, ...]:
    """What a pixel may lose to terms left out, and what no |F| exceeds; constants (csrc/bounds.h)."""
    limit, largest = scene.origin.new_tensor(scene.limit), scene.origin.new_zeros(())
    if scene.limit > 0.0:
        between_nodes = LAGRANGE_NORM if scene.interpolate and scene.structure_factors.values is not None else 1.0
        largest = between_nodes * scene.structure_factors.flat().detach().abs().max()
    return limit, largest


def _sphere_axes(scene: PixelScene) -> tuple[Tensor, Tensor]:
    """Axes of the exact curved detector across the beam (specs: deviations F, D28); zeros for the others."""
    if scene.curved != "exact":
        return torch.zeros_like(scene.fast), torch.zeros_like(scene.fast)
    fast = normalise(scene.fast - (scene.fast * scene.beam).sum() * scene.beam)
    slow = torch.linalg.cross(scene.beam, fast)
    return fast, slow * torch.sign((slow * scene.slow).sum().detach())


def scene_sources(scene: PixelScene) -> Tensor:
    """The sources' real parameters, [Q, SOURCE_LENGTH]: with their electric and magnetic directions (intensity 5)."""
    incident = scene.incident
    magnetic = normalise(torch.linalg.cross(scene.polarization_axis.expand_as(incident), incident))
    electric = normalise(torch.linalg.cross(incident, magnetic))
    return torch.cat([incident, scene.wavelength[:, None], scene.weight[:, None], electric, magnetic], dim=1)
