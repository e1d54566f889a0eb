from __future__ import annotations

import torch

from nanobrag_torch.geometry.vectors import cross, dot, real, vector


def test_products_are_those_of_linear_algebra():
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 7, 3, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(cross(a, b), torch.linalg.cross(a, b))
    torch.testing.assert_close(dot(a, b), (a * b).sum(-1))


def test_a_product_does_not_depend_on_its_neighbours():
    a, b = torch.randn(2, 1001, 3, dtype=torch.float64)
    assert torch.equal(dot(a, b)[500:501], dot(a[500:501], b[500:501]))
    assert torch.equal(cross(a, b)[500:501], cross(a[500:501], b[500:501]))


def test_numbers_become_double_and_tensors_stay_in_their_graph():
    assert real(1).dtype == torch.float64
    x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert real(x) is x
    single = torch.tensor(2.0, requires_grad=True)
    (real(single) + vector((1.0, single, x))[1]).backward()
    assert single.grad == 2.0
    assert vector(torch.ones(3)).dtype == torch.float64
