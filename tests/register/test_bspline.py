"""Splines and descriptors against what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nanobrag_torch.register.bspline import basis, coefficients, energy_matrices, evaluate, knot_count, weights
from nanobrag_torch.register.mind import EDGES, Shape, descriptors, distances, variance_floor
from nanobrag_torch.register.pyramid import eroded, filled, halved
from nanobrag_torch.register.transforms import as_spline, from_linear, identity, nearest_affine


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_interpolant_goes_through_the_pixels() -> None:
    for shape in ((7, 5), (40, 33)):
        image = noise(*shape)
        grid = torch.stack(torch.meshgrid(*(torch.arange(n).double() for n in shape), indexing="ij"))
        assert (evaluate(coefficients(image), grid) - image).abs().max() < 1e-13


def test_the_interpolant_is_the_reflected_natural_one() -> None:
    """One dimension, against the tridiagonal system of the interpolation conditions, solved densely."""
    n = 9
    image = noise(n, 1).expand(n, 6).contiguous()
    matrix = np.zeros((n, n))
    for i in range(n):
        for j, weight in ((i - 1, 1 / 6), (i, 4 / 6), (i + 1, 1 / 6)):
            matrix[i, n - 1 - abs(n - 1 - abs(j))] += weight
    expected = np.linalg.solve(matrix, image[:, 0].numpy())
    np.testing.assert_allclose(coefficients(image)[:, 2].numpy(), expected, atol=1e-13)


def test_second_derivatives_of_the_interpolant() -> None:
    coefs = noise(8, 9).requires_grad_()
    points = (noise(2, 5, seed=1).abs() * 3.0 + 1.2).requires_grad_()
    assert torch.autograd.gradcheck(evaluate, (coefs, points))
    assert torch.autograd.gradgradcheck(evaluate, (coefs, points))


def test_derivatives_of_the_basis() -> None:
    t = torch.linspace(0.0, 1.0, 7, dtype=torch.float64)
    step = 1e-5
    for order in (1, 2):
        difference = (weights(t + step, order - 1) - weights(t - step, order - 1)) / (2 * step)
        assert (weights(t, order) - difference).abs().max() < 1e-9
    assert (weights(t).sum(-1) - 1.0).abs().max() < 1e-15


def test_bending_energy_is_its_integral() -> None:
    """Against second derivatives summed over a fine grid; a linear map has none."""
    size, spacing = (23, 17), 6.0
    counts = [knot_count(n, spacing) for n in size]
    c = noise(*counts)
    axes = [(torch.arange(n * 40).double() + 0.5) / 40 - 0.5 for n in size]
    total = 0.0
    for orders, factor in (((2, 0), 1.0), ((1, 1), 2.0), ((0, 2), 1.0)):
        slow, fast = (basis(x, spacing, n, k) for x, n, k in zip(axes, counts, orders, strict=True))
        total += factor * float(((slow @ c @ fast.T) ** 2).mean())
    matrix, square = energy_matrices(size, spacing, c)
    values = basis(axes[0], spacing, counts[0]) @ c @ basis(axes[1], spacing, counts[1]).T
    assert abs(float(c.flatten() @ square @ c.flatten()) - float((values**2).mean())) < 1e-3
    assert abs(float(c.flatten() @ matrix @ c.flatten()) - total) < 1e-4 * total
    places = torch.stack(torch.meshgrid(*(torch.arange(n).double() for n in counts), indexing="ij"))
    flat = (0.3 * places[0] - 0.7 * places[1] + 2.0).flatten()
    assert abs(float(flat @ matrix @ flat)) < 1e-15


def test_maps_with_a_matrix_are_splines_too() -> None:
    matrix = torch.tensor([[1.1, -0.2], [0.15, 0.9]], dtype=torch.float64)
    affine = from_linear("affine", matrix, torch.tensor([3.0, -2.0]).double(), (30, 41))
    spline = as_spline(affine, 7.0)
    points = noise(2, 20).abs() * 9.0
    assert (spline(points) - affine(points)).abs().max() < 1e-12
    assert (nearest_affine(spline).parameters - affine.parameters).abs().max() < 1e-11
    assert (affine(affine.inverse(points)) - points).abs().max() < 1e-12
    rows, columns = torch.arange(30).double(), torch.arange(41).double()
    whole = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    assert (spline.on_grid(rows, columns) - spline.displacement(whole)).abs().max() < 1e-12
    assert identity("rigid", (30, 41)).displacement(points).abs().max() == 0.0


@pytest.mark.parametrize("step", [1, 2])
def test_distances_are_those_of_patches(step: int) -> None:
    """Brute force: every patch pair of an inner pixel, summed with its weights."""
    image, sigma = noise(17, 17), 0.8
    found = distances(image, Shape(torch.tensor(sigma, dtype=torch.float64), step))
    assert found.shape[0] == EDGES == 12
    ring = step * np.array([(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)])
    edges = [(ring[k], ring[(k + 1) % 8]) for k in range(8)] + [(ring[k], ring[(k + 2) % 8]) for k in (1, 3, 5, 7)]
    offsets = np.arange(-2, 3)
    patch = np.exp(-0.5 * (offsets / sigma) ** 2)
    patch /= patch.sum()
    values, s, f = image.numpy(), 7, 8
    expected = []
    for a, b in edges:
        total = 0.0
        for i, u in zip(patch, offsets, strict=True):
            for j, v in zip(patch, offsets, strict=True):
                total += i * j * (values[s + a[0] + u, f + a[1] + v] - values[s + b[0] + u, f + b[1] + v]) ** 2
        expected.append(total)
    np.testing.assert_allclose(sorted(found[:, s, f].tolist()), sorted(expected), rtol=1e-12)


def test_descriptors_do_not_depend_on_contrast() -> None:
    image, keep = noise(20, 18), torch.ones(20, 18, dtype=torch.float64)
    shape, floor = Shape(torch.tensor(1.0).double()), torch.tensor(0.1).double()
    both = [descriptors(x, shape, variance_floor(x, keep, shape, floor)) for x in (image, 7.0 - 30.0 * image)]
    assert (both[0] - both[1]).abs().max() < 1e-12
    assert both[0].min() > 0.0
    assert both[0].max() <= 1.0


def test_pixels_left_out_are_filled_from_their_neighbours() -> None:
    rows = torch.arange(20).double()[:, None].expand(20, 20).contiguous()
    keep = torch.ones(20, 20, dtype=torch.float64)
    keep[9:11, 5:8] = 0.0
    spoilt = torch.where(keep == 0.0, torch.nan, rows)
    assert (filled(spoilt, keep) - rows).abs().max() < 1.0
    assert eroded(keep, 1, outside=True).sum() == 400 - 4 * 5
    assert eroded(keep, 1, outside=False).sum() == 18 * 18 - 4 * 5
    half, weight = halved(rows, keep)
    assert half[0, 0] == 0.5
    assert weight[0, 0] == 1.0
