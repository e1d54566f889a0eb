"""Detector frames and positions on a detector (specs: geometry 6 to 12)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.geometry.rotation import rotate_about, rotate_xyz
from nanobrag_torch.geometry.vectors import dot
from nanobrag_torch.numerics import norm, normalise


class Frame(NamedTuple):
    """A panel after rotation, in the lab frame (m).

    Shapes: `origin`, `fast`, `slow`, `normal` [3]; `distance` (along the beam), `close_distance` (along the normal)
    []; `beam_centre` [2] F_b, S_b; `near_point` [2] F_c, S_c.
    """

    origin: Tensor
    fast: Tensor
    slow: Tensor
    normal: Tensor
    distance: Tensor
    close_distance: Tensor
    beam_centre: Tensor
    near_point: Tensor


class Placement(NamedTuple):
    """What places a panel: see `models.Panel`, whose fields of the same names these are."""

    fast: Tensor
    slow: Tensor
    normal: Tensor
    rotations: Tensor
    twotheta_axis: Tensor
    twotheta: Tensor
    pivot: str
    beam_centre: Tensor
    near_point: Tensor
    distance: Tensor
    distance_along_normal: bool
    origin: Tensor | None


class Stages(NamedTuple):
    """The steps from a placement to the origin of its frame (specs: geometry 7, 8); m, lab frame.

    `turned` are fast, slow, normal after the three rotations, `swung` after two-theta too. The origin is the sum of
    the terms along fast, slow and beam (beam pivot), or along fast, slow and normal, then rotated (sample pivot).
    `origin_before` and `origin_turned` are that sum before and after the three rotations.
    """

    turned: tuple[Tensor, Tensor, Tensor]
    swung: tuple[Tensor, Tensor, Tensor]
    ratio: Tensor
    close_distance: Tensor
    distance: Tensor
    terms: tuple[Tensor, Tensor, Tensor]
    origin_before: Tensor
    origin_turned: Tensor
    origin: Tensor


def placement_stages(placement: Placement, beam: Tensor) -> Stages:
    """Rotate the axes of a panel and place its origin for a beam direction [3] (specs: geometry 7, 8, 12)."""
    axes = torch.stack([placement.fast, placement.slow, placement.normal])
    turned = rotate_xyz(axes, placement.rotations)
    fast, slow, normal = _swung(turned, placement)
    ratio = dot(beam, turned[2])
    if placement.distance_along_normal:
        close_distance = placement.distance
    else:
        close_distance = torch.abs(ratio * placement.distance)
    distance = close_distance / ratio
    if placement.pivot == "sample":
        f_c, s_c = placement.near_point
        terms = (-f_c * placement.fast, -s_c * placement.slow, close_distance * placement.normal)
        before = terms[0] + terms[1] + terms[2]
        origin_turned = rotate_xyz(before, placement.rotations)
        origin = _swung(origin_turned, placement)
    else:
        f_b, s_b = placement.beam_centre
        terms = (-f_b * fast, -s_b * slow, distance * beam)
        before = origin_turned = origin = terms[0] + terms[1] + terms[2]
    if placement.origin is not None:
        origin = placement.origin
    all_turned = (turned[0], turned[1], turned[2])
    return Stages(
        all_turned, (fast, slow, normal), ratio, close_distance, distance, terms, before, origin_turned, origin
    )


def panel_frame(placement: Placement, beam: Tensor, exact: bool) -> Frame:
    """The frame of a panel for a beam direction [3] (specs: geometry 7, 8, 9, 12).

    The reported distance and beam centre ignore two-theta in the faithful mode (specs: deviations, D38); the exact
    mode gives the true intersection of the beam with the plane of the pixels, whatever the normal that was given.
    """
    stages = placement_stages(placement, beam)
    fast, slow, normal = stages.swung
    origin = stages.origin
    near_point = torch.stack([-dot(origin, fast), -dot(origin, slow)])
    close_distance = dot(origin, normal)
    if exact:
        plane = torch.linalg.cross(fast, slow)
        distance = dot(origin, plane) / dot(beam, plane)
        to_beam = distance * beam - origin
        dual = torch.linalg.cross(torch.stack([slow, plane]), torch.stack([plane, fast]))
        beam_centre = dot(dual, to_beam) / dot(plane, plane)
    else:
        distance = close_distance / stages.ratio
        to_beam = distance * beam - origin
        beam_centre = torch.stack([dot(fast, to_beam), dot(slow, to_beam)])
    return Frame(origin, fast, slow, normal, distance, close_distance, beam_centre, near_point)


def _swung(vectors: Tensor, placement: Placement) -> Tensor:
    return rotate_about(vectors, placement.twotheta_axis, placement.twotheta.expand(vectors.shape[:-1]))


def sub_pixel_coordinates(
    pixels: Tensor, pixels_f: int, pixel_size: Tensor, oversample: int, sub: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Detector coordinates F, S [P] (m) of one sub-pixel (slow, fast) of every pixel (specs: geometry 10).

    `pixels` [P] are indices slow * pixels_f + fast.
    """
    sub_size = pixel_size / oversample
    slow_index = torch.div(pixels, pixels_f, rounding_mode="floor")
    fast_index = pixels - slow_index * pixels_f
    f = sub_size * (fast_index * oversample + sub[1]).to(torch.float64) + sub_size / 2.0
    s = sub_size * (slow_index * oversample + sub[0]).to(torch.float64) + sub_size / 2.0
    return f, s


def flat_positions(f: Tensor, s: Tensor, depth: Tensor, frame: Frame) -> Tensor:
    """Positions [P, 3] (m) of detector coordinates F, S [P] at a depth [] behind the front of the sensor."""
    plane = f[:, None] * frame.fast + s[:, None] * frame.slow
    return plane + depth * frame.normal + frame.origin


def curved_positions(flat: Tensor, frame: Frame, beam: Tensor) -> Tensor:
    """Positions [P, 3] of the faithful curved detector: |P| = |distance| (specs: geometry 10; deviations, D28)."""
    w = (frame.distance * beam).expand_as(flat)
    w = rotate_about(w, frame.slow, flat[:, 1] / frame.distance)
    return rotate_about(w, frame.fast, flat[:, 2] / frame.distance)


def sphere_positions(f: Tensor, s: Tensor, frame: Frame, beam: Tensor) -> tuple[Tensor, Tensor]:
    """Positions [P, 3] on a sphere by equidistant mapping, and sin ρ/ρ [P] (specs: deviations F, D28)."""
    x, y = f - frame.beam_centre[0], s - frame.beam_centre[1]
    radius = torch.abs(frame.distance)
    fast = normalise(frame.fast - dot(frame.fast, beam) * beam)
    slow = torch.linalg.cross(beam, fast)
    slow = slow * torch.sign(dot(slow, frame.slow).detach())
    rho = norm(torch.stack([x, y, torch.zeros_like(x)], dim=-1)) / radius
    sinc = torch.sinc(rho / torch.pi)
    across = (x[:, None] * fast + y[:, None] * slow) * (sinc / radius)[:, None]
    return radius * (torch.cos(rho)[:, None] * beam + across), sinc
