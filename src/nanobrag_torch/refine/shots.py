"""What is refined against: the counts of a still, or of the images of a sweep, at the pixels around spots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.refine.fit import Observation
from nanobrag_torch.refine.varying import Knots, Smoother


@dataclass(frozen=True)
class Shot:
    """One crystal in one position: a still, or a sweep of several images, to be explained.

    Args:
        experiment: its start, with the spindle where the first image begins.
        observation: its counts at the pixels of its regions, image by image.
        labels: [P] the region of each pixel, 0 to R - 1: each has a background of its own; `None`: no background.
        images: [P] the image of each pixel, 0 to I - 1, ascending; `None`: there is one.
        turns: [I] how far from `experiment.scan.start` each image begins (rad); `None`: there.
        core: [P] pixels that may hold a spot; the others show the background alone. `None`: all may.
        amplitudes: [R] the refined amplitude that each region shows, -1 = none of them; `None`: none.
        smoother: what varies over the images of a sweep; `None`: nothing.

    Raises:
        InputError: parts of different lengths.
    """

    experiment: Experiment
    observation: Observation
    labels: Tensor | None = None
    images: Tensor | None = None
    turns: Tensor | None = None
    core: Tensor | None = None
    amplitudes: Tensor | None = None
    smoother: Smoother | None = None

    def __post_init__(self) -> None:
        count = len(self.observation)
        for name in ("labels", "images", "core"):
            part = getattr(self, name)
            if part is not None and len(part) != count:
                raise InputError(name, f"{len(part)} for {count} pixels", "give one for each pixel")
        if (self.images is None) != (self.turns is None):
            raise InputError("images, turns", "one without the other", "give both, or neither for a still")
        if self.smoother is not None and (self.turns is None or len(self.smoother.weights) != len(self.turns)):
            raise InputError("smoother", "it has not a row for each image of a sweep", "give one, and none for a still")
        if self.amplitudes is not None and self.labels is None:
            raise InputError("amplitudes", "they belong to regions", "give labels as well")

    @property
    def regions(self) -> int:
        """Number of regions with a background."""
        return 0 if self.labels is None else int(self.labels.max()) + 1

    @property
    def held(self) -> Tensor:
        """Numbers [H] of the pixels that may hold a spot."""
        return torch.arange(len(self.observation)) if self.core is None else torch.nonzero(self.core)[:, 0]

    def parts(self, experiment: Experiment, knots: Knots | None = None) -> list[tuple[Experiment, Tensor, int]]:
        """Per image, an experiment as it is there, the pixels [p, 3] on it that may hold a spot, and its number.

        Args:
            experiment: at rest, with the spindle where the first image begins.
            knots: values at the knots of what varies over the scan.
        """
        held = self.held
        pixels = self.observation.pixels[held]
        if self.images is None or self.turns is None:
            return [(experiment, pixels, 0)]
        found, scan, images = [], experiment.scan, self.images[held]
        for image, turn in enumerate(self.turns):
            here = pixels[images == image]
            if len(here):
                there = experiment.replace(scan=scan.replace(start=scan.start + turn))
                if self.smoother is not None and knots:
                    there = self.smoother.at(there, knots, image)
                found.append((there, here, image))
        return found

    def expected(self, experiment: Experiment, knots: Knots | None = None) -> Tensor:
        """Photons [P] in spots."""
        values = [by_pixel(part, pixels) for part, pixels, _ in self.parts(experiment, knots)]
        return self._everywhere(torch.cat(values))

    def jacobian(
        self, experiment: Experiment, names: Sequence[str], knots: Knots | None = None
    ) -> tuple[Tensor, Tensor]:
        """Photons [P] in spots and their derivatives [P, n] by quantities, settled units.

        A quantity that varies has columns for each of its knots, one knot after the other.
        """
        values, slopes = [], []
        sizes = {name: QUANTITIES[name].take(experiment).numel() for name in names} if knots else {}
        for part, pixels, image in self.parts(experiment, knots):
            value, slope = Simulator(part).jacobian(names, pixels)
            values.append(value)
            slopes.append(slope if self.smoother is None or not knots else self.smoother.spread(slope, sizes, image))
        return self._everywhere(torch.cat(values)), self._everywhere(torch.cat(slopes))

    def _everywhere(self, values: Tensor) -> Tensor:
        """Values [P, ...] of all pixels, 0 where no spot may be."""
        whole = values.new_zeros(len(self.observation), *values.shape[1:])
        return whole.index_copy(0, self.held, values)


def by_pixel(experiment: Experiment, pixels: Tensor) -> Tensor:
    """Photons [P] in the order of the pixels [P, 3]; `Simulator.run` has them panel by panel."""
    values = torch.cat(list(Simulator(experiment).run(pixels).values)).detach()
    back = torch.argsort(pixels[:, 0], stable=True).argsort()
    return values[back]
