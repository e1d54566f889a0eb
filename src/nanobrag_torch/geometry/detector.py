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


def panel_frame(placement: Placement, beam: Tensor, exact: bool) -> Frame:
    """The frame of a panel for a beam direction [3] (specs: geometry 7, 8, 9, 12).

    The reported distance and beam centre ignore two-theta in the faithful mode (specs: deviations, D38); the exact
    mode gives the true intersection of the beam with the panel.
    """
    fast, slow, normal = (_rotated(axis, placement) for axis in (placement.fast, placement.slow, placement.normal))
    ratio = dot(beam, rotate_xyz(placement.normal, placement.rotations))
    if placement.distance_along_normal:
        close_distance = placement.distance
    else:
        close_distance = torch.abs(ratio * placement.distance)
    distance = close_distance / ratio
    if placement.origin is not None:
        origin = placement.origin
    elif placement.pivot == "sample":
        f_c, s_c = placement.near_point
        unrotated = -f_c * placement.fast - s_c * placement.slow + close_distance * placement.normal
        origin = _rotated(unrotated, placement)
    else:
        f_b, s_b = placement.beam_centre
        origin = -f_b * fast - s_b * slow + distance * beam
    near_point = torch.stack([-dot(origin, fast), -dot(origin, slow)])
    close_distance = dot(origin, normal)
    distance = close_distance / (dot(beam, normal) if exact else ratio)
    to_beam = distance * beam - origin
    beam_centre = torch.stack([dot(fast, to_beam), dot(slow, to_beam)])
    return Frame(origin, fast, slow, normal, distance, close_distance, beam_centre, near_point)


def _rotated(vector: Tensor, placement: Placement) -> Tensor:
    turned = rotate_xyz(vector, placement.rotations)
    return rotate_about(turned, placement.twotheta_axis, placement.twotheta)


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
