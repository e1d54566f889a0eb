"""What reaches a pixel of what is scattered: absorption in the sample and in air, and the part of the sample lit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nanobrag_torch.geometry.bodies import Body

POINTS_AT_ONCE = 2_000_000
"""Ways that are held at once."""


def air_transmission(distance: Tensor, attenuation: Tensor) -> Tensor:
    """exp(-μ R) [P] over the distances R [P] (m) from sample to pixel."""
    return torch.exp(-attenuation * distance)


def sample_transmission(
    body: Body, attenuation: Tensor, points: Tensor, brightness: Tensor, incident: Tensor, directions: Tensor
) -> Tensor:
    """∫ b exp(-μ (l_in + l_out)) dV / V [P] of a body, by a sum over its points.

    Shapes: `points` [K, 3] (m); `brightness` [K] share of the volume times the beam's brightness there; unit vectors
    `incident` [3] of the beam and `directions` [P, 3] to the pixels, all in the frame of the body; `attenuation` []
    1/m.
    """
    arriving = body.path_length(points, -incident[None])[0]
    lit = brightness * torch.exp(-attenuation * arriving)
    step = max(1, POINTS_AT_ONCE // max(len(points), 1))
    pieces = torch.split(directions, step)
    parts = [(lit * torch.exp(-attenuation * body.path_length(points, some))).sum(-1) for some in pieces]
    return torch.cat(parts) if parts else directions.new_zeros(0)


def beam_brightness(points: Tensor, across: tuple[Tensor, Tensor], form: str, widths: Tensor) -> Tensor:
    """Brightness [K] of the beam at points [K, 3] (m) over that in its middle.

    Args:
        points: places in the lab.
        across: unit vectors [3] of the beam's two axes.
        form: `gauss`: exp(-4 ln 2 Σ (x_i/w_i)²); `flat`: 1 within the widths, 0 outside.
        widths: [2] full widths (m).
    """
    x = torch.stack([points @ axis for axis in across], dim=-1) / widths
    if form == "gauss":
        return torch.exp(-4.0 * math.log(2.0) * (x * x).sum(-1))
    return (x.detach().abs() <= 0.5).all(-1).to(points.dtype)
