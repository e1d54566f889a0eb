"""Everything the sum over one pixel needs, as plain tensors: the contract between the pipeline and its kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from nanobrag_torch.kernels.structure_factors import StructureFactors


@dataclass(frozen=True)
class PixelScene:
    """One flat or curved panel, the sources, the crystal's orientations and its structure factors.

    Lab lengths in metres, wavelengths and crystal lengths in Å. All tensors are float64 and may carry gradients.

    Geometry (specs: geometry 10, 11)
        origin [3], fast [3], slow [3], normal [3]: the panel after rotation; `fast`, `slow` and `normal` are used
        as they are (neither normalised nor orthogonalised).
        pixel_size []; pixels_f: length of a row, so that pixel index i is (slow, fast) = divmod(i, pixels_f).
        oversample: sub-pixels per side.
        close_distance []: d_c of the solid angle. distance []: d of the curved detector. beam [3]: b.
        beam_centre [2]: F_b, S_b (used by the exact curved detector only).
        curved: `flat`, `nanobragg` (specs: geometry 10) or `exact` (deviations F, D28).
        point_pixel: solid angle without obliquity; `point_area` [] is its numerator (1, or the pixel area).
        layers, layer_step [], attenuation []: the sensor; has_sensor False means a capture fraction of 1. The exact
        curved detector has obliquity 1 and ignores the depth of a layer in its positions.
    Sources
        incident [Q,3]: unit vectors of travel; wavelength [Q]; weight [Q] multiplies the terms of each source.
        polarized, polarization_factor [], polarization_axis [3].
    Crystal
        A [M,3,3]: rows a, b, c (Å) of every orientation, phi steps outermost; N [3]; fudge []; shape.
        reciprocal [3,3]: unrotated a*, b*, c* (1/Å). radius: `nanobragg` or `exact`: the law of GAUSS and TOPHAT
        (deviations F, D27). structure_factors; interpolate.
    Rules
        dmin (Å, 0 = none); per_term_omega, per_term_polar, per_term_thick (specs: intensity 5).
        background: `none`, `nanobragg` (kappa_last * p_c * Omega_c of the cached values) or `exact` (mean over
        sub-pixels and sources of p * Omega * sum over layers of kappa; deviations F, D29, D54).
        limit: what a pixel's total may lose to terms that are provably small and left out; 0 = nothing is left out.
    """

    origin: Tensor
    fast: Tensor
    slow: Tensor
    normal: Tensor
    pixel_size: Tensor
    pixels_f: int
    oversample: int
    close_distance: Tensor
    distance: Tensor
    beam: Tensor
    beam_centre: Tensor
    curved: str
    point_pixel: bool
    point_area: Tensor
    layers: int
    layer_step: Tensor
    attenuation: Tensor
    has_sensor: bool
    incident: Tensor
    wavelength: Tensor
    weight: Tensor
    polarized: bool
    polarization_factor: Tensor
    polarization_axis: Tensor
    A: Tensor
    N: Tensor
    fudge: Tensor
    shape: str
    reciprocal: Tensor
    radius: str
    structure_factors: StructureFactors
    interpolate: bool
    dmin: float
    per_term_omega: bool
    per_term_polar: bool
    per_term_thick: bool
    background: str
    limit: float = 0.0

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor of the scene, those of the structure factors included."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                yield value
        yield self.structure_factors.default_F
        if self.structure_factors.values is not None:
            yield self.structure_factors.values

    @property
    def keeps_graph(self) -> bool:
        """Whether a gradient is asked of anything in the scene."""
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in self.tensors())

    @property
    def terms(self) -> int:
        """Lattice terms of one pixel: layers x sub-pixels x sources x orientations."""
        return self.layers * self.oversample**2 * len(self.incident) * len(self.A)

    def to(self, device: torch.device) -> PixelScene:
        """The scene on another device."""
        moved: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        table = self.structure_factors
        values = None if table.values is None else table.values.to(device)
        moved["structure_factors"] = replace(table, values=values, default_F=table.default_F.to(device))
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()}
        return PixelScene(**moved)
