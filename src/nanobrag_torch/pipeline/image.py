"""An image: pixel values with the experiment they came from, and their statistics (specs: intensity 7)."""

from __future__ import annotations

import base64
import html
import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.io.picture import png_bytes, shrunk
from nanobrag_torch.models import Experiment

NOTEBOOK_PIXELS = 700
"""Longest edge of a picture in a notebook."""


PIECE = 65536
"""Pixels of one piece of a statistic."""


class Statistics(NamedTuple):
    """What the C program prints about an image.

    `max_I` and its detector coordinates `max_at` (F, S in metres, last sub-pixel); mean and rms over rendered pixels;
    rmsd over the region; the solid angle of the rendered pixels in steradian, or `None` when it was not asked for.
    """

    max_I: float
    max_at: tuple[float, float]
    mean: float
    rms: float
    rmsd: float
    solid_angle: float | None


@dataclass(frozen=True)
class Image:
    """Values of rendered pixels, panel by panel.

    Args:
        experiment: what was rendered.
        values: per panel, values [P] of the rendered pixels in photons.
        pixels: per panel, indices [P] (slow * pixels_f + fast) of those pixels; `None` = all, in raster order.
        solid_angle: per panel, the sum of the solid angles in use over pixels, layers and sub-pixels, or `None`.
    """

    experiment: Experiment
    values: tuple[Tensor, ...]
    pixels: tuple[Tensor | None, ...]
    solid_angle: tuple[float, ...] | None = None

    @cached_property
    def panels(self) -> tuple[Tensor, ...]:
        """Per panel, an array [slow, fast]; pixels that were not rendered are 0."""
        arrays = []
        for panel, values, pixels in zip(self.experiment.detector.panels, self.values, self.pixels, strict=True):
            shape = (panel.pixels_s, panel.pixels_f)
            if pixels is None:
                arrays.append(values.reshape(shape))
            else:
                blank = torch.zeros(shape[0] * shape[1], dtype=values.dtype, device=values.device)
                arrays.append(blank.index_put((pixels,), values).reshape(shape))
        return tuple(arrays)

    @property
    def array(self) -> Tensor:
        """The array [slow, fast] of a detector with one panel.

        Raises:
            ValueError: the detector has several panels; use `panels`.
        """
        if len(self.values) != 1:
            raise ValueError(f"this image has {len(self.values)} panels: use image.panels")
        return self.panels[0]

    def numpy(self) -> tuple[np.ndarray, ...]:
        """Per panel, a float32 array [slow, fast]: each value rounded once."""
        return tuple(panel.detach().to(torch.float32).cpu().numpy() for panel in self.panels)

    def backward(self, gradient: Tensor | None = None) -> None:
        """Gradients of the sum of all values, or of their product with `gradient` (one panel, [slow, fast])."""
        if gradient is None:
            torch.stack([values.sum() for values in self.values]).sum().backward()  # type: ignore[no-untyped-call]
        else:
            self.array.backward(gradient)  # type: ignore[no-untyped-call]

    def statistics(self) -> Statistics:
        """Statistics over rendered pixels of all panels, in double precision (specs: intensity 7)."""
        exact = self.experiment.physics == "exact"
        rendered = [values.detach().to(torch.float32).cpu().numpy() for values in self.values]
        n = sum(len(values) for values in rendered)
        total = sum(float(np.sum(values, dtype=np.float64)) for values in rendered)
        squares = sum(_squares(values, 0.0) for values in rendered)
        mean = total / max(n, 1)
        deviation = sum(_squares(values, mean) for values in rendered)
        m = n if exact else self._region_pixels()
        deviation += (m - n) * mean * mean
        panel, index, max_I = _brightest(rendered)
        return Statistics(
            max_I=max_I,
            max_at=self._last_sub_pixel(panel, index),
            mean=mean,
            rms=math.sqrt(squares / max(n - 1, 1)),
            rmsd=math.sqrt(deviation / max(m - 1, 1)),
            solid_angle=None if self.solid_angle is None else self._reported_solid_angle(self.solid_angle),
        )

    def _repr_png_(self) -> bytes:
        """The first panel as notebooks show it."""
        return png_bytes(shrunk(self.numpy()[0], NOTEBOOK_PIXELS))

    def _repr_html_(self) -> str:
        """Every panel as notebooks show it, with a line about each."""
        figures = []
        for panel, values in zip(self.experiment.detector.panels, self.numpy(), strict=True):
            picture = base64.b64encode(png_bytes(shrunk(values, NOTEBOOK_PIXELS))).decode("ascii")
            name = f"{html.escape(panel.name)}: " if panel.name else ""
            caption = f"{name}{panel.pixels_s} × {panel.pixels_f} pixels, brightest {values.max():.6g} photons"
            figures.append(
                f'<figure style="display:inline-block;margin:0 1em 1em 0">'
                f'<img alt="diffraction image" style="max-width:100%" src="data:image/png;base64,{picture}">'
                f"<figcaption>{caption}</figcaption></figure>"
            )
        return "".join(figures)

    def _reported_solid_angle(self, sums: tuple[float, ...]) -> float:
        """Divided as the C program does (specs: deviations, D39), or the true one in the exact mode."""
        experiment = self.experiment
        if experiment.physics == "exact":
            layers = [panel.layers for panel in experiment.detector.panels]
            front = sum(total / n for total, n in zip(sums, layers, strict=True))
            return front / experiment.sampling.oversample**2
        return sum(sums) / experiment.steps

    def _region_pixels(self) -> int:
        xmin, xmax, ymin, ymax = self.experiment.sampling.roi
        return sum(
            (min(xmax, panel.pixels_f - 1) - xmin + 1) * (min(ymax, panel.pixels_s - 1) - ymin + 1)
            for panel in self.experiment.detector.panels
        )

    def _last_sub_pixel(self, panel: int, index: int) -> tuple[float, float]:
        """F, S (m) of the last sub-pixel of a rendered pixel."""
        if index < 0:
            return 0.0, 0.0
        pixels = self.pixels[panel]
        slow, fast = divmod(
            index if pixels is None else int(pixels[index]), self.experiment.detector.panels[panel].pixels_f
        )
        n = self.experiment.sampling.oversample
        sub = float(self.experiment.detector.panels[panel].pixel_size.detach()) / n
        return sub * (fast * n + n - 1) + sub / 2.0, sub * (slow * n + n - 1) + sub / 2.0


def _squares(values: np.ndarray, centre: float) -> float:
    """Σ (x - centre)² of float32 values in double precision, by pieces that stay in a processor's cache."""
    shifted = np.empty(PIECE, dtype=np.float64)
    total = 0.0
    for start in range(0, len(values), PIECE):
        piece = values[start : start + PIECE]
        now = np.subtract(piece, centre, out=shifted[: len(piece)], dtype=np.float64)
        total += float(np.dot(now, now))
    return total


def _brightest(rendered: list[np.ndarray]) -> tuple[int, int, float]:
    """Panel, place and value of the first largest positive value; place -1 when there is none."""
    best = (0, -1, 0.0)
    for panel, values in enumerate(rendered):
        if len(values):
            index = int(np.argmax(values))
            if float(values[index]) > best[2]:
                best = (panel, index, float(values[index]))
    return best
