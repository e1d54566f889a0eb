"""The laws of a square crystal against sums over the plane that cuts a reflection's own half cells."""

from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.dataset.rocking import rocking


def fringes(delta, N):
    """sin²(πNΔ)/sin²(πΔ) within the half cells."""
    inside = np.abs(delta) <= 0.5
    safe = np.where(inside & (np.abs(delta) > 1e-9), delta, np.where(inside, 1e-9, 0.25))
    return np.where(inside, (np.sin(np.pi * N * safe) / np.sin(np.pi * safe)) ** 2, 0.0)


def summed(p, N, epsilon):
    """Brightness and mean Δ [3] of the plane Σ p_i Δ_i = ε, by a sum over two of the three."""
    last = int(np.argmax(np.abs(p) / N))
    first, second = (i for i in range(3) if i != last)
    nodes = (np.arange(1500) + 0.5) / 1500 - 0.5
    delta = [np.empty(0)] * 3
    delta[first], delta[second] = np.meshgrid(nodes, nodes, indexing="ij")
    delta[last] = (epsilon - p[first] * delta[first] - p[second] * delta[second]) / p[last]
    weight = np.prod([fringes(d, n) for d, n in zip(delta, N, strict=True)], axis=0)
    return weight.sum(), np.array([(weight * d).sum() for d in delta]) / weight.sum()


@pytest.mark.parametrize("n", [(0.02, 0.03, 1.0), (0.6, -0.5, 0.4), (-0.3, 0.9, 0.1)])
@pytest.mark.parametrize("N", [(8, 8, 8), (8, 12, 20)])
def test_a_square_spot_ends_half_way_to_its_neighbours(n, N):
    n, N = np.array(n) / np.linalg.norm(n), np.array(N, dtype=float)
    reciprocal = np.array([[1 / 80, 0.0003, 0.0], [0.0, 1 / 90, -0.0005], [0.0004, 0.0, 1 / 100]])
    law = rocking("square", "exact", n[None], reciprocal[None], N[None], np.ones(1))
    p = reciprocal @ n
    brightest, _ = summed(p, N, 1e-9)
    for share in (0.15, 0.4, 0.6):
        epsilon = share * law.width[0]
        brightness, middle = summed(p, N, epsilon)
        assert abs(law.relative(np.array([[epsilon]]))[0, 0] - brightness / brightest) < 2e-3
        pull = law.pull(np.array([[epsilon]]))[0, 0] * np.sign(p) / N
        # In pixels of a detector at 150 mm with pixels of 0.1 mm.
        assert np.abs((pull * epsilon / (pull @ p) - middle) @ reciprocal).max() * 1500 < 2e-3
