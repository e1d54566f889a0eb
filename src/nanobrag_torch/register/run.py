"""Registration: where every pixel of one image lies in another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.register import checks
from nanobrag_torch.register.coarse import LEAST_OVERLAP, compositional, free_form, starts, value
from nanobrag_torch.register.implicit import attached
from nanobrag_torch.register.mind import Shape
from nanobrag_torch.register.newton import Minimum, newton
from nanobrag_torch.register.objective import Objective, Settings, objective, prepare, warp
from nanobrag_torch.register.pyramid import filled, halved, level_count
from nanobrag_torch.register.transforms import Transform, as_spline, identity

BENDING = 3.0
FLOOR = 0.1
SIGMA = 1.0
DISTANCE = 3
SPACING = 16.0


@dataclass(frozen=True)
class Options:
    """How images are registered; numbers may be tensors that require gradients where it says so.

    Args:
        spacing: pixels between the knots of a free-form deformation.
        bending: weight of its mean bending energy, pixels²; may be a tensor.
        anchor: weight of its mean square displacement, 1/pixels²; may be a tensor. A trace of it (1e-6) decides what
            the images leave open, as rings do a turn about their centre.
        floor: floor of the local variance in MIND, relative to the image's mean of it; may be a tensor.
        sigma: standard deviation of MIND's patches, pixels; may be a tensor.
        distance: of the eight neighbours whose patches MIND compares, pixels.
        levels: levels of the pyramid; as many as the size allows by default.
        search: shifts up to this many pixels, from where the middles of both images meet, are tried at the smallest
            level, and turns up to 30 degrees; by default half the difference in size and a quarter of the shorter side.
        start: a transform to begin with, instead of the identity; there is no search then.
    """

    spacing: float = SPACING
    bending: float | Tensor = BENDING
    anchor: float | Tensor = 0.0
    floor: float | Tensor = FLOOR
    sigma: float | Tensor = SIGMA
    distance: int = DISTANCE
    levels: int | None = None
    search: float | None = None
    start: Transform | None = None


@dataclass(frozen=True)
class Registration:
    """What `register` found.

    Args:
        transform: the map from pixels of the fixed image to those of the moving one.
        field: displacements [2, H, W], slow and fast in pixels: pixel x of the fixed image lies at x + field(x).
        warped: the moving image as the fixed one sees it, [H, W].
        weight: how much every pixel counted, [H, W], 0 where the moving image has nothing.
        hessian: second derivatives [n, n] of the objective by the parameters, 1/pixel².
        converged: whether the gradient is at most 1e-9 and the Hessian positive definite.
        gradient: length of the gradient, 1/pixel.
        value: the objective.
        steps: Newton steps at the end.
    """

    transform: Transform
    field: Tensor
    warped: Tensor
    weight: Tensor
    hessian: Tensor
    converged: bool
    gradient: float
    value: float
    steps: int


def register(
    moving: Any,
    fixed: Any,
    model: str = "shift",
    similarity: str = "ncc",
    keep: Any = None,
    options: Options | None = None,
) -> Registration:
    """Find where the pixels of `fixed` lie in `moving`.

    The result is a minimum of an objective with two continuous derivatives, and differentiable by both images, by
    weights in `keep` and by the options that are tensors: once, exactly, by the theorem of implicit functions. All
    arithmetic is in float64, on the processor.

    Args:
        moving: image [H_m, W_m], a tensor or an array.
        fixed: image [H, W].
        model: `shift`, `rigid` (shift and turn), `affine` or `spline` (free-form deformation).
        similarity: `ncc` (correlation: the same image up to brightness and contrast), `mind` (local structure: other
            contrast, inverted or another instrument's), `ssd` (the same numbers).
        keep: True (or a weight above 0) where a pixel of `fixed` counts, [H, W]; or a pair of such masks of `moving`
            and `fixed`, either of them `None` for all.
        options: see `Options`.

    Raises:
        InputError: an argument that cannot be used; images that never overlap enough.
    """
    options = options or Options()
    checks.choice("similarity", similarity, checks.SIMILARITIES)
    images = checks.image("moving", moving), checks.image("fixed", fixed)
    checks.grid(model, options.spacing, _size(images[1]))
    said = keep if isinstance(keep, (tuple, list)) and len(keep) == 2 else (None, keep)
    masks = tuple(
        checks.weights(f"keep ({n})", k, i) for n, k, i in zip(("moving", "fixed"), said, images, strict=True)
    )
    for name, values, mask in zip(("moving", "fixed"), images, masks, strict=True):
        checks.contents(name, values, mask)
    numbers = (
        checks.scalar("bending", options.bending, zero=True),
        checks.scalar("anchor", options.anchor, zero=True),
        checks.scalar("floor", options.floor, zero=False),
        checks.scalar("sigma", options.sigma, zero=False),
    )
    theta = (*images, *masks, *numbers)
    bare = identity(model, _size(images[1]), options.spacing if model == "spline" else 0.0)

    def build(*tensors: Tensor) -> Objective:
        return _objective(tensors, bare, similarity, options.distance)

    with torch.no_grad():
        plain = tuple(t.detach() for t in theta)
        near = _approach(plain, bare, similarity, options)
        minimum = newton(build(*plain), near)
    return _result(minimum, bare, build(*theta), attached(minimum, build, theta))


def _size(image: Tensor) -> tuple[int, int]:
    return int(image.shape[0]), int(image.shape[1])


def _objective(
    theta: tuple[Tensor, ...], bare: Transform, similarity: str, distance: int = DISTANCE, step: int = 1
) -> Objective:
    """The objective of images, weights and numbers as they stand in a list."""
    moving, fixed, keep_moving, keep_fixed, bending, anchor, floor, sigma = theta
    settings = Settings(similarity, bending, anchor, floor, Shape(sigma, distance))
    moving, fixed = filled(moving, keep_moving), filled(fixed, keep_fixed)
    return objective(prepare(moving, fixed, keep_moving, keep_fixed, settings, step), bare)


def _approach(theta: tuple[Tensor, ...], bare: Transform, similarity: str, options: Options) -> Tensor:
    """Parameters near the minimum, through the levels of the pyramid."""
    linear = bare if bare.model != "spline" else identity("affine", bare.size)
    levels = [theta]
    for _ in range(level_count(theta[0], theta[1], options.levels) - 1):
        moving, fixed, keep_moving, keep_fixed, *numbers = levels[-1]
        moving, fixed = filled(moving, keep_moving), filled(fixed, keep_fixed)
        (moving, keep_moving), (fixed, keep_fixed) = halved(moving, keep_moving), halved(fixed, keep_fixed)
        levels.append((moving, fixed, keep_moving, keep_fixed, *numbers))
    goals = [_objective(level, linear, similarity, options.distance, 2**k) for k, level in enumerate(levels)][::-1]
    if options.start is not None:
        p = _started(options.start, bare)
    else:
        p = _searched(goals, options, theta)
        p = p if bare.model != "spline" else as_spline(linear.with_parameters(p), bare.spacing).parameters
    if bare.model == "spline":
        for goal in goals:
            _, p = free_form(objective(goal.pair, bare), p)
    elif options.start is not None:
        for goal in goals:
            _, p = compositional(goal, p)
    return p


def _searched(goals: list[Objective], options: Options, theta: tuple[Tensor, ...]) -> Tensor:
    """Parameters of a model with a matrix: several starts, half of them given up at every level of the pyramid."""
    shortest = min(*theta[0].shape, *theta[1].shape)
    more = max(abs(m - f) for m, f in zip(theta[0].shape, theta[1].shape, strict=True))
    distance = 0.5 * more + 0.25 * shortest if options.search is None else options.search
    if not (math.isfinite(distance) and distance >= 0.0):
        raise InputError("search", f"{distance:.6g} pixels", "give a number from 0")
    tried = starts(goals[0], distance)
    for goal in goals:
        found = sorted((compositional(goal, p) for p in tried), key=lambda pair: pair[0])
        tried = [p for _, p in found[: max(1, len(found) // 2)]]
    best, p = found[0]
    if math.isinf(best) or math.isinf(value(goals[-1], p)):
        raise InputError(
            "moving",
            f"less than {LEAST_OVERLAP:.0%} of what is kept lies on both images",
            "give a start=, a wider search=, or keep more pixels",
        )
    return p


def _started(start: Transform, bare: Transform) -> Tensor:
    """The parameters that a given start has in this model."""
    if start.size != bare.size or (start.model != bare.model and bare.model != "spline"):
        raise InputError(
            "start",
            f"a {start.model} of {start.size[0]} x {start.size[1]} pixels",
            f"give a {bare.model} of this image",
        )
    if start.model == "spline" and start.spacing != bare.spacing:
        raise InputError("start", f"its knots are {start.spacing:.6g} pixels apart", "give the same spacing=")
    found = start if start.model == bare.model else as_spline(start, bare.spacing)
    return found.parameters.detach()


def _result(minimum: Minimum, bare: Transform, goal: Objective, parameters: Tensor) -> Registration:
    """Field and warped image of the parameters, in the graph of everything that they come from."""
    field = goal.field(parameters)
    warped, weight = warp(goal.pair, field)
    return Registration(
        transform=bare.with_parameters(parameters),
        field=field,
        warped=warped,
        weight=weight,
        hessian=minimum.hessian,
        converged=minimum.converged,
        gradient=minimum.gradient,
        value=minimum.value,
        steps=minimum.steps,
    )
