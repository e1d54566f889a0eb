"""Registration: known maps are found, and derivatives are those of the problem solved again."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nanobrag_torch.errors import InputError
from nanobrag_torch.register import Options, Registration, register
from nanobrag_torch.register.hessian import hessian
from nanobrag_torch.register.implicit import attached
from nanobrag_torch.register.newton import TOLERANCE, newton
from nanobrag_torch.register.run import _objective
from nanobrag_torch.register.transforms import identity


def blobs(slow: torch.Tensor, fast: torch.Tensor, seed: int = 3, size: int = 40) -> torch.Tensor:
    """A smooth scene, known everywhere."""
    random = np.random.default_rng(seed)
    total = torch.zeros_like(slow)
    for cs, cf, width, height in zip(
        *random.uniform(-4, size + 4, (2, 40)), random.uniform(1.8, 4, 40), random.uniform(0.3, 1, 40), strict=True
    ):
        total = total + height * torch.exp(-((slow - cs) ** 2 + (fast - cf) ** 2) / (2 * width**2))
    return total


def grid(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.arange(n, dtype=torch.float64)
    slow, fast = torch.meshgrid(axis, axis, indexing="ij")
    return slow, fast


def pair(n: int, angle: float = 0.0, shift: tuple[float, float] = (1.3, -0.7), noise: float = 0.0):
    """Moving and fixed: the moving image at T(x) is the fixed one at x, T a turn about the middle and a shift."""
    slow, fast = grid(n)
    fixed = blobs(slow, fast, size=n)
    middle = 0.5 * (n - 1)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    s, f = slow - middle - shift[0], fast - middle - shift[1]
    moving = blobs(middle + cos * s + sin * f, middle - sin * s + cos * f, size=n)
    random = torch.Generator().manual_seed(5)
    return tuple(
        x + noise * fixed.std() * torch.randn(n, n, dtype=torch.float64, generator=random) for x in (moving, fixed)
    )


@pytest.mark.parametrize("similarity", ["ncc", "mind", "ssd"])
@pytest.mark.parametrize("model", ["shift", "rigid", "affine"])
def test_a_known_map_is_found(model: str, similarity: str) -> None:
    """Without noise, to what is left of interpolation."""
    angle = 0.0 if model == "shift" else 7.0
    moving, fixed = pair(40, angle)
    contrast = {"ncc": lambda x: 3.0 * x + 2.0, "mind": lambda x: 5.0 - 2.0 * x, "ssd": lambda x: x}[similarity]
    found = register(contrast(moving), fixed, model, similarity, options=Options(search=4.0))
    assert found.converged
    assert found.gradient <= TOLERANCE
    matrix, move = found.transform.linear()
    turn = math.radians(angle)
    expected = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=torch.float64)
    assert (move - torch.tensor([1.3, -0.7])).abs().max() < 0.01
    assert (matrix - expected).abs().max() < 0.001


def test_a_free_form_deformation_is_found() -> None:
    n = 48
    slow, fast = grid(n)
    moving = blobs(slow, fast, size=n)
    field = torch.stack([2.0 * torch.sin(slow / 9.0 + 1.0), 1.5 * torch.cos(fast / 11.0)])
    fixed = blobs(slow + field[0], fast + field[1], size=n)
    found = register(moving, fixed, "spline", "ssd", options=Options(spacing=8.0, bending=0.01))
    assert found.converged
    inner = (slice(None), slice(6, -6), slice(6, -6))
    assert (found.field - field)[inner].norm(dim=0).mean() < 0.02
    points = torch.tensor([[10.0, 20.0], [30.0, 21.5]], dtype=torch.float64)
    assert (found.transform(found.transform.inverse(points)) - points).abs().max() < 1e-9


@pytest.mark.parametrize("similarity", ["ncc", "mind", "ssd"])
@pytest.mark.parametrize("model", ["rigid", "affine", "spline"])
def test_the_hessian_is_the_second_derivative(model: str, similarity: str) -> None:
    """Against automatic differentiation of the whole objective, far from the minimum."""
    moving, fixed = pair(56 if model == "spline" else 24, 3.0, noise=0.1)
    bare = identity(model, tuple(fixed.shape), 4.0 if model == "spline" else 0.0)
    numbers = [torch.tensor(x, dtype=torch.float64) for x in (0.3, 0.2, 0.1, 0.8)]
    goal = _objective((moving, fixed, torch.ones_like(moving), torch.ones_like(fixed), *numbers), bare, similarity)
    random = torch.Generator().manual_seed(1)
    p = torch.randn(len(bare.parameters), dtype=torch.float64, generator=random) * 0.3
    found = hessian(goal, p)
    probe = torch.randn(len(p), 3, dtype=torch.float64, generator=random)
    q = p.clone().requires_grad_()
    _, gradient = goal.gradient(q, create_graph=True)
    expected = torch.stack([torch.autograd.grad(gradient, q, v, retain_graph=True)[0] for v in probe.T], 1)
    assert (found @ probe - expected).norm() < 1e-10 * expected.norm()


CASES = [
    ("shift", "mind"),
    ("rigid", "ncc"),
    ("affine", "ssd"),
    ("affine", "mind"),
    ("spline", "mind"),
    ("spline", "ncc"),
]
NUMBERS = ("bending", "anchor", "floor", "sigma")


def solved(model: str, similarity: str, values: dict[str, torch.Tensor], **words: object) -> Registration:
    options = Options(spacing=13.0, **{k: values[k] for k in NUMBERS}, **words)
    return register(values["moving"], values["fixed"], model, similarity, values["keep"], options)


@pytest.mark.parametrize(("model", "similarity"), CASES)
def test_the_derivative_is_that_of_the_problem_solved_again(model: str, similarity: str) -> None:
    """Central differences by both images, the weights and the options, where the images do not fit exactly."""
    moving, fixed = pair(26, 2.0 if model != "shift" else 0.0, noise=0.1)
    random = torch.Generator().manual_seed(11)
    theta = {"moving": moving, "fixed": fixed, "keep": torch.ones_like(fixed)}
    theta |= {k: torch.tensor(x, dtype=torch.float64) for k, x in zip(NUMBERS, (2.0, 1e-3, 0.2, 0.9), strict=True)}
    along = {k: torch.randn(v.shape, dtype=torch.float64, generator=random) * 0.1 for k, v in theta.items()}
    along["anchor"] = along["anchor"] * 0.1
    wanted = {k: v.clone().requires_grad_() for k, v in theta.items()}
    here = solved(model, similarity, wanted, search=2.0)
    assert here.converged
    assert here.value > 1e-4
    look = torch.randn(here.field.shape, dtype=torch.float64, generator=random)
    blend = torch.randn(here.warped.shape, dtype=torch.float64, generator=random)

    def summary(found: Registration) -> torch.Tensor:
        return (found.field * look).sum() + (found.warped * found.weight * blend).sum()

    slopes = dict(zip(wanted, torch.autograd.grad(summary(here), wanted.values(), allow_unused=True), strict=True))
    start, step = here.transform.with_parameters(here.transform.parameters.detach()), 1e-4
    for names in (("moving",), ("fixed",), ("keep",), NUMBERS):
        ends = [
            solved(model, similarity, theta | {k: theta[k] + h * along[k] for k in names}, start=start, levels=1)
            for h in (step, -step)
        ]
        assert all(end.converged for end in ends)
        expected = float(summary(ends[0]) - summary(ends[1])) / (2 * step)
        actual = sum(float((slopes[k] * along[k]).sum()) for k in names if slopes[k] is not None)
        assert abs(actual - expected) <= 1e-4 * abs(expected) + 1e-9, names


def test_what_has_not_converged_has_no_derivative() -> None:
    moving, fixed = pair(24, noise=0.1)
    bare = identity("shift", (24, 24))
    numbers = [torch.tensor(x, dtype=torch.float64) for x in (0.0, 0.0, 0.1, 1.0)]
    theta = (moving.requires_grad_(), fixed, torch.ones_like(fixed), torch.ones_like(fixed), *numbers)
    minimum = newton(_objective(tuple(t.detach() for t in theta), bare, "ncc"), torch.tensor([1.2, -0.6]).double())
    assert minimum.converged
    stopped = replace(minimum, gradient=1e-3)
    with pytest.raises(ArithmeticError, match="has not converged"):
        attached(stopped, lambda *t: _objective(t, bare, "ncc"), theta).sum().backward()


def test_pixels_left_out_take_no_part() -> None:
    """Whatever stands in them, NaN included, in either image."""
    moving, fixed = pair(40, noise=0.05)
    keep_moving, keep_fixed = torch.ones(40, 40, dtype=torch.bool), torch.ones(40, 40, dtype=torch.bool)
    keep_moving[5:9, 20:24] = False
    keep_fixed[25:30, 10:12] = False
    results = []
    for junk in (math.nan, 1e6):
        m, f = moving.clone(), fixed.clone()
        m[~keep_moving], f[~keep_fixed] = junk, -junk
        results.append(register(m, f, "rigid", "mind", keep=(keep_moving, keep_fixed)))
    assert results[0].converged
    assert torch.equal(results[0].field, results[1].field)
    assert (results[0].transform.parameters[:2] - torch.tensor([1.3, -0.7])).abs().max() < 0.2
    assert (results[0].weight[25:30, 10:12] == 0).all()


def test_weights_are_smooth_at_the_edge() -> None:
    """An image that slides out of the other: the objective has no steps."""
    moving, fixed = pair(24)
    bare = identity("shift", (24, 24))
    numbers = [torch.tensor(x, dtype=torch.float64) for x in (0.0, 0.0, 0.1, 1.0)]
    goal = _objective((moving, fixed, torch.ones_like(moving), torch.ones_like(fixed), *numbers), bare, "ssd")
    for edge in (3.0, 4.0, 2.5):
        low, high = (goal.gradient(torch.tensor([edge + d, 0.3]).double())[1] for d in (-1e-7, 1e-7))
        assert (low - high).abs().max() < 1e-5


N = 20
GOOD = blobs(*grid(N), size=N)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"model": "afine"}, "model: 'afine' is unknown; use one of shift, rigid, affine, spline .did you mean affine"),
        ({"similarity": "mi"}, "similarity: 'mi' is unknown"),
        ({"moving": GOOD[0]}, "moving: has 1 dimensions"),
        ({"moving": GOOD[:9]}, "moving: 9 x 20 pixels are too few"),
        ({"fixed": GOOD * 1j}, "fixed: is complex; register amplitudes"),
        ({"fixed": "picture"}, "fixed: is not an array|fixed: has 0"),
        ({"fixed": torch.ones(N, N)}, "fixed: every kept pixel is 1; there is nothing"),
        (
            {"moving": torch.where(GOOD[3, 4] == GOOD, math.nan, GOOD)},
            "moving: 1 kept pixel is not finite, the first at slow 3, fast 4",
        ),
        ({"keep": torch.zeros(N, N)}, "keep .fixed.: leaves out every pixel"),
        ({"keep": (torch.ones(N, 3), None)}, "keep .moving.: has shape"),
        ({"keep": -torch.ones(N, N)}, "keep .fixed.: the weight at slow 0, fast 0 is not a number >= 0"),
        ({"options": Options(bending=-1.0)}, "bending: -1; give a number from 0"),
        ({"options": Options(floor=0.0)}, "floor: 0; give a number above 0"),
        ({"options": Options(sigma=math.nan)}, "sigma: nan"),
        ({"options": Options(search=-1.0)}, "search: -1 pixels"),
        ({"options": Options(spacing=1.0), "model": "spline"}, "spacing: 1 pixels; knots stand at least 4"),
        ({"options": Options(start=identity("shift", (5, 5)))}, "start: a shift of 5 x 5 pixels"),
    ],
)
def test_what_cannot_be_used_is_refused(words: dict, message: str) -> None:
    said = {"moving": GOOD, "fixed": GOOD, **words}
    with pytest.raises(InputError, match=message) as caught:
        register(said.pop("moving"), said.pop("fixed"), **said)
    assert "\n" not in str(caught.value)


def test_a_grid_that_nobody_can_solve_is_refused() -> None:
    big = blobs(*grid(300), size=300)
    with pytest.raises(InputError, match=r"spacing: 4 pixels make \d+ coefficients; at most 4000"):
        register(big, big, "spline", options=Options(spacing=4.0))


def test_a_part_is_found_in_a_larger_image() -> None:
    """Far from where the middles meet, and where a smaller overlap looks better at the smallest level."""
    slow, fast = grid(24)
    found = register(blobs(*grid(48), size=48), blobs(slow + 19.4, fast + 4.7, size=48), "shift", "ncc")
    assert found.converged
    assert (found.transform.parameters + found.transform.centre - 11.5 - torch.tensor([19.4, 4.7])).abs().max() < 0.02
