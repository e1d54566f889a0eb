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
    spans = [
        _spans(
            reciprocal[image], incident[image], float(wavelength[image]), float(shell[image]), float(farthest[image])
        )
        for image in range(len(reciprocal))
    ]
    image = np.repeat(np.arange(len(spans)), [len(part[0]) for part in spans])
    h, k, starts, counts = (np.concatenate(parts) for parts in zip(*spans, strict=True))
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    hkl = np.stack([np.repeat(h, counts), np.repeat(k, counts), np.repeat(starts, counts) + offset], axis=1)
    image = np.repeat(image, counts)
    q = np.einsum("ni,nij->nj", hkl.astype(np.float64), reciprocal[image])
    square = (q * q).sum(1)
    kept = (square <= farthest[image] ** 2) & (square > 0)
    return Candidates(image[kept], hkl[kept])


def _spans(
    reciprocal: Floats, incident: Floats, wavelength: float, shell: float, farthest: float
) -> tuple[Integers, Integers, Integers, Integers]:
    """Spans of l of one image: h, k, first l and how many, [m] each."""
    lengths = np.linalg.norm(np.linalg.inv(reciprocal), axis=0)  # |a|, |b|, |c|
    h_max, k_max = (min(int(farthest * length), LARGEST_SPAN) for length in lengths[:2])
    h, k = np.arange(-h_max, h_max + 1.0), np.arange(-k_max, k_max + 1.0)
    a, b, c = reciprocal
    s0 = incident / wavelength
    cc = float(c @ c)
    # |p + l c|² with p = s0 + h a + k b, from scalar products of the corners; all over c·c.
    middle = (-(s0 @ c + (a @ c) * h) / cc)[:, None] - ((b @ c) / cc * k)[None, :]
    along_h = (s0 @ s0 + (a @ a) * h * h + 2.0 * (s0 @ a) * h) / cc
    along_k = ((b @ b) * k * k + 2.0 * (s0 @ b) * k) / cc
    rest = middle * middle
    rest -= along_h[:, None] + along_k[None, :]
    rest -= (2.0 * (a @ b) / cc * h)[:, None] * k[None, :]
    rest += (1.0 / wavelength + shell) ** 2 / cc
    place = np.flatnonzero(rest >= 0)
    outer = rest.ravel()[place]
    middle = middle.ravel()[place]
    inner = outer - ((1.0 / wavelength + shell) ** 2 - max(1.0 / wavelength - shell, 0.0) ** 2) / cc
    outer, hole, split = np.sqrt(outer), np.sqrt(np.maximum(inner, 0.0)), inner > 0
    # Without a hole the one span is cut at its middle, which the first half takes.
    starts = np.concatenate([np.ceil(middle - outer), np.where(split, np.ceil(middle + hole), np.floor(middle) + 1)])
    ends = np.concatenate([np.where(split, np.floor(middle - hole), np.floor(middle)), np.floor(middle + outer)])
    counts = np.maximum(ends - starts + 1, 0).astype(np.int64)
    some = np.flatnonzero(counts)
    row, column = np.divmod(np.concatenate([place, place])[some], len(k))
    return row - h_max, column - k_max, starts[some].astype(np.int64), counts[some]
