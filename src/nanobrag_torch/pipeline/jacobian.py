"""Derivatives of every pixel by a few quantities: the chain from settled values to a scene, and through the kernel.

The scene's packed tensors are differentiated by the quantities in forward mode (few columns, many numbers), and the
kernel carries all directions through the sum over pixels in one pass. Where the kernel cannot serve, the plain
definition is differentiated in forward mode as a whole, a chunk of pixels at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.kernels.packing import pack_scene
from nanobrag_torch.kernels.pixel_sum import pixel_sum_jvp, why_not
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.pipeline.compose import render_scene
from nanobrag_torch.pipeline.plan import BYTES_PER_PIXEL
from nanobrag_torch.pipeline.render import RenderOptions, limited, pixel_factors, pixel_scene, plain_sums, scaled

DOUBLE = torch.float64


def columns(function: Callable[..., Any], numbers: Tensor, *more: Tensor) -> Any:
    """Derivatives of what `function(numbers, *more)` gives by `numbers` [K], as a last axis, in forward mode."""
    with warnings.catch_warnings():  # torch's own use of torch.jit, at its first dual number
        warnings.filterwarnings("ignore", r".*torch\.jit\.script", DeprecationWarning)
        return torch.func.jacfwd(function)(numbers, *more)


def check_names(experiment: Experiment, names: Sequence[str]) -> None:
    """Raise unless every name is a quantity that this experiment has.

    Raises:
        InputError: no name, an unknown one, one twice, or a quantity that the experiment does not have.
    """
    if not names:
        raise InputError("names", "no quantity is named", "choose among " + ", ".join(QUANTITIES))
    for name in names:
        if name not in QUANTITIES:
            raise InputError(name, "it is not a quantity", "choose among " + ", ".join(QUANTITIES))
        if list(names).count(name) > 1:
            raise InputError(name, "it is named twice", "name it once")
        objection = QUANTITIES[name].objection(experiment)
        if objection is not None:
            raise InputError(name, objection)


def settled_numbers(experiment: Experiment, names: Sequence[str]) -> Tensor:
    """The present values of the named quantities, one after another [K], settled units."""
    return torch.cat([QUANTITIES[name].take(experiment).detach().to(DOUBLE).reshape(-1) for name in names])


def placing(experiment: Experiment, names: Sequence[str]) -> Callable[[Tensor], Experiment]:
    """The function that puts numbers [K], in the order of `settled_numbers`, into the experiment."""
    shapes = [QUANTITIES[name].take(experiment).shape for name in names]

    def place(numbers: Tensor) -> Experiment:
        changed, done = experiment, 0
        for name, shape in zip(names, shapes, strict=True):
            changed = QUANTITIES[name].put(changed, numbers[done : done + shape.numel()].reshape(shape))
            done += shape.numel()
        return changed

    return place


def panel_jacobian(
    experiment: Experiment, names: Sequence[str], panel_index: int, pixels: Tensor | range, options: RenderOptions
) -> tuple[Tensor, Tensor]:
    """Values [P] of pixels of one panel in photons, and their derivatives [P, K] by settled values; float64.

    Raises:
        BackendUnavailable: the backend that was asked for does not exist or cannot serve.
    """
    place, numbers = placing(experiment, names), settled_numbers(experiment, names)
    if not experiment.is_simple:
        return _composed_jacobian(place, numbers, panel_index, pixels, options)
    scene = limited(pixel_scene(experiment, panel_index), experiment, options).to(options.device)
    if why_not(scene, backend=options.backend) is not None:
        listed = torch.arange(pixels.start, pixels.stop) if isinstance(pixels, range) else pixels
        return _plain_jacobian(place, numbers, panel_index, listed, options)
    factors, slopes = _factors(place, numbers)
    factors, slopes = factors.to(options.device), slopes.to(options.device)
    packed = pack_scene(scene, DOUBLE)

    def tensors(values: Tensor) -> tuple[Tensor, ...]:
        return pack_scene(replace(pixel_scene(place(values), panel_index), limit=scene.limit), DOUBLE).tensors

    tangents = [t.movedim(-1, 0).to(options.device).contiguous() for t in columns(tensors, numbers)]
    found = pixel_sum_jvp(scene, pixels, tangents, backend=options.backend, packed=packed)
    values, derivatives = factors[0] * found.total, factors[0] * found.by_total
    derivatives.addr_(found.total, slopes[0])
    if found.background is not None and found.by_background is not None:
        values = values + factors[1] * found.background
        derivatives.add_(factors[1] * found.by_background).addr_(found.background, slopes[1])
    return values, derivatives


def _factors(place: Callable[[Tensor], Experiment], numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Factors [2] of total and background in a pixel's value, and their derivatives [2, K]."""

    def factors(values: Tensor) -> Tensor:
        return pixel_factors(place(values))

    return factors(numbers), columns(factors, numbers)


def _composed_jacobian(
    place: Callable[[Tensor], Experiment],
    numbers: Tensor,
    panel_index: int,
    pixels: Tensor | range,
    options: RenderOptions,
) -> tuple[Tensor, Tensor]:
    """Of a scene of several parts: the whole sum in forward mode, a chunk of pixels at a time."""

    def values(given: Tensor, chunk: Tensor) -> Tensor:
        return render_scene(place(given), panel_index, chunk, replace(options, dtype=DOUBLE, progress=None)).values

    listed = torch.arange(pixels.start, pixels.stop) if isinstance(pixels, range) else pixels
    size = max(1, options.budget // (BYTES_PER_PIXEL * (len(numbers) + 1)))
    chunks = [listed[start : start + size] for start in range(0, max(len(listed), 1), size)]
    with torch.no_grad():
        found = [(values(numbers, chunk), columns(values, numbers, chunk)) for chunk in chunks]
    return torch.cat([value for value, _ in found]), torch.cat([slope for _, slope in found])


def _plain_jacobian(
    place: Callable[[Tensor], Experiment], numbers: Tensor, panel_index: int, pixels: Tensor, options: RenderOptions
) -> tuple[Tensor, Tensor]:
    def values(given: Tensor, chunk: Tensor) -> Tensor:
        experiment = place(given)
        scene = pixel_scene(experiment, panel_index)
        sums = plain_sums(scene, chunk, replace(options, dtype=DOUBLE, progress=None))
        return scaled(experiment, sums.total, sums.background)

    size = max(1, options.budget // (BYTES_PER_PIXEL * (len(numbers) + 1)))
    chunks = [pixels[start : start + size] for start in range(0, max(len(pixels), 1), size)]
    with torch.no_grad():
        found = [(values(numbers, chunk), columns(values, numbers, chunk)) for chunk in chunks]
    return torch.cat([value for value, _ in found]), torch.cat([slope for _, slope in found])
