"""`Simulator`: an experiment and the options of a render become an image."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.errors import BackendUnavailable, InputError, TableRangeWarning
from nanobrag_torch.models import Experiment
from nanobrag_torch.pipeline.compose import render_scene
from nanobrag_torch.pipeline.image import Image
from nanobrag_torch.pipeline.jacobian import check_names, jacobians
from nanobrag_torch.pipeline.plan import DEFAULT_BUDGET
from nanobrag_torch.pipeline.prepared import Preparations
from nanobrag_torch.pipeline.render import RenderOptions
from nanobrag_torch.pipeline.table_range import first_outside
from nanobrag_torch.pipeline.variants import check_variants, panel_variants

DEVICES = ("cpu", "cuda")
"""Types of torch devices that can render."""
DTYPES = {"float64": torch.float64, "float32": torch.float32}


def _one_thread() -> None:
    """A forked process has none of its parent's threads, for which native code would wait for ever."""
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_one_thread)


class Simulator:
    """Renders an experiment.

    What it settles and packs for one call serves the next, until a tensor of the experiment is written to; where a
    gradient is asked of one, every call settles anew. Writing into memory that a tensor shares with a NumPy array goes
    unseen: make a new simulator after it. Several threads may share a simulator.

    Args:
        experiment: the settled scene.
        backend: name of a kernel backend, or `None` for the best that can serve.
        device: torch device, or its name; `None` = CPU.
        dtype: `torch.float64` (default), or `torch.float32` for single precision behind a double phase.
        memory: bytes that a render may use beyond its inputs and its image.
        tolerance: photons that a pixel may lose: terms are left out whose sum is provably no more (csrc/bounds.h). It
            needs the fused kernel on a processor. 0: everything is summed.

    Raises:
        BackendUnavailable: the backend, device or dtype cannot serve; the message says why and what would.
        InputError: the tolerance is negative or not finite.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        backend: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        memory: int = DEFAULT_BUDGET,
        tolerance: float = 0.0,
    ) -> None:
        self.experiment = experiment
        if not 0.0 <= tolerance < float("inf"):
            raise InputError("tolerance", f"{tolerance} photons", "give 0 or a positive number of photons")
        self.options = RenderOptions(_device(device), _dtype(dtype), backend, memory, tolerance=tolerance)
        self._table_checked = False
        self._preparations = Preparations()

    @property
    def way(self) -> RenderOptions:
        """The old name of `options`, for two minor releases."""
        warnings.warn("Simulator.way is now Simulator.options", DeprecationWarning, stacklevel=2)
        return self.options

    def run(
        self,
        pixels: Tensor | None = None,
        *,
        solid_angle: bool = False,
        progress: Callable[[int], None] | None = None,
        out_dtype: torch.dtype = torch.float64,
    ) -> Image:
        """Render the region (without the masked pixels), or the pixels of a list.

        Args:
            pixels: integer [P, 2] (slow, fast), or [P, 3] (panel, slow, fast); `None` = all of the region.
            solid_angle: also sum the solid angles, for `Image.statistics`.
            progress: called with the number of pixels done since its last call.
            out_dtype: precision of the image's values, float64 or float32; each is rounded once.

        Returns:
            The image, in photons; differentiable in every tensor of the experiment that requires a gradient.

        Raises:
            InputError: a pixel outside the detector.

        Warns:
            TableRangeWarning: amplitudes are interpolated, and a sample of the first run lies outside the table.
        """
        experiment = self.experiment
        options = replace(self.options, progress=progress, solid_angle=solid_angle, out_dtype=out_dtype)
        lists = pixel_lists(experiment) if pixels is None else _split_by_panel(experiment, pixels)
        if not self._table_checked:
            self._table_checked = True
            outside = first_outside(experiment, lists)
            if outside is not None:
                warnings.warn(TableRangeWarning(outside.lines), stacklevel=2)
        prepared = self._preparations.of(experiment, self.options)
        found = []
        for index, chosen in enumerate(lists):
            packed = None if prepared is None else prepared.packed(index)
            found.append(render_scene(experiment, index, chosen, options, packed))
        angles = tuple(float(panel.solid_angle) for panel in found if panel.solid_angle is not None)
        values = tuple(panel.values for panel in found)
        return Image(experiment, values, tuple(lists), tuple(angles) if solid_angle else None)

    def jacobian(self, names: Sequence[str], pixels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Values of pixels and their derivatives by quantities of the experiment, in one pass over the pixels.

        Args:
            names: quantities of `nanobrag_torch.refine.QUANTITIES`; one of several numbers (the three lengths of a
                cell) gives several columns.
            pixels: integer [P, 2] (slow, fast), or [P, 3] (panel, slow, fast); `None` = all of the region.

        Returns:
            Values [P] in photons and their derivatives [P, K] by the settled values (m, rad, Å), float64. The order of
            the pixels is that given, without `pixels` panel by panel in raster order.

        Raises:
            InputError: a quantity that does not exist or that this experiment does not have, a pixel outside.
        """
        experiment = self.experiment
        check_names(experiment, names)
        lists = pixel_lists(experiment) if pixels is None else _split_by_panel(experiment, pixels)
        listed = [
            range(panel.pixels_s * panel.pixels_f) if chosen is None else chosen
            for panel, chosen in zip(experiment.detector.panels, lists, strict=True)
        ]
        options = replace(self.options, dtype=torch.float64)
        found = jacobians(experiment, names, listed, options, self._preparations.of(experiment, options))
        if len(found) == 1:
            return found[0]
        values, derivatives = torch.cat([v for v, _ in found]), torch.cat([j for _, j in found])
        if pixels is None or pixels.shape[1] == 2:
            return values, derivatives
        back = torch.argsort(pixels[:, 0], stable=True).argsort()
        return values[back], derivatives[back]

    def run_many(self, variants: Mapping[str, Tensor], *, out_dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Images of many variants of the experiment, settled together and rendered in one call of the kernel.

        Args:
            variants: by names of `nanobrag_torch.refine.QUANTITIES`, settled values [B, ...] (m, rad, Å), float64.
            out_dtype: precision of the images, float64 or float32.

        Returns:
            per panel, photons [B, slow, fast], 0 outside the region and in masked pixels; differentiable in the values
            given and in the experiment.

        Raises:
            InputError: a quantity that does not exist or that this experiment does not have, or values that do not fit.
        """
        experiment = self.experiment
        count = check_variants(experiment, variants)
        options = replace(self.options, out_dtype=out_dtype)
        prepared = self._preparations.of(experiment, self.options)
        images = []
        for index, chosen in enumerate(pixel_lists(experiment)):
            panel = experiment.detector.panels[index]
            values = panel_variants(experiment, variants, index, chosen, options, prepared)
            if chosen is not None:
                blank = values.new_zeros(count, panel.pixels_s * panel.pixels_f)
                values = blank.index_copy(1, chosen.to(values.device), values)
            images.append(values.reshape(count, panel.pixels_s, panel.pixels_f))
        return images


def pixel_lists(experiment: Experiment) -> list[Tensor | None]:
    """Per panel, indices [P] of the pixels in the region and not masked, in raster order; `None` = all of them."""
    masks = experiment.sampling.masks
    xmin, xmax, ymin, ymax = experiment.sampling.roi
    lists: list[Tensor | None] = []
    for index, panel in enumerate(experiment.detector.panels):
        if masks is None:
            rows, columns = (
                range(panel.pixels_s)[max(ymin, 0) : ymax + 1],
                range(panel.pixels_f)[max(xmin, 0) : xmax + 1],
            )
            whole = len(rows) == panel.pixels_s and len(columns) == panel.pixels_f
            lists.append(None if whole else _block(rows, columns, panel.pixels_f))
            continue
        chosen = np.zeros((panel.pixels_s, panel.pixels_f), dtype=bool)
        chosen[max(ymin, 0) : ymax + 1, max(xmin, 0) : xmax + 1] = True
        chosen &= masks[index]
        lists.append(None if bool(chosen.all()) else torch.from_numpy(np.flatnonzero(chosen)))
    return lists


def _block(rows: range, columns: range, pixels_f: int) -> Tensor:
    """Indices [P] of a block of pixels, in raster order."""
    slow, fast = (part.start + torch.arange(len(part)) for part in (rows, columns))
    return (slow[:, None] * pixels_f + fast).reshape(-1)


def _split_by_panel(experiment: Experiment, pixels: Tensor) -> list[Tensor | None]:
    panels = experiment.detector.panels
    if pixels.ndim != 2 or pixels.shape[1] not in (2, 3) or pixels.is_floating_point():
        raise InputError("pixels", f"shape {tuple(pixels.shape)} of {pixels.dtype}", "give integers [P, 2] or [P, 3]")
    if pixels.shape[1] == 2:
        if len(panels) > 1:
            raise InputError("pixels", "the detector has several panels", "give (panel, slow, fast)")
        pixels = torch.cat([torch.zeros_like(pixels[:, :1]), pixels], dim=1)
    lists: list[Tensor | None] = []
    for index, panel in enumerate(panels):
        _, slow, fast = pixels[pixels[:, 0] == index].unbind(1)
        if bool(((slow < 0) | (slow >= panel.pixels_s) | (fast < 0) | (fast >= panel.pixels_f)).any()):
            raise InputError(
                "pixels", f"a pixel lies outside panel {index}", f"it has {panel.pixels_s} x {panel.pixels_f}"
            )
        lists.append((slow * panel.pixels_f + fast).to(torch.int64))
    if sum(len(chosen) for chosen in lists if chosen is not None) != len(pixels):
        raise InputError("pixels", "a panel number outside the detector", f"there are {len(panels)} panels")
    return lists


def _device(device: torch.device | str | None) -> torch.device:
    if device is None:
        return torch.device("cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise BackendUnavailable(str(device), "is not a torch device; use cpu or cuda") from error
    if chosen.type not in DEVICES:
        raise BackendUnavailable(str(device), f"cannot render; use {' or '.join(DEVICES)}")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailable(str(device), "torch finds no CUDA device here; use -device cpu")
    count = torch.cuda.device_count() if chosen.type == "cuda" else 1
    if chosen.index is not None and not 0 <= chosen.index < count:
        raise BackendUnavailable(str(device), f"there is no such device, only {count}, counted from 0")
    return chosen


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype:
    if dtype is None:
        return torch.float64
    chosen = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in DTYPES.values():
        raise BackendUnavailable(str(dtype), "is not a precision of this program; use float64 or float32")
    return chosen
