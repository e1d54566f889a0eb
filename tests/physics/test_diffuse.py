"""The law of diffuse scattering against sums over small crystals whose cells are displaced."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.physics.diffuse import diffuse_forms, distinct

CELL = np.array([[9.0, 0.0, 0.0], [0.5, 10.0, 0.0], [-0.7, 0.4, 11.0]])
ONE = np.eye(3)[None]


def law(h, sigma, gamma, cells, lattice, operations=ONE):
    """L² + the mean over operations of scale X/(1 + Y)² at indices h [P, 3]."""
    reciprocal = np.linalg.inv(CELL).T
    forms = diffuse_forms(
        real(reciprocal), torch.eye(3, dtype=torch.float64), real(sigma), real(gamma), real(operations), real(cells)
    )
    delta = h - np.ceil(h - 0.5)
    total = 0.0
    for P, G in zip(forms.displacement.numpy(), forms.correlation.numpy(), strict=True):
        X, Y = np.einsum("pi,ij,pj->p", h, P, h), np.einsum("pi,ij,pj->p", delta, G, delta)
        total = total + lattice + float(forms.scale) * X / (1 + Y) ** 2
    return total / len(operations)


def correlation(r, gamma):
    """exp(-|r/γ|) between cells whole r [..., 3] apart."""
    return np.exp(-np.sqrt((((r @ CELL) / gamma) ** 2).sum(-1)))


def pair_sum(h, sigma, gamma, counts):
    """⟨|Σ exp 2πi S·(R + u)|²⟩ of a box of cells, exactly, for Gaussian displacements."""
    r = np.array(list(itertools.product(*(range(-n + 1, n) for n in counts))))
    weight = np.prod(np.array(counts) - np.abs(r), axis=1)
    S = h @ np.linalg.inv(CELL).T
    X = 4 * np.pi**2 * ((S * sigma) ** 2).sum(-1)
    C = correlation(r, gamma)
    phase = np.cos(2 * np.pi * h @ r.T)
    return (weight * phase * np.exp(-X[:, None] * (1 - C))).sum(1)


def test_the_pair_sum_is_the_mean_over_displaced_crystals():
    """400 crystals of 6 x 6 x 6 cells with correlated displacements drawn cell by cell."""
    counts, sigma, gamma = (6, 6, 6), np.array([0.5, 0.3, 0.4]), np.array([18.0, 25.0, 20.0])
    generator = np.random.default_rng(1)
    n = np.array(list(itertools.product(*map(range, counts))))
    root = np.linalg.cholesky(correlation(n[:, None] - n[None], gamma) + 1e-12 * np.eye(len(n)))
    h = np.array([2.0, 1.0, -1.0]) + generator.uniform(-0.3, 0.3, (8, 3))
    S = h @ np.linalg.inv(CELL).T
    draws = []
    for _ in range(400):
        u = sigma * (root @ generator.normal(size=(len(n), 3)))
        draws.append(np.abs(np.exp(2j * np.pi * S @ (n @ CELL + u).T).sum(1)) ** 2)
    mean, error = np.mean(draws, axis=0), np.std(draws, axis=0) / math.sqrt(400)
    assert (np.abs(mean - pair_sum(h, sigma, gamma, counts)) < 4 * error).all()


def test_the_law_is_the_pair_sum_of_many_cells():
    """To first order in the correlation, far from the edges: per cell, Σ C(r) exp(2πi h·r) against D near a node."""
    sigma, gamma = np.array([0.05, 0.03, 0.04]), np.array([18.0, 25.0, 20.0])
    generator = np.random.default_rng(2)
    h = np.array([2.0, 1.0, -1.0]) + generator.uniform(-0.15, 0.15, (20, 3))
    S = h @ np.linalg.inv(CELL).T
    X = 4 * np.pi**2 * ((S * sigma) ** 2).sum(-1)
    reach = range(-34, 35)
    r = np.array(list(itertools.product(reach, reach, reach)))
    brute = X * (correlation(r, gamma) * np.cos(2 * np.pi * h @ r.T)).sum(1)
    found = law(h, sigma, gamma, 1.0, 0.0)
    assert np.abs(found / brute - 1).max() < 0.05  # what the nearest node leaves to the others
    all_nodes = 0.0
    for node in itertools.product(range(-8, 9), repeat=3):
        q = (h - np.ceil(h - 0.5) - node) @ np.linalg.inv(CELL).T
        volume = np.linalg.det(CELL)
        all_nodes = all_nodes + 8 * np.pi * gamma.prod() / volume / (1 + 4 * np.pi**2 * ((q * gamma) ** 2).sum(-1)) ** 2
    assert np.abs(X * all_nodes / brute - 1).max() < 3e-3


def test_a_finite_crystal_as_a_whole():
    """Bragg and diffuse; F of cells at rest is larger by exp(X/2). The error is that of edges and neighbours."""
    sigma, gamma = np.array([0.05, 0.03, 0.04]), np.array([10.0, 9.0, 11.0])
    generator = np.random.default_rng(3)
    h = np.array([3.0, 2.0, -2.0]) + generator.uniform(-0.25, 0.25, (12, 3))
    h[0] = [3.0, 2.0, -2.0]
    errors = []
    S = h @ np.linalg.inv(CELL).T
    rest = np.exp(4 * np.pi**2 * ((S * sigma) ** 2).sum(-1))
    for n in (12, 24):
        delta = h - np.ceil(h - 0.5)
        L = np.prod([np.sin(np.pi * n * d) / np.where(d == 0, 1, np.sin(np.pi * d)) for d in delta.T], axis=0)
        L = np.where((delta == 0).all(-1), float(n) ** 3, L)
        exact = rest * pair_sum(h, sigma, gamma, (n, n, n))
        found = law(h, sigma, gamma, float(n) ** 3, L**2)
        ideal = L**2
        errors.append(np.abs(found - exact)[1:].sum() / np.abs(exact - ideal)[1:].sum())
        assert abs(found[0] / exact[0] - 1) < 1e-4
    assert errors[1] < errors[0]
    assert errors[1] < 0.15


def test_no_displacement_is_the_ideal_crystal_exactly():
    h = np.random.default_rng(4).uniform(-3, 3, (50, 3))
    assert np.array_equal(law(h, np.zeros(3), np.array([10.0, 20.0, 30.0]), 100.0, 7.0), np.full(50, 7.0))


def test_symmetry_is_the_mean_over_turned_tensors():
    """Operations of 422 acting on h: the mean of the plain law at every equivalent h."""
    h = np.random.default_rng(5).uniform(-3, 3, (30, 3))
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    operations = np.array([np.eye(3), turn, turn @ turn, turn @ turn @ turn])
    sigma, gamma = np.array([0.2, 0.1, 0.3]), np.array([20.0, 30.0, 15.0])
    found = law(h, sigma, gamma, 50.0, 2.0, operations)
    expected = sum(law(h @ W, sigma, gamma, 50.0, 2.0) for W in operations) / 4
    assert np.abs(found - expected).max() < 1e-12 * expected.max()


def test_gradients():
    reciprocal = real(np.linalg.inv(CELL).T).requires_grad_()
    sigma, gamma = real([0.2, 0.1, 0.3]).requires_grad_(), real([20.0, 30.0, 15.0]).requires_grad_()
    frame, cells = torch.eye(3, dtype=torch.float64), real(20.0).requires_grad_()
    forms = lambda a, s, g, n: tuple(diffuse_forms(a, frame, s, g, real(ONE), n))  # noqa: E731
    assert torch.autograd.gradcheck(forms, (reciprocal, sigma, gamma, cells))


def test_operations_that_change_nothing_are_left_out():
    """222 along the axes of a frame: one form; a four-fold axis: two; 23: three."""
    rows = np.eye(3) / 40.0
    turns = {"222": [np.diag(d) for d in ([1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1])]}
    four = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turns["422"] = [m @ np.linalg.matrix_power(four, k) for m in turns["222"] for k in range(4)]
    three = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    turns["23"] = [m @ np.linalg.matrix_power(three, k) for m in turns["222"] for k in range(3)]
    counts = {name: len(distinct(real(np.array(ops, dtype=float)), real(rows))) for name, ops in turns.items()}
    assert counts == {"222": 1, "422": 2, "23": 3}
