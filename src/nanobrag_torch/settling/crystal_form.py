"""Mosaic domains, block sizes and further lattices: from the configuration to the parts of the settled crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.config import CrystalConfig
from nanobrag_torch.errors import InputError
from nanobrag_torch.geometry.cell import Lattice
from nanobrag_torch.geometry.low_discrepancy import gaussian_points, lorentzian_points
from nanobrag_torch.geometry.orientation import crystal_frame
from nanobrag_torch.geometry.rotation import matrices_of_vectors
from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.legacy_random import MOSAIC_SEED, LegacyRandom, Stream, mosaic_draws
from nanobrag_torch.models import Blocks, Diffuse, Mosaic, Other
from nanobrag_torch.models.experiment import Note
from nanobrag_torch.physics.diffuse import distinct
from nanobrag_torch.settling.check_matter import laue_operations, twin_law
from nanobrag_torch.settling.steps import mosaic_domains
from nanobrag_torch.settling.values import number, optional, tensor
from nanobrag_torch.units import radians_from_degrees

if TYPE_CHECKING:
    from nanobrag_torch.settling.inputs import Inputs

DEFAULT_EVEN_DOMAINS = 20
DEFAULT_BLOCK_SIZES = 5
LIKE_METRIC = 0.02
"""How far a cell may be from the symmetry of its group, as a part of its largest 1/d²."""
POINTS = {"gauss": gaussian_points, "lorentz": lorentzian_points}


def settle_mosaic(said: CrystalConfig, inputs: Inputs, generator: LegacyRandom, notes: list[Note]) -> Mosaic:
    """The mosaic domains: a list, an even set of a distribution, or the C program's random draws.

    Raises:
        InputError: orientations given in Python that are none.
    """
    if said.orientations is not None:
        return _listed(said.orientations)
    if inputs.orientations is not None:
        return _listed(inputs.orientations)
    if said.mosaic_law in POINTS or said.mosaic_abc_deg is not None:
        return _even(said)
    spread = tensor(said.mosaic_spread_deg, -1.0, radians_from_degrees)
    domains, settled, warning = mosaic_domains(said.mosaic_domains, optional(spread))
    if warning:
        notes.append(Note("mosaic", warning))
    seed = MOSAIC_SEED if said.mosaic_seed is None else said.mosaic_seed
    draws = mosaic_draws(generator, Stream.from_seed(seed), settled, domains)
    relative = real(draws.angles) / settled if settled > 0 else torch.zeros(domains, dtype=torch.float64)
    return Mosaic(spread if settled > 0 else real(0.0), real(draws.axes), relative)


def _even(said: CrystalConfig) -> Mosaic:
    """Domains that stand evenly for a Gaussian or Lorentzian distribution."""
    spreads = None if said.mosaic_abc_deg is None else radians_from_degrees(vector(said.mosaic_abc_deg))
    spread = tensor(said.mosaic_spread_deg, 0.0, radians_from_degrees)
    wide = number(spread, 0.0) > 0 if spreads is None else bool((spreads.detach() > 0).any())
    asked = said.mosaic_domains if said.mosaic_domains is not None and said.mosaic_domains > 0 else DEFAULT_EVEN_DOMAINS
    points = real(POINTS[said.mosaic_law or "gauss"](asked if wide else 1))
    if not wide:
        points = torch.zeros_like(points)
    none = torch.zeros(0, 3, dtype=torch.float64)
    return Mosaic(spread, none, none[:, 0], spreads, vectors=points)


def _listed(rows: object) -> Mosaic:
    """Domains of a list: [M, 3], [M, 4], [M, 9], [M, 10] or [M, 3, 3]."""
    table = rows if isinstance(rows, Tensor) else torch.as_tensor(np.asarray(rows, dtype=np.float64))
    table = table.to(torch.float64)
    if table.ndim == 3 and tuple(table.shape[1:]) == (3, 3):
        table = table.reshape(-1, 9)
    if table.ndim != 2 or not len(table) or table.shape[1] not in (3, 4, 9, 10):
        problem = f"an array of shape {list(table.shape)}"
        raise InputError("orientations", problem, "give [M, 3], [M, 4], [M, 3, 3] or [M, 10]")
    if not bool(torch.isfinite(table.detach()).all()):
        raise InputError("orientations", "some are not finite", "correct them")
    weights = table[:, -1] if table.shape[1] in (4, 10) else None
    if table.shape[1] < 9:
        turns = matrices_of_vectors(radians_from_degrees(table[:, :3]))
    else:
        turns = table[:, :9].reshape(-1, 3, 3)
        worst = (turns.detach() @ turns.detach().mT - torch.eye(3, dtype=torch.float64)).abs().max()
        if float(worst) > 1e-4 or bool((torch.linalg.det(turns.detach()) < 0).any()):
            raise InputError("orientations", "a matrix is no rotation", "give right-handed orthonormal rows")
    if weights is not None:
        if bool((weights.detach() < 0).any()) or not float(weights.detach().sum()) > 0:
            raise InputError("orientations", "the weights are not positive", "give 0 or more, not all 0")
        alike = bool((weights.detach() == weights.detach()[0]).all()) and not weights.requires_grad
        weights = None if alike else weights * (len(weights) / weights.sum())
    none = torch.zeros(0, 3, dtype=torch.float64)
    return Mosaic(real(0.0), none, none[:, 0], turns=turns, weights=weights)


def settle_coupling(said: CrystalConfig) -> Tensor | None:
    """N_bc, N_ac, N_ab [3] of a matrix of sizes, or `None`."""
    if said.N_off is None:
        return None
    ab, ac, bc = vector(said.N_off).unbind()
    return torch.stack([bc, ac, ab])


def settle_blocks(said: CrystalConfig) -> Blocks | None:
    """A lognormal distribution of sizes by the points and weights of Gauss and Hermite, or `None`."""
    if said.block_spread is None:
        return None
    count = DEFAULT_BLOCK_SIZES if said.block_sizes is None else said.block_sizes
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return Blocks(real(said.block_spread), real(nodes), real(weights / weights.sum()))


def settle_diffuse(said: CrystalConfig, inputs: Inputs, lattice: Lattice) -> Diffuse | None:
    """The displacements, with the operations of the Laue group that make different laws of them, or `None`.

    Raises:
        InputError: a group that does not exist, or whose symmetry the cell does not have.
    """
    if said.diffuse_sigma_A is None or said.diffuse_gamma_A is None:
        return None
    sigma, gamma = vector(said.diffuse_sigma_A), vector(said.diffuse_gamma_A)
    if not bool((sigma.detach() > 0).any()) and not sigma.requires_grad:
        return None
    source = inputs.model or inputs.reflections
    name = said.diffuse_group or ("P 1" if source is None else source.space_group)
    operations = real(laue_operations(name))
    metric = lattice.reciprocal.detach() @ lattice.reciprocal.detach().T
    worst = (operations @ metric @ operations.mT - metric).abs().max() / metric.abs().max()
    if float(worst) > LIKE_METRIC:
        problem = f"the cell does not have the symmetry of {name}"
        raise InputError("diffuse_group", problem, "give the crystal's group, or P1")
    rows = lattice.reciprocal.detach() @ crystal_frame(lattice.direct.detach()).T
    return Diffuse(sigma, gamma, distinct(operations, rows))


def settle_others(said: CrystalConfig) -> tuple[Other, ...]:
    """The further lattices."""
    return tuple(
        Other(
            real(lattice.share),
            radians_from_degrees(vector(lattice.misset_deg)),
            None if lattice.law is None else real(twin_law(lattice.law)),
        )
        for lattice in said.lattices or ()
    )
