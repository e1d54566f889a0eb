"""The front door of the fused kernel: everything that a pixel collects, from geometry to orientations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.errors import BackendUnavailable
from nanobrag_torch.kernels import cpu, op
from nanobrag_torch.kernels.packing import PackedScene, pack_scene
from nanobrag_torch.kernels.pixel_scene import PixelScene


class Sums(NamedTuple):
    """Sums of a list of pixels before the common scale: total [P], background [P] or `None`, solid angle [P] or `None`.

    `background` is the factor of the background's intensity as `PixelScene` describes it; `solid_angle` is summed over
    layers and sub-pixels.
    """

    total: Tensor
    background: Tensor | None
    solid_angle: Tensor | None


def needs_gradient(scene: PixelScene) -> bool:
    """Whether autograd is on and a tensor of the scene asks for it."""
    table = scene.structure_factors
    tensors = [*vars(scene).values(), table.values, table.default_F]
    return torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in tensors)


def why_not(scene: PixelScene, *, dtype: torch.dtype = torch.float64, backend: str | None = None) -> str | None:
    """Why the fused kernel cannot serve this scene, in one sentence, or `None`; then the plain path serves."""
    if backend not in (None, "cpu"):
        return f"the fused sum exists for the backend cpu, and {backend} was asked for; the plain path serves it"
    return cpu.why_not_scene(scene, scene.origin.device, dtype, needs_gradient(scene))


def pixel_sum(
    scene: PixelScene,
    pixels: Tensor | range,
    *,
    dtype: torch.dtype = torch.float64,
    backend: str | None = None,
    want_solid_angle: bool = False,
    out_dtype: torch.dtype = torch.float64,
    scale: float = 1.0,
    packed: PackedScene | None = None,
) -> Sums:
    """Sums over layers, sub-pixels, sources and orientations of each pixel.

    total[p] = scale · Σ weight κ p Ω Σ_m F_cell² F_latt², with κ, p and Ω per term or cached for the pixel.

    Differentiable in every tensor of the scene; the backward pass computes each term again and keeps nothing.

    Args:
        scene: one panel, the sources, the crystal.
        pixels: [P] int64 indices slow · pixels_f + fast, or a contiguous `range` of them.
        dtype: float64, or float32 from the fractions of h on.
        backend: `cpu` or `None`.
        want_solid_angle: whether to sum the solid angles.
        out_dtype: of the total: float64, or float32 (rounded once, after `scale`).
        scale: a constant factor on the total.
        packed: `pack_scene(scene, dtype)`, which spares several calls for one scene doing it each time.

    Raises:
        BackendUnavailable: `why_not` has a sentence.
        InputError: the table is too large for the kernel.

    specs: intensity 2 to 6; geometry 10, 11
    """
    reason = why_not(scene, dtype=dtype, backend=backend)
    if reason is not None:
        raise BackendUnavailable(backend or "cpu", reason)
    if isinstance(pixels, range):
        listed, span = None, [pixels.start, len(pixels)]
    else:
        listed, span = pixels, [0, len(pixels)]
    packed = pack_scene(scene, dtype) if packed is None else packed
    wanted = (out_dtype == torch.float32, packed.has_background, want_solid_angle)
    total, background, angle = op.pixel_sum(*packed.tensors, listed, span, packed.config, scale, *wanted)
    return Sums(total, background if packed.has_background else None, angle if want_solid_angle else None)
