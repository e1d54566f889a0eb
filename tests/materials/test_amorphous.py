from __future__ import annotations

import numpy as np
import torch

from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.materials.amorphous import Table, interpolate


def hermite(x: np.ndarray, y: np.ndarray, at: float) -> float:
    """The cubic of one interval by its definition: values and slopes at both ends, solved for its coefficients."""
    h, d = np.diff(x), np.diff(y) / np.diff(x)
    slope = np.zeros(len(x))
    for k in range(1, len(x) - 1):
        if d[k - 1] * d[k] > 0:
            w1, w2 = 2 * h[k] + h[k - 1], h[k] + 2 * h[k - 1]
            slope[k] = (w1 + w2) / (w1 / d[k - 1] + w2 / d[k])
    for k, step, near, far in ((0, (h[0], h[1]), d[0], d[1]), (-1, (h[-1], h[-2]), d[-1], d[-2])):
        end = ((2 * step[0] + step[1]) * near - step[0] * far) / sum(step)
        end = 0.0 if end * near <= 0 else 3 * near if near * far <= 0 and abs(end) > 3 * abs(near) else end
        slope[k] = end
    k = min(int(np.searchsorted(x, at, side="right")) - 1, len(x) - 2)
    system = [[1, 0, 0, 0], [0, 1, 0, 0], [1, h[k], h[k] ** 2, h[k] ** 3], [0, 1, 2 * h[k], 3 * h[k] ** 2]]
    c = np.linalg.solve(system, [y[k], slope[k], y[k + 1], slope[k + 1]])
    return float(np.polyval(c[::-1], at - x[k]))


def test_cubics_of_the_definition():
    generator = np.random.default_rng(1)
    for count in (3, 4, 9, 30):
        x = np.cumsum(generator.uniform(0.01, 1.0, count))
        y = generator.uniform(0.0, 5.0, count)
        at = np.concatenate([generator.uniform(x[0], x[-1], 40), x])
        found = interpolate(real(x), real(y), real(at)).numpy()
        assert np.abs(found - [hermite(x, y, a) for a in at]).max() < 1e-12


def test_between_knots_it_stays_between_their_values():
    x, y = real([0.0, 1.0, 2.0, 3.0, 4.0]), real([1.0, 1.0, 9.0, 9.5, 0.0])
    found = interpolate(x, y, torch.linspace(0, 4, 401, dtype=torch.float64))
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 9.5


def test_end_values_hold_beyond_the_table():
    x, y = real([0.1, 0.2]), real([2.0, 1.0])
    assert interpolate(x, y, real([0.0, 0.15, 0.3])).tolist() == [2.0, 1.5, 1.0]


def test_gradients():
    x, y = real([0.0, 0.3, 0.5, 1.0]), real([2.0, 4.0, 3.0, 1.0]).requires_grad_()
    at = real([0.1, 0.4, 0.6, 0.9]).requires_grad_()
    column = real(2.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda f, s, n: Table(x, f, n).per_area(s), (y, at, column))
