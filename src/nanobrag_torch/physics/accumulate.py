"""The plain definition of one pixel's sum: stages for a list of pixels, and their accumulation (specs: intensity).

`kernels.pixel_sum` answers the same question with compiled code; this module is what it is compared with, what
serves where it cannot, and what a trace walks through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.geometry.detector import (
    Frame,
    curved_positions,
    flat_positions,
    sphere_positions,
    sub_pixel_coordinates,
)
from nanobrag_torch.geometry.vectors import dot
from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.numerics import norm
from nanobrag_torch.physics.absorption import capture_fraction
from nanobrag_torch.physics.polarization import polarization_factor
from nanobrag_torch.physics.scattering import scattering_vectors, within_resolution
from nanobrag_torch.physics.solid_angle import point_solid_angle, solid_angle, sphere_solid_angle


class SubPixel(NamedTuple):
    """One sub-pixel of one layer of every pixel in the list.

    Shapes: `positions` [P, 3] m, `distance` [P] m, `directions` [P, 3], `omega` [P], `capture` [P].
    """

    layer: int
    slow: int
    fast: int
    positions: Tensor
    distance: Tensor
    directions: Tensor
    omega: Tensor
    capture: Tensor


class Term(NamedTuple):
    """One source seen from one sub-pixel: scattering vectors [P, 3], kept [P] (bool), polarization [P]."""

    source: int
    S: Tensor
    kept: Tensor
    polarization: Tensor


class PixelSum(NamedTuple):
    """Sums of a list of pixels, before the common scale.

    Shapes: `total` [P]; `background` [P] factor of I_bg, or `None`; `solid_angle` [P] summed over layers and
    sub-pixels.
    """

    total: Tensor
    background: Tensor | None
    solid_angle: Tensor


LatticeSum = Callable[[Tensor], Tensor]
"""Scattering vectors [P, 3] → sum over orientations of F²L² [P]."""


def sub_pixels(scene: PixelScene, pixels: Tensor) -> Iterator[SubPixel]:
    """Every layer and sub-pixel of pixels [P], layers outermost, then slow, then fast (specs: intensity 2)."""
    for layer in range(scene.layers):
        for slow in range(scene.oversample):
            for fast in range(scene.oversample):
                yield sub_pixel(scene, pixels, layer, (slow, fast))


def sub_pixel(scene: PixelScene, pixels: Tensor, layer: int, sub: tuple[int, int]) -> SubPixel:
    """Positions, directions, solid angle and capture fraction of one sub-pixel of one layer."""
    frame = _frame(scene)
    f, s = sub_pixel_coordinates(pixels, scene.pixels_f, scene.pixel_size, scene.oversample, sub)
    sinc = None
    if scene.curved == "exact":
        positions, sinc = sphere_positions(f, s, frame, scene.beam)
    else:
        positions = flat_positions(f, s, scene.layer_step * layer, frame)
        if scene.curved == "nanobragg":
            positions = curved_positions(positions, frame, scene.beam)
    distance = norm(positions)
    directions = positions / distance[:, None]
    if scene.point_pixel:
        omega = point_solid_angle(distance, scene.point_area)
    elif sinc is not None:
        omega = sphere_solid_angle(distance, scene.pixel_size, sinc)
    else:
        omega = solid_angle(distance, scene.pixel_size, scene.close_distance)
    if not scene.has_sensor:
        capture = torch.ones_like(omega)
    else:
        obliquity = torch.ones_like(omega) if sinc is not None else dot(directions, scene.normal)
        capture = capture_fraction(layer, scene.layer_step, scene.attenuation, obliquity)
    return SubPixel(layer, *sub, positions, distance, directions, omega, capture)


def scattering(scene: PixelScene, at: SubPixel, source: int) -> Tensor:
    """Scattering vectors [P, 3] (1/Å) of one source seen from one sub-pixel (specs: intensity 3)."""
    return scattering_vectors(at.directions, scene.incident[source], scene.wavelength[source])


def polarization(scene: PixelScene, at: SubPixel, source: int) -> Tensor:
    """The polarization factor [P] of one source seen from one sub-pixel (specs: intensity 5)."""
    if not scene.polarized:
        return torch.ones_like(at.omega)
    axis, kahn = scene.polarization_axis, scene.polarization_factor
    return polarization_factor(at.directions, scene.incident[source], axis, kahn)


def term(scene: PixelScene, at: SubPixel, source: int) -> Term:
    """Scattering vectors, resolution cut and polarization of one source (specs: intensity 3, 5)."""
    S = scattering(scene, at, source)
    kept = within_resolution(S, scene.dmin) if scene.dmin > 0 else torch.ones_like(at.omega, dtype=torch.bool)
    return Term(source, S, kept, polarization(scene, at, source))


@dataclass(frozen=True)
class Cached:
    """The values [P] that serve for a whole pixel: first Ω, first surviving p that is not 0, κ of the last layer."""

    omega: Tensor
    polarization: Tensor
    capture: Tensor

    @staticmethod
    def start(scene: PixelScene, pixels: Tensor) -> Cached:
        """Before the first sub-pixel: polarization 0, or 1 when it is switched off (specs: intensity 5)."""
        zero = torch.zeros(len(pixels), dtype=torch.float64, device=scene.origin.device)
        return Cached(zero, zero if scene.polarized else torch.ones_like(zero), zero)

    def seeing(self, at: SubPixel) -> Cached:
        """After the geometry of one more sub-pixel."""
        if at.slow or at.fast:
            return self
        return Cached(self.omega if at.layer else at.omega, self.polarization, at.capture)

    def polarized(self, now: Term) -> Cached:
        """After one more source."""
        fresh = (self.polarization.detach() == 0) & now.kept
        return Cached(self.omega, torch.where(fresh, now.polarization, self.polarization), self.capture)

    def applied(self, scene: PixelScene, total: Tensor, *, per_term: bool) -> Tensor:
        """`total` [P] times the cached factors that are taken per term, or times those that are not."""
        for chosen, factor in (
            (scene.per_term_thick, self.capture),
            (scene.per_term_polar, self.polarization),
            (scene.per_term_omega, self.omega),
        ):
            if chosen == per_term:
                total = total * factor
        return total


def term_factor(scene: PixelScene, at: SubPixel, now: Term) -> Tensor:
    """Weight of one term [P]: 0 where dmin cuts it, the source's weight, and the factors taken per term."""
    factor = now.kept.to(torch.float64) * scene.weight[now.source]
    if scene.per_term_omega:
        factor = factor * at.omega
    if scene.per_term_polar:
        factor = factor * now.polarization
    if scene.per_term_thick:
        factor = factor * at.capture
    return factor


def accumulate(scene: PixelScene, pixels: Tensor, lattice_sum: LatticeSum) -> PixelSum:
    """Sums over layers, sub-pixels and sources, with each factor cached or per term (specs: intensity 5, 6)."""
    zero = torch.zeros(len(pixels), dtype=torch.float64, device=scene.origin.device)
    cached = Cached.start(scene, pixels)
    total, angles, exact_background = zero, zero, zero
    for at in sub_pixels(scene, pixels):
        cached = cached.seeing(at)
        angles = angles + (at.omega if scene.per_term_omega else cached.omega)
        for source in range(len(scene.incident)):
            now = term(scene, at, source)
            cached = cached.polarized(now)
            total = total + term_factor(scene, at, now) * lattice_sum(now.S)
            if scene.background == "exact":
                weight = scene.weight[source] / (scene.oversample**2 * len(scene.incident))
                exact_background = exact_background + weight * at.capture * now.polarization * at.omega
    total = cached.applied(scene, total, per_term=False)
    background = {
        "none": None,
        "nanobragg": cached.capture * cached.polarization * cached.omega,
        "exact": exact_background,
    }[scene.background]
    return PixelSum(total, background, angles)


def _frame(scene: PixelScene) -> Frame:
    near_point = torch.zeros_like(scene.beam_centre)
    return Frame(
        scene.origin,
        scene.fast,
        scene.slow,
        scene.normal,
        scene.distance,
        scene.close_distance,
        scene.beam_centre,
        near_point,
    )
