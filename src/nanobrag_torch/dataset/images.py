"""Images with their labels, by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nanobrag_torch.dataset import noise
from nanobrag_torch.dataset.background import Background
from nanobrag_torch.dataset.labels import Law, Spots, spots
from nanobrag_torch.dataset.parameters import parameters
from nanobrag_torch.dataset.population import Population
from nanobrag_torch.dataset.scenes import Block, Scenes, further_crystals
from nanobrag_torch.dataset.sight import Sight, sight
from nanobrag_torch.dataset.spot_pixels import SpotPixels, spot_pixels
from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.background import Background as Surroundings
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.pipeline.simulator import Simulator

PIXELS_AT_ONCE = 2_500_000
"""Pixels of the images that are made together; it bounds the memory of a worker and changes no bit."""
MOST_AT_ONCE = 32
REFLECTION_COLUMNS = (
    "lattice", "h", "k", "l", "panel", "fast", "slow", "fast_cal", "slow_cal", "phi", "delpsi", "d", "partiality",
    "F", "expected", "background", "drawn", "pixels", "saturated", "overlap",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """An image with its truth.

    Args:
        number: of the image.
        image: counts, uint16 [slow, fast], or [panel, slow, fast] of several panels.
        reflections: by column, arrays [n]; see docs, Labels.
        parameters: everything about the scene, plain numbers, lists and texts.
        extra: further arrays: `mask`, `noise_free`, `gradients`.
    """

    number: int
    image: NDArray[np.uint16]
    reflections: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    extra: dict[str, NDArray[Any]] = field(default_factory=dict)


class Maker:
    """Makes images of a population; holds what they share.

    Args:
        population: what to make.
        device: where to render, `None` = processor.
        labels: whether labels are wanted at all.

    Raises:
        NanobragError: the population cannot be made.
    """

    def __init__(self, population: Population, device: str | None = None, labels: bool = True) -> None:
        self.population, self.device = population, device
        self.labels = labels and population.labels.reflections
        self.scenes = Scenes(population)
        self.background = Background(population, device)

    def samples(self, numbers: Sequence[int]) -> Iterator[Sample]:
        """The images of these numbers, in this order; memory does not grow with how many there are."""
        place, numbers = 0, list(numbers)
        size = MOST_AT_ONCE
        while place < len(numbers):
            chunk = numbers[place : place + size]
            blocks = self.scenes.blocks(chunk)
            fits = max(1, min(MOST_AT_ONCE, PIXELS_AT_ONCE // _pixels(blocks[0].base)))
            if fits < size:
                size = fits
                continue
            made = {sample.number: sample for block in blocks for sample in self._block(block)}
            yield from (made[number] for number in chunk)
            place += len(chunk)

    def experiment(self, number: int) -> Experiment:
        """The settled scene of an image's first crystal; what is random about the image is in it."""
        (block,) = self.scenes.blocks([number])
        one = block.base
        for name, values in block.variants.items():
            one = QUANTITIES[name].put(one, values[0])
        return one

    def _block(self, block: Block) -> Iterator[Sample]:
        """The samples of images that share a scene."""
        population, base = self.population, block.base
        if self.labels:
            _check_labels(base)
        shape = _shape(base)
        signal = self._crystals(block)
        background, shadow = self.background.of(block), self.background.shadow(block)
        seen = sight(base, block.variants)
        known = parameters(population, block, seen)
        spots_of = self._tables(block, seen, shape) if self.labels else None
        for place, number in enumerate(block.numbers):
            behind = background(place)
            if shadow is not None:
                signal[place][shadow[place]] = 0.0
                behind[shadow[place]] = 0.0
            expected = signal[place] + behind
            drawn: NDArray[np.float64] = expected
            if population.noise.photons:
                drawn = noise.photons(expected[None], population.seed, [number])[0]
            stored = noise.counts(drawn, population.noise)
            extra = self._extra(block, place, expected.reshape(shape))
            table: dict[str, NDArray[Any]] = {}
            if spots_of is not None:
                columns, pixels = spots_of[place]
                full = stored >= population.noise.saturation
                table = columns | _photons(pixels, signal[place], behind, drawn, full)
                if population.labels.masks:
                    extra["mask"] = pixels.mask()
                    if shadow is not None:
                        extra["mask"][shadow[place].reshape(shape)] = -1
            yield Sample(number, stored.reshape(shape), table, known[place], extra)

    def _tables(
        self, block: Block, seen: Sight, shape: tuple[int, ...]
    ) -> list[tuple[dict[str, NDArray[Any]], SpotPixels]]:
        """Per image the columns that need no picture, and the pixels of its spots."""
        found, lattice = self._spots(block, seen)
        columns: dict[str, NDArray[Any]] = {
            "lattice": lattice.astype(np.int16),
            **{name: getattr(found, name).astype(np.int16) for name in ("h", "k", "l", "panel")},
            **{name: getattr(found, name) for name in ("fast", "slow", "fast_cal", "slow_cal", "phi", "delpsi", "d")},
            "partiality": found.partiality,
            "F": _amplitudes(block.base, found),
        }
        edges = np.searchsorted(found.image, np.arange(len(block) + 1))
        tables = []
        for start, end in zip(edges[:-1], edges[1:], strict=True):
            own = {name: column[start:end] for name, column in columns.items()}
            places = (own["panel"], own["fast"], own["slow"])
            tables.append((own, spot_pixels(*places, shape, self.population.labels.radius)))
        return tables

    def _crystals(self, block: Block) -> NDArray[np.float64]:
        """Photons [b, all pixels] of the crystals alone."""
        base = without_background(block.base)
        simulator = Simulator(base, device=self.device)
        total = _joined(simulator.run_many(block.variants))
        for lattice in range(1, max(block.lattices)):
            places, variants = further_crystals(self.population, block, lattice)
            total[places] += _joined(simulator.run_many(variants))
        return total

    def _spots(self, block: Block, seen: Sight) -> tuple[Spots, NDArray[np.int64]]:
        """The reflections of all crystals, and the number of the crystal of each."""
        base, population = block.base, self.population
        radius = "exact" if base.physics == "exact" else "nanobragg"
        law = Law(base.crystal.shape, radius, base.sampling.dmin)
        parts = [spots(seen, law, population.labels.threshold)]
        for lattice in range(1, max(block.lattices)):
            places, variants = further_crystals(population, block, lattice)
            more = spots(sight(base, variants), law, population.labels.threshold)
            object.__setattr__(more, "image", np.asarray(places)[more.image])
            parts.append(more)
        parts = [part.take(_amplitudes(base, part) > 0) for part in parts]
        lattice_of = np.concatenate([np.full(len(part), i) for i, part in enumerate(parts)])
        whole = Spots.joined(parts)
        order = np.lexsort((lattice_of, whole.image))
        return whole.take(order), lattice_of[order]

    def _extra(self, block: Block, place: int, expected: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """Noise-free image and gradients, where they are asked for."""
        wanted = self.population.labels
        found: dict[str, NDArray[Any]] = {}
        if wanted.noise_free:
            found["noise_free"] = expected.astype(np.float32)
        if wanted.gradients:
            found["gradients"] = self._gradients(block, place).reshape(-1, *expected.shape)
        return found

    def _gradients(self, block: Block, place: int) -> NDArray[np.float32]:
        """Derivatives [K, all pixels] of the first crystal and the background by settled values."""
        simulator = Simulator(self.experiment(block.numbers[place]), device=self.device)
        _, derivatives = simulator.jacobian(list(self.population.labels.gradients))
        return np.asarray(derivatives.T.cpu().numpy(), dtype=np.float32)


def _check_labels(base: Experiment) -> None:
    """Refuse scenes whose reflections have no closed form here."""
    crystal = base.crystal
    problems = {
        "a curved detector": base.detector.curved,
        "a matrix of cell counts": crystal.coupling is not None,
        "a distribution of block sizes": crystal.blocks is not None,
        "twins and satellites": bool(crystal.others),
        "domains of different weights": crystal.mosaic.weights is not None,
    }
    for what, there in problems.items():
        if there:
            raise InputError(
                "labels", f"they are not known for {what}", "leave it out, or set labels.reflections: false"
            )


def without_background(base: Experiment) -> Experiment:
    """The scene with its crystal alone."""
    crystal = base.crystal.replace(water=torch.zeros((), dtype=torch.float64))
    return base.replace(crystal=crystal, background=Surroundings())


def _joined(panels: list[Tensor]) -> NDArray[np.float64]:
    """Panels [b, slow, fast] as one array [b, all pixels]."""
    flat = [panel.reshape(len(panel), -1) for panel in panels]
    whole = flat[0] if len(flat) == 1 else torch.cat(flat, dim=1)
    return np.asarray(whole.cpu().numpy())


def _pixels(base: Experiment) -> int:
    return sum(panel.pixels_f * panel.pixels_s for panel in base.detector.panels)


def _shape(base: Experiment) -> tuple[int, ...]:
    """The shape of an image.

    Raises:
        InputError: panels of different sizes, which no array can hold.
    """
    sizes = {(panel.pixels_s, panel.pixels_f) for panel in base.detector.panels}
    if len(sizes) > 1:
        raise InputError("panels", "panels of different sizes do not fit into one array", "give them one size")
    panels = len(base.detector.panels)
    return (panels, *sizes.pop()) if panels > 1 else sizes.pop()


def _amplitudes(base: Experiment, found: Spots) -> NDArray[np.float64]:
    """F [n] of the table."""
    table = base.crystal.structure_factors
    if table.values is None:
        return np.full(len(found), float(table.default_F))
    h, k, l = (torch.from_numpy(np.ascontiguousarray(x)) for x in (found.h, found.k, found.l))
    place = table.place(h, k, l)
    values = table.values.reshape(-1)
    inside = place < len(values)
    looked_up = values[torch.where(inside, place, 0)]
    return np.asarray(torch.where(inside, looked_up, table.default_F).numpy())


def _photons(
    pixels: SpotPixels,
    signal: NDArray[np.float64],
    background: NDArray[np.float64],
    drawn: NDArray[np.float64],
    full: NDArray[np.bool_],
) -> dict[str, NDArray[Any]]:
    """The columns that come from pictures [all pixels]: what was expected, what was drawn, what is lost."""
    return {
        "expected": pixels.sum(signal),
        "background": pixels.sum(background),
        "drawn": pixels.sum(drawn),
        "pixels": pixels.count().astype(np.int16),
        "saturated": pixels.sum(full).astype(np.int16),
        "overlap": pixels.shared().astype(np.int16),
    }
