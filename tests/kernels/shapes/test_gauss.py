import math

import pytest
import torch

from nanobrag_torch.kernels.shapes import gauss


def L(delta, radius="nanobragg", fudge=1.0):
    d = tuple(torch.tensor([x], dtype=torch.float64) for x in delta)
    N = torch.tensor([2.0, 3.0, 4.0]).double()
    reciprocal = torch.diag(torch.tensor([0.1, 0.05, 0.02])).double()
    return gauss.amplitude(d, N, torch.tensor(fudge).double(), reciprocal, radius).item()


def test_inherited_radius_is_in_reciprocal_angstroms_times_all_counts():
    """specs: deviations, D27."""
    assert L((0.1, 0.0, 0.0)) == pytest.approx(24 * math.exp(-((0.1 * 0.1 * 24) ** 2) / 0.63), rel=1e-7)


def test_exact_radius_counts_cells_per_axis():
    assert L((0.0, 0.1, 0.0), "exact", 2.0) == pytest.approx(24 * math.exp(-2.0 * 0.3**2 / 0.63), rel=1e-13)
