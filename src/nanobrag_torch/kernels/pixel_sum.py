"""The front door of the fused kernel: everything that a pixel collects, from geometry to orientations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.errors import BackendUnavailable, InputError
from nanobrag_torch.kernels import cpu, cuda, forward_mode, op
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


KERNELS: dict[str, Any] = {"cpu": cpu, "cuda": cuda}
"""The implementations, by the device type that they compute on."""


def why_not(
    scene: PixelScene,
    *,
    dtype: torch.dtype = torch.float64,
    backend: str | None = None,
    device: torch.device | None = None,
) -> str | None:
    """Why the fused kernel cannot serve this scene on `device` (`None`: where it is), in one sentence, or `None`.

    Where there is a reason the plain path serves.
    """
    device = scene.origin.device if device is None else device
    if backend not in (None, *KERNELS):
        return f"the fused sum exists for the backends cpu and cuda, and {backend} was asked for; the plain path serves"
    name = device.type if backend is None else backend
    if name not in KERNELS:
        return f"there is no fused sum for {device}; the plain path serves it"
    if scene.limit > 0.0 and name != "cpu":
        return f"nothing can be left out on {device}; give no tolerance, or compute on the processor"
    reason: str | None = KERNELS[name].why_not(device, dtype, scene.shape, scene.interpolate)
    return reason


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
        backend: `cpu`, `cuda` or `None`.
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
    packed = pack_scene(scene, dtype) if packed is None else packed
    return packed_sum(packed, pixels, want_solid_angle=want_solid_angle, out_dtype=out_dtype, scale=scale)


def packed_sum(
    packed: PackedScene,
    pixels: Tensor | range,
    *,
    want_solid_angle: bool = False,
    out_dtype: torch.dtype = torch.float64,
    scale: float = 1.0,
) -> Sums:
    """The sums of `pixel_sum` for a scene that is packed, and known to be one that the kernel of its device serves.

    Args:
        packed: from `pack_scene`.
        pixels, want_solid_angle, out_dtype, scale: as in `pixel_sum`.
    """
    listed, span = _located(pixels, packed.device)
    wanted = (out_dtype == torch.float32, packed.has_background, want_solid_angle)
    call = forward_mode.PixelSumFunction.apply if forward_mode.active() else op.pixel_sum
    total, background, angle = call(*packed.tensors, listed, span, packed.config, scale, *wanted)
    return Sums(total, background if packed.has_background else None, angle if want_solid_angle else None)


def _located(pixels: Tensor | range, device: torch.device) -> tuple[Tensor | None, list[int]]:
    """A list of pixels where the scene is, whose addresses a kernel takes as they are, or none; and first and count."""
    if isinstance(pixels, range):
        return None, [pixels.start, len(pixels)]
    return pixels.to(device), [0, len(pixels)]


class Derivatives(NamedTuple):
    """Sums of a list of pixels, total [P] and background [P] or `None`, and their derivatives [P, K]."""

    total: Tensor
    background: Tensor | None
    by_total: Tensor
    by_background: Tensor | None


def pixel_sum_jvp(
    scene: PixelScene,
    pixels: Tensor | range,
    tangents: Sequence[Tensor],
    *,
    dtype: torch.dtype = torch.float64,
    backend: str | None = None,
    packed: PackedScene | None = None,
) -> Derivatives:
    """Sums as those of `pixel_sum`, and their derivatives in K directions of the scene's packed tensors, in one pass.

    d[p, k] = Σ over the numbers x of the scene of (∂sum[p]/∂x) tangents[k, x].

    Everything is computed in double precision. Not differentiable itself.

    Args:
        scene: one panel, the sources, the crystal.
        pixels: [P] int64 indices slow · pixels_f + fast, or a contiguous `range` of them.
        tangents: directions [K, ...] of each tensor of `pack_scene(scene, float64).tensors`, in their order;
            [0, ...] where a tensor has none.
        dtype, backend, packed: as in `pixel_sum`.

    Raises:
        BackendUnavailable: `why_not` has a sentence.
        InputError: tangents that do not fit, or a table that is too large for the kernel.
    """
    reason = why_not(scene, dtype=dtype, backend=backend)
    if reason is not None:
        raise BackendUnavailable(backend or "cpu", reason)
    packed = pack_scene(scene, torch.float64) if packed is None else packed
    count = max(len(tangent) for tangent in tangents)
    for tensor, tangent in zip(packed.tensors, tangents, strict=True):
        if tangent.shape not in ((count, *tensor.shape), (0, *tensor.shape)):
            raise InputError("tangents", f"{list(tangent.shape)}", f"give [K, {', '.join(map(str, tensor.shape))}]")
    return packed_sum_jvp(packed, pixels, tangents)


def packed_sum_jvp(packed: PackedScene, pixels: Tensor | range, tangents: Sequence[Tensor]) -> Derivatives:
    """The sums and derivatives of `pixel_sum_jvp` for a scene that is packed in double precision (see `packed_sum`)."""
    listed, span = _located(pixels, packed.device)
    found = op.pixel_sum_jvp(*packed.tensors, *tangents, listed, span, packed.config, packed.has_background)
    total, background, by_total, by_background = found
    return Derivatives(
        total,
        background if packed.has_background else None,
        by_total,
        by_background if packed.has_background else None,
    )
