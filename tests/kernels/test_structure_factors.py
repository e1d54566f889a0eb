import pytest
import torch
from torch.autograd import gradcheck

from nanobrag_torch.kernels.structure_factors import StructureFactors


def table(power=3):
    """F = a polynomial of third degree in each index, which tricubic interpolation reproduces."""
    h, k, l = torch.meshgrid(*(torch.arange(-4.0, 5.0, dtype=torch.float64),) * 3, indexing="ij")
    return StructureFactors((h**power + 2 * k**2 - l) * (1 + 0.1 * l), (-4, -4, -4), torch.tensor(9.0).double(), 729)


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_nearest_inside_and_outside():
    found = table().nearest(vector(2, -4, 5, 0), vector(0, 4, 0, 0), vector(1, -4, 0, -5))
    assert found.tolist() == pytest.approx([(8 - 1) * 1.1, (-64 + 32 + 4) * 0.6, 9.0, 9.0])


def test_constant_has_one_value_everywhere():
    assert StructureFactors.constant(4.5).nearest(vector(0, 99), vector(0, -3), vector(0, 1)).tolist() == [4.5, 4.5]
    assert StructureFactors.constant(4.5).sizes == (0, 0, 0)


def test_tricubic_reproduces_cubics_and_nodes():
    h, k, l = vector(0.3, -1.7, 2.0, 1.0), vector(1.2, 0.5, -2.0, 0.0), vector(-0.4, 1.9, 1.0, 2.0)
    expected = (h**3 + 2 * k**2 - l) * (1 + 0.1 * l)
    torch.testing.assert_close(table().tricubic(h, k, l), expected, rtol=1e-13, atol=1e-12)


def test_tricubic_range_is_two_indices_from_the_edge():
    """Out of range takes default_F (specs: deviations, D03)."""
    edge = vector(2.0, 2.0000001, -2.0, -2.0000001)
    found = table().tricubic(edge, vector(0, 0, 0, 0), vector(0, 0, 0, 0))
    assert found.tolist() == pytest.approx([8.0, 9.0, -8.0, 9.0])


def test_tricubic_gradients():
    factors = table()
    h = [vector(0.3, -1.7, 3.5).requires_grad_(), vector(1.2, 0.5, 0.0).requires_grad_(), vector(-0.4, 1.9, 0.1)]

    def interpolated(h, k, values, default):
        return StructureFactors(values, factors.origin, default).tricubic(h, k, vector(-0.4, 1.9, 0.1))

    leaves = (factors.values.clone().requires_grad_(), factors.default_F.clone().requires_grad_())
    assert gradcheck(interpolated, (h[0], h[1], *leaves), fast_mode=True)
