"""Ways through bodies, and absorption against closed forms and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nanobrag_torch.geometry.bodies import Box, Ellipsoid, Mesh
from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.physics.attenuation import beam_brightness, sample_transmission


def box_mesh(lengths) -> Mesh:
    """The twelve triangles of a box."""
    signs = np.array(list(np.ndindex(2, 2, 2))) * 2.0 - 1.0
    corners = signs * np.asarray(lengths) / 2
    faces = []
    for axis in range(3):
        for side in (-1, 1):
            four = [i for i in range(8) if signs[i][axis] == side]
            a, b, c, d = four[0], four[1], four[3], four[2]
            for tri in ((a, b, c), (a, c, d)):
                p, q, r = corners[list(tri)]
                outward = np.cross(q - p, r - p) @ (p + q + r) > 0
                faces.append((p, q, r) if outward else (p, r, q))
    return Mesh(real(np.array(faces)))


def inside_length(inside, point: np.ndarray, direction: np.ndarray, reach: float = 3.0, steps: int = 300001) -> float:
    """The length of a ray inside a body, by counting steps."""
    t = (np.arange(steps) + 0.5) * reach / steps
    return float(inside(point + t[:, None] * direction).sum() * reach / steps)


DIRECTIONS = real([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [-0.48, 0.6, 0.64], [0.0, 0.0, -1.0]])
POINTS = real([[0.1, 0.05, -0.2], [-0.2, 0.12, 0.3], [0.013, 0.027, -0.041]])
LENGTHS = real([1.0, 0.6, 1.4])


@pytest.mark.parametrize("form", [Box, Ellipsoid, "mesh"])
def test_ways_against_counting(form):
    body = box_mesh(LENGTHS.tolist()) if form == "mesh" else form(LENGTHS)
    half = LENGTHS.numpy() / 2

    def inside(x):
        if form is Ellipsoid:
            return ((x / half) ** 2).sum(-1) < 1
        return (np.abs(x) < half).all(-1)

    found = body.path_length(POINTS, DIRECTIONS).numpy()
    for i, u in enumerate(DIRECTIONS.numpy()):
        for k, x in enumerate(POINTS.numpy()):
            assert found[i, k] == pytest.approx(inside_length(inside, x, u), abs=2e-5)


def test_a_mesh_with_a_dent_counts_only_what_is_inside():
    """Two boxes side by side with a gap: the ray leaves the first and enters the second."""
    one = box_mesh([1.0, 1.0, 1.0]).triangles
    both = Mesh(torch.cat([one, one + real([3.0, 0.0, 0.0])]))
    path_length = both.path_length(real([[0.2, 0.1, 0.13]]), real([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    assert path_length[:, 0].tolist() == pytest.approx([0.3 + 1.0, 0.7, 0.4])
    assert both.winding(real([[0.2, 0.1, 0.13], [3.2, 0.1, 0.13], [1.5, 0.0, 0.0]])).tolist() == pytest.approx(
        [1, 1, 0]
    )


@pytest.mark.parametrize("form", [Box, Ellipsoid, "mesh"])
def test_points_stand_for_the_volume(form):
    """Second moments: L²/12 of a box, L²/20 of an ellipsoid."""
    body = box_mesh(LENGTHS.tolist()) if form == "mesh" else form(LENGTHS)
    points, shares = body.volume_points(512)
    assert float(shares.sum()) == pytest.approx(1.0)
    moments = (shares[:, None] * points**2).sum(0).numpy()
    expected = LENGTHS.numpy() ** 2 / (20 if form is Ellipsoid else 12)
    assert np.abs(moments / expected - 1).max() < (0.03 if form == "mesh" else 1e-10)


def test_a_slab_in_transmission():
    """A wide slab across the beam, seen forward and askew: (e^-µt - e^-µt/c)/(µt(1/c - 1)) (Int. Tables C 6.3.3)."""
    mu, t = 900.0, 1e-3
    slab = Box(real([t, 1.0, 1.0]))
    x, w = np.polynomial.legendre.leggauss(40)
    points = real(np.stack([x * t / 2, 0 * x, 0 * x], axis=1))
    angle = 0.5
    directions = real([[1.0, 0.0, 0.0], [math.cos(angle), math.sin(angle), 0.0]])
    found = sample_transmission(slab, real(mu), points, real(w / 2), real([1.0, 0.0, 0.0]), directions)
    c = math.cos(angle)
    askew = (math.exp(-mu * t) - math.exp(-mu * t / c)) / (mu * t * (1 / c - 1))
    assert found.tolist() == pytest.approx([math.exp(-mu * t), askew], rel=1e-12)


def test_a_sphere_forward_and_back():
    """Int. Tables C 6.3.3.4 at θ = 0: A = 3/(2 x³)·(1/2 - e^{-2x}(1/2 + x + x²)), x = µR."""
    radius, mu = 0.2e-3, 5e3
    ball = Ellipsoid(real([2 * radius] * 3))
    x = mu * radius
    exact = 1.5 / x**3 * (0.5 - math.exp(-2 * x) * (0.5 + x + x * x))
    forward = real([[1.0, 0.0, 0.0]])
    for count, tolerance in ((216, 3e-3), (4000, 2e-4)):
        points, shares = ball.volume_points(count)
        found = float(sample_transmission(ball, real(mu), points, shares, forward[0], forward))
        assert found == pytest.approx(exact, rel=tolerance)


def test_many_random_points_agree_with_few_chosen_ones():
    body = Box(real([1e-4, 2e-4, 3e-4]))
    generator = np.random.default_rng(3)
    many = real(generator.uniform(-0.5, 0.5, (200_000, 3))) * body.lengths
    u = real([[0.8, 0.36, -0.48]])
    incident = real([1.0, 0.0, 0.0])
    exact = sample_transmission(body, real(3e3), many, real(np.full(len(many), 1.0 / len(many))), incident, u)
    points, shares = body.volume_points(216)
    assert float(sample_transmission(body, real(3e3), points, shares, incident, u)) == pytest.approx(
        float(exact), rel=3e-3
    )


def test_brightness():
    points = real([[0.0, 0.0, 0.0], [0.3, 5e-6, 0.0], [0.0, 0.0, 1e-5]])
    across = real([0.0, 1.0, 0.0]), real([0.0, 0.0, 1.0])
    widths = real([1e-5, 4e-5])
    assert beam_brightness(points, across, "gauss", widths).tolist() == pytest.approx([1.0, 0.5, 2.0**-0.25])
    assert beam_brightness(points, across, "flat", real([0.9e-5, 4e-5])).tolist() == [1.0, 0.0, 1.0]


def test_gradients():
    lengths, mu = real([1e-4, 2e-4, 3e-4]), real(3e3).requires_grad_()
    u = torch.nn.functional.normalize(real([[0.8, 0.3, -0.4], [0.2, 0.9, 0.1]]), dim=1).requires_grad_()
    for body in (Box(lengths), Ellipsoid(lengths), Mesh(box_mesh(lengths.tolist()).triangles)):
        points, shares = body.volume_points(27)

        def seen(mu, u, body=body, points=points, shares=shares):
            return sample_transmission(body, mu, points, shares, real([1.0, 0.0, 0.0]), u)

        assert torch.autograd.gradcheck(seen, (mu, u), rtol=1e-4)
