"""Images with their labels, by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
        self.population, self.device, self.labels = population, device, labels
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
        if self.labels and base.detector.curved:
            raise InputError("curved", "labels need flat panels", "leave the curved detector out")
        shape = _shape(base)
        signal = self._crystals(block).reshape(len(block), *shape)
        background, shadow = self.background.of(block)
        background = background.reshape(len(block), *shape)
        if shadow is not None:
            signal *= ~shadow.reshape(signal.shape)
            background = background * ~shadow.reshape(signal.shape)
        expected = signal + background
        drawn: NDArray[Any] = expected
        if population.noise.photons:
            drawn = noise.photons(expected, population.seed, block.numbers)
        stored = noise.counts(drawn, population.noise)
        seen = sight(base, block.variants)
        known = parameters(population, block, seen)
        tables = pixels = None
        if self.labels:
            found, lattice = self._spots(block, seen)
            pixels = spot_pixels(found, shape, population.labels.radius)
            seen_as = _SeenAs(signal, background, drawn, stored >= population.noise.saturation)
            tables = _columns(found, lattice, pixels, base, seen_as)
        for place, number in enumerate(block.numbers):
            yield Sample(
                number,
                stored[place],
                {} if tables is None else tables[place],
                known[place],
                self._extra(block, place, expected, shadow, pixels, None if tables is None else tables[place]),
            )

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

    def _extra(
        self,
        block: Block,
        place: int,
        expected: NDArray[np.float64],
        shadow: NDArray[np.bool_] | None,
        pixels: SpotPixels | None,
        table: dict[str, NDArray[Any]] | None,
    ) -> dict[str, NDArray[Any]]:
        """Masks, noise-free image and gradients, where they are asked for."""
        wanted = self.population.labels
        found: dict[str, NDArray[Any]] = {}
        shape = expected.shape[1:]
        if wanted.masks and pixels is not None:
            found["mask"] = pixels.mask(place, shape)
            if shadow is not None:
                found["mask"][shadow[place].reshape(shape)] = -1
        if wanted.noise_free:
            found["noise_free"] = expected[place].astype(np.float32)
        if wanted.gradients:
            found["gradients"] = self._gradients(block, place).reshape(-1, *shape)
        return found

    def _gradients(self, block: Block, place: int) -> NDArray[np.float32]:
        """Derivatives [K, all pixels] of the first crystal and the background by settled values."""
        simulator = Simulator(self.experiment(block.numbers[place]), device=self.device)
        _, derivatives = simulator.jacobian(list(self.population.labels.gradients))
        return np.asarray(derivatives.T.cpu().numpy(), dtype=np.float32)


def without_background(base: Experiment) -> Experiment:
    """The scene with its crystal alone."""
    return base.replace(crystal=base.crystal.replace(water=torch.zeros((), dtype=torch.float64)))


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


class _SeenAs(NamedTuple):
    """Images [b, ...]: expected photons of crystals and of the background, drawn photons, and what is saturated."""

    signal: NDArray[np.float64]
    background: NDArray[np.float64]
    drawn: NDArray[Any]
    saturated: NDArray[np.bool_]


def _columns(
    found: Spots, lattice: NDArray[np.int64], pixels: SpotPixels, base: Experiment, images: _SeenAs
) -> list[dict[str, NDArray[Any]]]:
    """The table of every image of a block."""
    columns: dict[str, NDArray[Any]] = {
        "lattice": lattice.astype(np.int16),
        **{name: getattr(found, name).astype(np.int16) for name in ("h", "k", "l", "panel")},
        **{name: getattr(found, name) for name in ("fast", "slow", "fast_cal", "slow_cal", "phi", "delpsi", "d")},
        "partiality": found.partiality,
        "F": _amplitudes(base, found),
        "expected": pixels.sum(images.signal),
        "background": pixels.sum(images.background),
        "drawn": pixels.sum(images.drawn),
        "pixels": pixels.count().astype(np.int16),
        "saturated": pixels.sum(images.saturated).astype(np.int16),
        "overlap": pixels.shared().astype(np.int16),
    }
    edges = np.searchsorted(found.image, np.arange(len(images.signal) + 1))
    return [
        {name: column[start:end] for name, column in columns.items()}
        for start, end in zip(edges[:-1], edges[1:], strict=True)
    ]
