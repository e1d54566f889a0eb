"""A crystal as an array: every unit cell has a complex weight.

The value of a pixel is r_e²·Φ·p·Ω·κ·|F(h0) Σ_abc w_abc exp(2πi(h·a + k·b + l·c))|², summed over sub-pixels, sources,
phi steps and orientations like any other image. With w = 1 the sum over cells is the product of sines of `square`.

A cell that is displaced by u has the weight exp(+2πi G·u), G being the reflection that is looked at: that is the sign
that belongs to exp(+2πi S·r). (Texts that transform with exp(−iq·r) write the phase as −G·u; it is the same crystal.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nanobrag_torch.errors import InputError
from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.models import Experiment
from nanobrag_torch.numerics import fraction
from nanobrag_torch.physics.accumulate import accumulate
from nanobrag_torch.pipeline.render import lattice_of, pixel_scene, scaled

DEFAULT_MEMORY = 256 * 2**20
"""Bytes that the intermediate values of one chunk of pixels may take."""


def cell_weights(hkl: tuple[float, float, float], displacement: Tensor, occupancy: Tensor | float = 1.0) -> Tensor:
    """Weights of cells, occupancy·exp(2πi G·u).

    Args:
        hkl: indices of the reflection G.
        displacement: [..., 3] displacement u in fractions of the cell vectors a, b, c (`fractional` makes them of Å).
        occupancy: [...] share of the cell that is there.

    Returns:
        Complex [...].
    """
    phase = 2.0 * math.pi * (displacement * displacement.new_tensor(hkl)).sum(-1)
    weights: Tensor = occupancy * torch.complex(torch.cos(phase), torch.sin(phase))
    return weights


def fractional(displacement_A: Tensor, experiment: Experiment) -> Tensor:
    """Displacements [..., 3] in Å (lab frame, spindle at zero) as fractions of the cell vectors [..., 3]."""
    direct = lattice_of(experiment.crystal, experiment.physics == "exact").direct
    inverse: Tensor = torch.linalg.inv(direct)
    return displacement_A @ inverse


def array_image(
    experiment: Experiment,
    weights: Tensor,
    pixels: Tensor | None = None,
    *,
    panel: int = 0,
    memory: int = DEFAULT_MEMORY,
) -> Tensor:
    """Photons in the pixels of one panel from a crystal whose cells have weights.

    Args:
        experiment: a settled scene with a crystal of the shape `square` and nothing beside it.
        weights: complex or real [Na, Nb, Nc], or [M, Na, Nb, Nc]: modes, whose intensities add up.
        pixels: [P] numbers of pixels, slow·pixels_f + fast; `None`: the whole panel.
        panel: its number.
        memory: bytes for the intermediate values of one chunk; no value depends on it.

    Returns:
        [slow, fast], or [P] of a list; float64, differentiable by the weights and by all of the scene.

    Raises:
        InputError: weights that do not fit the crystal, are not finite or all zero, or a scene that this does not draw.
    """
    cells = _checked(experiment, weights)
    scene = pixel_scene(experiment, panel)
    size = experiment.detector.panels[panel]
    listed = torch.arange(size.pixels_s * size.pixels_f) if pixels is None else pixels
    step = max(1, memory // (16 * cells.shape[0] * cells.shape[1] * (cells.shape[2] + 3)))
    parts = [_chunk(experiment, scene, some, cells) for some in torch.split(listed, step)]
    values = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)
    return values.reshape(size.pixels_s, size.pixels_f) if pixels is None else values


def _chunk(experiment: Experiment, scene: PixelScene, pixels: Tensor, cells: Tensor) -> Tensor:
    def drawn() -> Tensor:
        sums = accumulate(scene, pixels, lambda S: intensity_sum(scene, S, cells))
        return scaled(experiment, sums.total, None)

    if torch.is_grad_enabled() and (scene.keeps_graph or cells.requires_grad):
        result: Tensor = checkpoint(drawn, use_reentrant=False)
        return result
    return drawn()


def intensity_sum(scene: PixelScene, S: Tensor, cells: Tensor) -> Tensor:
    """Sum over orientations and modes of |F Σ w exp(2πi h·n)|² [P] at S [P, 3] (1/Å), cells complex [M, Na, Nb, Nc]."""
    flat = scene.structure_factors.flat()
    interpolated = scene.interpolate and scene.structure_factors.values is not None
    total = torch.zeros_like(S[:, 0])
    for cell in scene.A.unbind(0):
        indices = S @ cell.T
        split = [fraction(x) for x in indices.unbind(-1)]
        if interpolated:
            h, k, l = indices.unbind(-1)
            F = scene.structure_factors.tricubic(h, k, l, flat)
        else:
            h, k, l = (whole for whole, _ in split)
            F = scene.structure_factors.nearest(h, k, l, flat)
        total = total + F * F * lattice_intensity(torch.stack([rest for _, rest in split], -1), cells)
    return total


def lattice_intensity(indices: Tensor, cells: Tensor) -> Tensor:
    """|Σ_abc w exp(2πi(h·a + k·b + l·c))|² [P], modes added up; real indices [P, 3], complex cells [M, Na, Nb, Nc].

    The exponential is a product of three, so the sum is contracted along one axis after the other. Cells are counted
    from the middle, which changes only the phase of the sum and makes the sum of a whole crystal real.
    """
    waves = []
    for index, count in zip(indices.unbind(-1), cells.shape[1:], strict=True):
        place = torch.arange(count, dtype=index.dtype, device=index.device) - (count - 1) / 2.0
        phase = 2.0 * math.pi * index[:, None] * place
        waves.append(torch.complex(torch.cos(phase), torch.sin(phase)))
    total = torch.zeros_like(indices[:, 0])
    for mode in cells.unbind(0):
        along_c = waves[2] @ mode.reshape(-1, mode.shape[2]).T
        along_b = (along_c.reshape(len(indices), *mode.shape[:2]) * waves[1][:, None, :]).sum(-1)
        amplitude = (along_b * waves[0]).sum(-1)
        total = total + amplitude.real * amplitude.real + amplitude.imag * amplitude.imag
    return total


def _checked(experiment: Experiment, weights: Tensor) -> Tensor:
    """The weights as complex [M, Na, Nb, Nc]."""
    crystal = experiment.crystal
    if not experiment.is_simple or bool(crystal.water.detach() != 0) or crystal.coupling is not None:
        raise InputError("experiment", "it has more than one plain crystal", "leave out backgrounds, twins and water")
    if crystal.shape != "square":
        raise InputError("shape", f"{crystal.shape!r} has no cells to weigh", "choose square; weights make other forms")
    counts = tuple(round(float(n)) for n in crystal.N.detach())
    if weights.dim() not in (3, 4) or tuple(weights.shape[-3:]) != counts:
        wanted = ", ".join(map(str, counts))
        raise InputError("weights", f"their shape is {list(weights.shape)}", f"give [{wanted}] or [modes, {wanted}]")
    fixed = weights.detach()
    if not bool(torch.isfinite(torch.view_as_real(fixed.to(torch.complex128))).all()):
        raise InputError("weights", "a weight is not finite", "give finite numbers")
    if not bool((fixed != 0).any()):
        raise InputError("weights", "all are zero", "give at least one cell")
    return weights.to(torch.complex128).reshape(-1, *counts)
