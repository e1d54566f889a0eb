"""Scattering of materials beside the crystal, through every layer, sub-pixel and source.

The photons of a pixel from materials of `column` scatterers per area are

    r_e² Φ a Σ (w/n) κ Ω [p Σ column F² + Compton],

with Φ a the photons of the beam (fluence times cross-section), and the mean over n sub-pixels and sources of weight w.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nanobrag_torch.geometry.vectors import dot
from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.materials.amorphous import Table, interpolate
from nanobrag_torch.materials.compton import Compton
from nanobrag_torch.materials.rings import Rings
from nanobrag_torch.numerics import norm
from nanobrag_torch.physics.accumulate import SubPixel, polarization, scattering, sub_pixels


def material_sums(
    scene: PixelScene, pixels: Tensor, elastic: Sequence[Table | Rings], compton: Sequence[Compton]
) -> Tensor:
    """Σ (w/n) κ Ω [p Σ column F² + Compton] [P], electrons² sr/m², of pixels [P]."""
    total = torch.zeros(len(pixels), dtype=torch.float64, device=scene.origin.device)
    share = 1.0 / (scene.oversample**2 * len(scene.incident))
    for at in sub_pixels(scene, pixels):
        factor = at.capture * at.omega * share
        for source in range(len(scene.incident)):
            p = polarization(scene, at, source)
            emitted = _emitted(scene, at, source, p, elastic, compton)
            total = total + scene.weight[source] * factor * emitted
    return total


def _emitted(  # noqa: PLR0913 - one term, with everything that makes it
    scene: PixelScene,
    at: SubPixel,
    source: int,
    p: Tensor,
    elastic: Sequence[Table | Rings],
    compton: Sequence[Compton],
) -> Tensor:
    stol = 0.5 * norm(scattering(scene, at, source))
    found = torch.zeros_like(p)
    for material in elastic:
        found = found + p * material.per_area(stol)
    if compton:
        cosine = dot(at.directions, scene.incident[source])
        for slab in compton:
            found = found + slab.per_area(stol, cosine, scene.wavelength[source], p)
    return found


def curve_values(scene: PixelScene, pixels: Tensor, stol: Tensor, photons: Tensor) -> Tensor:
    """Photons [P] of a radial curve (knots [K]), the mean over the sub-pixels of the first layer and the sources."""
    total = torch.zeros(len(pixels), dtype=torch.float64, device=scene.origin.device)
    share = 1.0 / (scene.oversample**2 * len(scene.incident))
    for at in sub_pixels(scene, pixels):
        if at.layer:
            break
        for source in range(len(scene.incident)):
            value = interpolate(stol, photons, 0.5 * norm(scattering(scene, at, source)))
            total = total + scene.weight[source] * share * value
    return total
