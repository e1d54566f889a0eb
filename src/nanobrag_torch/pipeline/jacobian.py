"""Derivatives of every pixel by a few quantities: the chain from settled values to a scene, and through the kernel.

The packed tensors of all panels are differentiated by the quantities together, and the kernel carries all directions
through the sum over pixels in one pass. Where the kernel cannot serve, the plain
definition is differentiated in forward mode as a whole, a chunk of pixels at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.kernels.packing import PackedScene, pack_scene
from nanobrag_torch.kernels.pixel_sum import Derivatives, packed_sum_jvp, why_not
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.pipeline.compose import render_scene
from nanobrag_torch.pipeline.plan import BYTES_PER_PIXEL
from nanobrag_torch.pipeline.prepared import PreparedScene
from nanobrag_torch.pipeline.render import (
    RenderOptions,
    crystal_tensors,
    limited,
    pixel_factors,
    pixel_scene,
    plain_sums,
    scaled,
)

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


class Directions(NamedTuple):
    """Derivatives by K numbers: of each panel's packed tensors [K, ...] ([0, ...]: none) and of both factors [2, K]."""

    panels: tuple[tuple[Tensor, ...], ...]
    factors: Tensor


def jacobians(
    experiment: Experiment,
    names: Sequence[str],
    lists: Sequence[Tensor | range],
    options: RenderOptions,
    prepared: PreparedScene | None,
) -> list[tuple[Tensor, Tensor]]:
    """Per panel, values [P] of a list of pixels in photons, and their derivatives [P, K] by settled values; float64.

    Args:
        experiment, names: what is differentiated, and by what.
        lists: the pixels of each panel; a panel without any costs nothing.
        options: how.
        prepared: the scene, prepared in double precision, if it can be.

    Raises:
        BackendUnavailable: the backend that was asked for does not exist or cannot serve.
    """
    place, numbers = placing(experiment, names), settled_numbers(experiment, names)
    panels = [index for index, pixels in enumerate(lists) if len(pixels)]
    if not experiment.is_simple:
        return [_composed_jacobian(place, numbers, index, pixels, options) for index, pixels in enumerate(lists)]
    scenes = _packed_panels(experiment, panels, options, prepared)
    if scenes is None:
        return [_plain_jacobian(place, numbers, index, pixels, options) for index, pixels in enumerate(lists)]
    slopes = _directions(experiment, names, panels, scenes[0].tensors[4] if scenes else None)
    nothing = torch.zeros(0, dtype=DOUBLE, device=options.device)
    found = [(nothing, nothing.reshape(0, len(numbers)))] * len(lists)
    for index, packed, tangents in zip(panels, scenes, slopes.panels, strict=True):
        sums = packed_sum_jvp(packed, lists[index], [tangent.to(options.device) for tangent in tangents])
        found[index] = _in_photons(sums, pixel_factors(experiment).detach(), slopes.factors)
    return found


def _in_photons(sums: Derivatives, factors: Tensor, by_factors: Tensor) -> tuple[Tensor, Tensor]:
    """Values [P] and derivatives [P, K] from sums, in their place, with factors [2] and their derivatives [2, K]."""
    differ = by_factors.any(1).tolist()
    device = sums.total.device
    (by_total, by_background), (total, background) = by_factors.to(device), factors.tolist()
    values, derivatives = total * sums.total, sums.by_total.mul_(total)
    if differ[0]:
        derivatives.addr_(sums.total, by_total)
    if sums.background is not None and sums.by_background is not None:
        values = values + background * sums.background
        derivatives.add_(sums.by_background, alpha=background)
        if differ[1]:
            derivatives.addr_(sums.background, by_background)
    return values, derivatives


def _packed_panels(
    experiment: Experiment, panels: Sequence[int], options: RenderOptions, prepared: PreparedScene | None
) -> list[PackedScene] | None:
    """The scenes of panels, packed in double on the device; `None` where the fused kernel cannot serve."""
    if prepared is not None:
        known = [prepared.packed(index) for index in panels]
        served = [packed for packed in known if packed is not None]
        return served if len(served) == len(known) else None
    found: list[PackedScene] = []
    with torch.no_grad():
        made = crystal_tensors(experiment)
        for index in panels:
            scene = limited(pixel_scene(experiment, index, made), experiment, options)
            if why_not(scene, backend=options.backend, device=options.device) is not None:
                return None
            found.append(pack_scene(scene, DOUBLE, crystal=found[0] if found else None))
    return [packed.to(options.device) for packed in found]


def _directions(
    experiment: Experiment, names: Sequence[str], panels: Sequence[int], table: Tensor | None
) -> Directions:
    """Derivatives of everything that the kernel takes, of all panels together: what they share is done once.

    `table`: the packed table of the experiment, which stands for one that no quantity changes.
    """
    with torch.enable_grad():
        leaf = settled_numbers(experiment, names).requires_grad_()
        changed = placing(experiment, names)(leaf)
        made = crystal_tensors(changed)
        same = changed.crystal.structure_factors is experiment.crystal.structure_factors
        packed: list[PackedScene] = []
        for index in panels:
            scene, first = pixel_scene(changed, index, made), packed[0] if packed else None
            packed.append(pack_scene(scene, DOUBLE, crystal=first, table=table if same else None))
        shared = packed[0].tensors[1:] if packed else ()
        found = rows_of([pixel_factors(changed), *shared, *(scene.tensors[0] for scene in packed)], leaf)
    factors, common, own = found[0], found[1 : 1 + len(shared)], found[1 + len(shared) :]
    by_factors = factors.T if len(factors) else factors.new_zeros(2, len(leaf))
    # one tensor has a row for each number, to say how many there are
    whole = [geometry if len(geometry) else geometry.new_zeros(len(leaf), *geometry.shape[1:]) for geometry in own]
    return Directions(tuple((geometry, *common) for geometry in whole), by_factors)


def rows_of(outputs: Sequence[Tensor], leaf: Tensor) -> list[Tensor]:
    """Derivatives [K, ...] of outputs by the numbers `leaf` [K]; [0, ...] of one that has nothing to do with them.

    They come by two backward passes. The first is linear in the weights that it is given; the second, a batch of K,
    differentiates it by them. Unlike forward mode it costs the same few operations whatever K is.
    """
    live = [output for output in outputs if output.requires_grad]
    rows: Sequence[Tensor | None] = ()
    if live:
        weights = [torch.zeros_like(output, requires_grad=True) for output in live]
        (pulled,) = torch.autograd.grad(live, leaf, weights, create_graph=True)
        unit = torch.eye(len(leaf), dtype=leaf.dtype)
        rows = torch.autograd.grad(pulled, weights, unit, is_grads_batched=True, allow_unused=True)
    known = iter(rows)
    found = [next(known) if output.requires_grad else None for output in outputs]
    return [
        output.detach().new_zeros(0, *output.shape) if row is None else row.detach()
        for output, row in zip(outputs, found, strict=True)
    ]


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
    place: Callable[[Tensor], Experiment],
    numbers: Tensor,
    panel_index: int,
    pixels: Tensor | range,
    options: RenderOptions,
) -> tuple[Tensor, Tensor]:
    """Of the plain definition: in forward mode, a chunk of pixels at a time."""
    pixels = torch.arange(pixels.start, pixels.stop) if isinstance(pixels, range) else pixels

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
