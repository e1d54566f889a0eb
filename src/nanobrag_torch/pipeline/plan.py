"""How many pixels are worked on at once."""

from __future__ import annotations

DEFAULT_BUDGET = 512 * 2**20
"""Bytes that a render may use beyond its inputs and its image."""

CACHE_PIXELS = 16384
"""Pixels whose working arrays stay in a processor's cache."""

BYTES_PER_PIXEL = 640
"""Working arrays of one pixel in the plain path: positions, directions, indices and factors in double."""

BYTES_PER_TERM = 480
"""What the graph of one term (sub-pixel, layer, source, orientation) of one pixel holds for the backward pass."""


def chunk_pixels(budget: int, terms: int, keeps_graph: bool) -> int:
    """Number of pixels to work on at once within `budget` bytes.

    Args:
        budget: bytes.
        terms: sub-pixels x layers x sources x orientations.
        keeps_graph: whether the chunk's graph is held until its backward pass.
    """
    per_pixel = BYTES_PER_PIXEL + (BYTES_PER_TERM * terms if keeps_graph else 0)
    return max(1, min(CACHE_PIXELS, budget // per_pixel))
