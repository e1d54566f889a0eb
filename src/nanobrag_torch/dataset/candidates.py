"""Which reflections can touch the sphere of reflection: lattice points in a shell around it; free of torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LARGEST_SPAN = 2000
"""Lattice lines per index that are looked at."""


class Candidates(NamedTuple):
    """Images [n] and Miller indices [n, 3]."""

    image: Integers
    hkl: Integers


def in_shell(reciprocal: Floats, incident: Floats, wavelength: Floats, shell: Floats, farthest: Floats) -> Candidates:
    """Lattice points within `shell` of the sphere |s0 + q| = 1/λ and not farther than `farthest` from the origin.

    Along a line of h and k, |s0 + q|² is a quadratic in l; the two ends of the shell give up to two spans of l.

    Args:
        reciprocal: [b, 3, 3] rows a*, b*, c* (1/Å).
        incident: [b, 3] unit vectors.
        wavelength: [b] Å.
        shell: [b] half the thickness (1/Å).
        farthest: [b] largest |q| (1/Å).
    """
    direct = np.linalg.inv(reciprocal)  # columns a, b, c
    span = np.minimum(np.floor(farthest[:, None] * np.linalg.norm(direct, axis=1)), LARGEST_SPAN).astype(np.int64)
    h_max, k_max, _ = (int(n) for n in span.max(0))
    h, k = (
        part.ravel() for part in np.meshgrid(np.arange(-h_max, h_max + 1), np.arange(-k_max, k_max + 1), indexing="ij")
    )
    a, b, c = (reciprocal[:, i] for i in range(3))
    s0 = incident / wavelength[:, None]
    cc = (c * c).sum(1)[:, None]
    # |p + l c|² with p = s0 + h a + k b, from scalar products of the corners.
    pc = (s0 * c).sum(1)[:, None] + (a * c).sum(1)[:, None] * h + (b * c).sum(1)[:, None] * k
    pp = (s0 * s0).sum(1)[:, None] + (a * a).sum(1)[:, None] * h * h + (b * b).sum(1)[:, None] * k * k
    pp = pp + 2.0 * ((s0 * a).sum(1)[:, None] * h + (s0 * b).sum(1)[:, None] * k + (a * b).sum(1)[:, None] * h * k)
    middle = -pc / cc
    rest = middle * middle - pp / cc
    radius = 1.0 / wavelength[:, None]
    outer = rest + (radius + shell[:, None]) ** 2 / cc
    inner = rest + np.maximum(radius - shell[:, None], 0.0) ** 2 / cc
    image, line = np.nonzero(outer >= 0)
    middle, outer, inner = middle[image, line], np.sqrt(outer[image, line]), inner[image, line]
    hole = np.sqrt(np.maximum(inner, 0.0))
    split = inner > 0
    # Without a hole the one span is cut at its middle, which the first half takes.
    starts = np.concatenate([np.ceil(middle - outer), np.where(split, np.ceil(middle + hole), np.floor(middle) + 1)])
    ends = np.concatenate([np.where(split, np.floor(middle - hole), np.floor(middle)), np.floor(middle + outer)])
    image, line = np.concatenate([image, image]), np.concatenate([line, line])
    counts = np.maximum(ends - starts + 1, 0).astype(np.int64)
    some = counts > 0
    image, line, starts, counts = image[some], line[some], starts[some].astype(np.int64), counts[some]
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    l = np.repeat(starts, counts) + offset
    image, line = np.repeat(image, counts), np.repeat(line, counts)
    hkl = np.stack([h[line], k[line], l], axis=1)
    q = np.einsum("ni,nij->nj", hkl.astype(np.float64), reciprocal[image])
    square = (q * q).sum(1)
    kept = (square <= farthest[image] ** 2) & (square > 0)
    return Candidates(image[kept], hkl[kept])
