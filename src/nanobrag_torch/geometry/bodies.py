"""Bodies that X-rays pass: how far a ray runs in them, and points that stand for their volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nanobrag_torch.geometry.low_discrepancy import sequence
from nanobrag_torch.numerics import safe_sqrt

Floats = NDArray[np.float64]
PARALLEL = 1e-12
"""Sine of the angle between a ray and a face below which the ray passes beside it."""


class Body(Protocol):
    """Any body in which a ray has a path length."""

    def path_length(self, points: Tensor, directions: Tensor) -> Tensor:
        """Lengths [P, K] (m) from points [K, 3] along unit vectors [P, 3] within the body."""

    def volume_points(self, count: int, even: bool = False) -> tuple[Tensor, Tensor]:
        """About `count` points [K, 3] (m) and their shares [K] of the volume, of sum 1; `even` for beams with edges."""


def _nodes(count: int, even: bool) -> tuple[Floats, Floats]:
    """Points [n] in -1..1 and their weights [n] of sum 2."""
    if even:
        return (2.0 * np.arange(count) + 1.0) / count - 1.0, np.full(count, 2.0 / count)
    return np.polynomial.legendre.leggauss(count)


@dataclass(frozen=True)
class Box:
    """A box about the origin with edges `lengths` [3] (m) along lab x, y, z."""

    lengths: Tensor

    def path_length(self, points: Tensor, directions: Tensor) -> Tensor:
        """The nearest of the three faces that the ray runs to."""
        half = 0.5 * self.lengths
        runs = directions.detach().abs() > 1e-12
        safe = torch.where(runs, directions, torch.ones_like(directions))[:, None]
        room = half * torch.sign(directions.detach())[:, None] - points[None]
        return torch.where(runs[:, None], room / safe, torch.inf).amin(-1)

    def volume_points(self, count: int, even: bool = False) -> tuple[Tensor, Tensor]:
        """Gauss-Legendre, or even, points along each edge."""
        n = max(1, round(count ** (1.0 / 3.0)))
        x, w = _nodes(n, even)
        grid = np.stack(np.meshgrid(x, x, x, indexing="ij"), axis=-1).reshape(-1, 3)
        shares = np.einsum("i,j,k->ijk", w, w, w).reshape(-1) / 8.0
        device = self.lengths.device
        return torch.as_tensor(grid, device=device) * (0.5 * self.lengths), torch.as_tensor(shares, device=device)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid about the origin with full axes `lengths` [3] (m) along lab x, y, z."""

    lengths: Tensor

    def path_length(self, points: Tensor, directions: Tensor) -> Tensor:
        """The positive root of |(x + t u)/half|² = 1."""
        half = 0.5 * self.lengths
        p, u = points / half, directions / half
        a = (u * u).sum(-1)[:, None]
        b = u @ p.T
        c = (p * p).sum(-1)[None] - 1.0
        return (-b + safe_sqrt(torch.clamp(b * b - a * c, min=0.0))) / a

    def volume_points(self, count: int, even: bool = False) -> tuple[Tensor, Tensor]:
        """Gauss-Legendre, or even, points along radius and polar cosine, even ones around."""
        n = max(1, round((count / 2.0) ** (1.0 / 3.0)))
        x, w = _nodes(n, even)
        radius, weight = 0.5 * (x + 1.0), 0.5 * w * (0.5 * (x + 1.0)) ** 2
        around = 2.0 * np.pi * (np.arange(2 * n) + 0.5) / (2 * n)
        r, z, phi = (v.reshape(-1) for v in np.meshgrid(radius, x, around, indexing="ij"))
        shares = np.einsum("i,j,k->ijk", weight, w, np.ones(2 * n)).reshape(-1)
        across = r * np.sqrt(1.0 - z * z)
        unit = np.stack([across * np.cos(phi), across * np.sin(phi), r * z], axis=-1)
        half = 0.5 * self.lengths
        return torch.as_tensor(unit, device=half.device) * half, torch.as_tensor(
            shares / shares.sum(), device=half.device
        )


@dataclass(frozen=True)
class Mesh:
    """A closed surface of triangles [T, 3, 3] (m), corners anticlockwise seen from outside; it need not be convex."""

    triangles: Tensor

    def path_length(self, points: Tensor, directions: Tensor) -> Tensor:
        """The sum of the distances of all crossings, outward ones counted +, inward ones -."""
        a, b, c = self.triangles.unbind(1)
        total = torch.zeros(len(directions), len(points), dtype=points.dtype, device=points.device)
        for corner, edge1, edge2 in zip(a, b - a, c - a, strict=True):
            normal = torch.linalg.cross(edge1, edge2)
            rise = directions @ normal
            crosses = rise.detach().abs() > PARALLEL * float(normal.detach().norm())
            safe = torch.where(crosses, rise, torch.ones_like(rise))[:, None]
            from_corner = points - corner
            t = -(from_corner @ normal)[None] / safe
            q = torch.linalg.cross(directions[:, None], from_corner[None])
            inside_v, inside_w = (q @ edge2) / safe, -(q @ edge1) / safe
            v, w = inside_v.detach(), inside_w.detach()
            hit = crosses[:, None] & (v >= 0) & (w >= 0) & (v + w < 1) & (t.detach() > 0)
            total = total + torch.where(hit, t * torch.sign(rise.detach())[:, None], torch.zeros_like(t))
        return total

    def volume_points(self, count: int, even: bool = False) -> tuple[Tensor, Tensor]:
        """Points of a low-discrepancy sequence in the bounding box that lie inside."""
        corners = self.triangles.detach().reshape(-1, 3)
        low, high = corners.amin(0), corners.amax(0)
        box = torch.as_tensor(sequence(64 * count, 3), device=corners.device) * (high - low) + low
        inside = self.winding(box) > 0.5
        points = box[inside][:count]
        return points, torch.full((len(points),), 1.0 / max(len(points), 1), dtype=torch.float64, device=points.device)

    def winding(self, points: Tensor) -> Tensor:
        """How often the surface winds about points [K], [K]: 1 inside, 0 outside (van Oosterom and Strackee, 1983)."""
        total = torch.zeros(len(points), dtype=points.dtype, device=points.device)
        for triangle in self.triangles.detach():
            a, b, c = (triangle[i] - points for i in range(3))
            la, lb, lc = (x.norm(dim=-1) for x in (a, b, c))
            volume = (a * torch.linalg.cross(b, c)).sum(-1)
            below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
            total = total + 2.0 * torch.atan2(volume, below)
        return total / (4.0 * torch.pi)
