"""What a render needs of a simple scene, settled and packed once, for as long as nothing it was made from changes.

A scene is the same as long as its experiment is the same object and each of its tensors still has its memory and its
version, which torch counts up whenever something is written into it. Where a gradient is asked of anything, or the call
is one inside a transform of torch, nothing is kept and nothing reused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.geometry.detector import Frame
from nanobrag_torch.kernels import forward_mode
from nanobrag_torch.kernels.packing import PackedScene, pack_scene
from nanobrag_torch.kernels.pixel_sum import why_not
from nanobrag_torch.models import Experiment
from nanobrag_torch.pipeline.render import (
    RenderOptions,
    crystal_tensors,
    frame_of,
    limited,
    pixel_scene,
)

LARGEST_KEPT = 2**24
"""Numbers of a packed scene (128 MiB in double) beyond which it is not kept."""

Marks = tuple[tuple[int, int], ...]


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Every tensor in a settled value, whose parts are dataclasses and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors_of(getattr(value, field.name))
    elif isinstance(value, tuple):
        for part in value:
            yield from tensors_of(part)


def marks_of(tensors: tuple[Tensor, ...]) -> Marks | None:
    """Memory and version of tensors; `None` where what is made from them must not be reused."""
    if forward_mode.active() or torch._C._functorch.peek_interpreter_stack() is not None:
        return None
    if any(tensor.requires_grad or tensor.is_inference() for tensor in tensors):
        return None
    return tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)


class PreparedPanel(NamedTuple):
    """A panel's frame, and the scene of this panel packed on its device."""

    frame: Frame
    packed: PackedScene


class PreparedScene:
    """A simple scene without gradients; its panels are packed when they are asked for.

    What the panels share is made once. Several threads may ask at a time: at worst, each makes the same.

    Args:
        experiment: the scene.
        options: device, precision, backend and tolerance that it is packed for.
        marks: `marks_of` its tensors.
    """

    def __init__(self, experiment: Experiment, options: RenderOptions, marks: Marks) -> None:
        self.experiment, self.options, self.marks = experiment, options, marks
        self.crystal = crystal_tensors(experiment)
        self._panels: dict[int, PreparedPanel] = {}
        frame = frame_of(experiment, 0)
        scene = limited(pixel_scene(experiment, 0, self.crystal, frame), experiment, options)
        reason = why_not(scene, dtype=options.dtype, backend=options.backend, device=options.device)
        self._first: PackedScene | None = None
        if reason is None:
            self._first = pack_scene(scene, options.dtype)
            self._panels[0] = PreparedPanel(frame, self._first.to(options.device))

    def panel(self, index: int) -> PreparedPanel | None:
        """One panel, or `None` where the fused kernel does not do this scene."""
        found = self._panels.get(index)
        if found is None and self._first is not None:
            frame = frame_of(self.experiment, index)
            scene = pixel_scene(self.experiment, index, self.crystal, frame)
            scene = limited(scene, self.experiment, self.options)
            here = pack_scene(scene, self.options.dtype, crystal=self._first)
            found = PreparedPanel(frame, here.to(self.options.device, self._panels[0].packed.tensors[4]))
            self._panels[index] = found
        return found

    def packed(self, index: int) -> PackedScene | None:
        """The scene of one panel, packed, or `None` where the fused kernel does not do this scene."""
        found = self.panel(index)
        return None if found is None else found.packed


class Preparations:
    """The scene that was prepared last in each precision; empty in a copy or a pickle."""

    def __init__(self) -> None:
        self._kept: dict[torch.dtype, PreparedScene] = {}
        self._tensors: tuple[Experiment, tuple[Tensor, ...]] | None = None

    def __reduce__(self) -> tuple[type[Preparations], tuple[()]]:
        return Preparations, ()

    def of(self, experiment: Experiment, options: RenderOptions) -> PreparedScene | None:
        """The scene, prepared; `None` where it must be settled by each call, or is too large to be kept."""
        if not experiment.is_simple:
            return None
        known = self._tensors
        if known is None or known[0] is not experiment:
            known = self._tensors = experiment, tuple(tensors_of(experiment))
        marks = marks_of(known[1])
        if marks is None or _size(experiment) > LARGEST_KEPT:
            return None
        kept = self._kept.get(options.dtype)
        if kept is None or kept.experiment is not experiment or kept.marks != marks or not _same(kept.options, options):
            kept = self._kept[options.dtype] = PreparedScene(experiment, options, marks)
        return kept


def _same(one: RenderOptions, other: RenderOptions) -> bool:
    """Whether scenes are packed alike for both."""
    return (one.device, one.backend, one.tolerance) == (other.device, other.backend, other.tolerance)


def _size(experiment: Experiment) -> int:
    """Numbers that the largest tensors of the packed scene have."""
    table = experiment.crystal.structure_factors.values
    cells = 9 * experiment.scan.steps * experiment.crystal.mosaic.domains
    return cells + (0 if table is None else table.numel())
