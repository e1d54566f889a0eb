"""The background of an image, and the shadow of its beam stop.

How a background falls on the detector depends on where the detector stands and not on the crystal, so images of one
geometry share it: the droplet's is proportional to fluence · water³.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nanobrag_torch.dataset.population import Population
from nanobrag_torch.dataset.scenes import Block
from nanobrag_torch.dataset.sight import sight
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.models import Experiment, Mosaic
from nanobrag_torch.models.background import Background as Surroundings
from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.units import metres_from_mm, metres_from_water_um

Floats = NDArray[np.float64]

GEOMETRY = ("wavelength", "distance", "beam_centre", "polarization_factor", "phi")
"""Quantities that move a background."""
PATTERN_WATER_M = 1e-4
"""Edge of the droplet whose background is rendered and then scaled."""


class Background:
    """Backgrounds of a population's blocks."""

    def __init__(self, population: Population, device: str | None) -> None:
        self.population, self.device = population, device
        self._surround: tuple[Surroundings, Floats] | None = None
        self._kept: tuple[Experiment | None, Floats | None] = (None, None)

    def of(self, block: Block) -> Callable[[int], Floats]:
        """What gives the photons [all pixels] of the image at a place of the block."""
        flat = _column(block, self.population, "background_photons", 0.0)
        water = self._water(block)
        pixels = sum(panel.pixels_f * panel.pixels_s for panel in block.base.detector.panels)
        droplets = self._droplets(block, water) if water.any() else None
        surroundings = None if block.base.background.empty else self._surroundings(block)

        def at(place: int) -> Floats:
            found = np.full(pixels, flat[place])
            for part in (droplets, surroundings):
                if part is not None:
                    found += part(place)
            return found

        return at

    def _water(self, block: Block) -> Floats:
        """The droplet's edge [b] (m)."""
        base = float(block.base.crystal.water)
        if "water_um" in block.drawn:
            return np.array([metres_from_water_um(float(w)) for w in block.drawn["water_um"]])
        return np.full(len(block), base)

    def _droplets(self, block: Block, water: Floats) -> Callable[[int], Floats]:
        moving = {name: values for name, values in block.variants.items() if name in GEOMETRY}
        scale = (water / PATTERN_WATER_M) ** 3
        fluence = block.variants["fluence"].numpy() / float(block.base.beam.fluence)
        scale = scale * fluence
        if not moving:
            key, pattern = self._kept
            if key is None or key.detector is not block.base.detector or pattern is None:
                pattern = self._render(block.base, {"fluence": block.base.beam.fluence[None]})[0]
                self._kept = (block.base, pattern)
            known = pattern
            return lambda place: scale[place] * known
        count = len(block)
        moving["fluence"] = block.base.beam.fluence.expand(count).clone()
        rendered = self._render(block.base, moving)
        return lambda place: scale[place] * rendered[place]

    def _surroundings(self, block: Block) -> Callable[[int], Floats]:
        """What scatters beside the crystal; rendered once where nothing moves it."""
        base = block.base
        moving = {name: values for name, values in block.variants.items() if name in GEOMETRY}
        own = base.background
        fluence = block.variants["fluence"]
        if not moving and own.measured is None and own.curve is None:
            if self._surround is None or self._surround[0] is not own:
                alone = {"fluence": base.beam.fluence[None]}
                self._surround = own, self._render(base, alone, 0.0, own)[0]
            share, pattern = (fluence / base.beam.fluence).numpy(), self._surround[1]
            return lambda place: share[place] * pattern
        if not moving and bool((fluence == fluence[0]).all()):
            (same,) = self._render(base, {"fluence": fluence[:1]}, 0.0, own)
            return lambda place: same
        rendered = self._render(base, moving | {"fluence": fluence}, 0.0, own)
        return lambda place: rendered[place]

    def _render(
        self,
        base: Experiment,
        variants: dict[str, Tensor],
        water: float = PATTERN_WATER_M,
        surroundings: Surroundings | None = None,
    ) -> Floats:
        """The background [b, all pixels] of a droplet of `water` (m), and of what else there is."""
        one = torch.ones(3, dtype=torch.float64)
        crystal = base.crystal.replace(
            water=torch.tensor(water, dtype=torch.float64),
            structure_factors=StructureFactors.constant(0.0),
            interpolate=False,
            N=one,
            mosaic=Mosaic(one.new_zeros(()), one[None], one.new_zeros(1)),
            coupling=None,
            blocks=None,
            others=(),
            colours=None,
        )
        alone = base.replace(crystal=crystal, background=surroundings or Surroundings())
        panels = Simulator(alone, device=self.device).run_many(variants)
        return np.concatenate([panel.reshape(len(panel), -1).cpu().numpy() for panel in panels], axis=1)

    def shadow(self, block: Block) -> NDArray[np.bool_] | None:
        """Pixels [b, all pixels] whose centre lies in the round shadow, around the direct beam."""
        if "beam_stop_mm" not in self.population.vary:
            return None
        radius = metres_from_mm(_column(block, self.population, "beam_stop_mm", 0.0))
        shift = block.drawn.get("beam_stop_shift_mm")
        shift = np.zeros((len(block), 2)) if shift is None else metres_from_mm(np.asarray(shift, dtype=np.float64))
        seen = sight(block.base, block.variants)
        images = np.arange(len(block))
        found = []
        for panel in seen.panels:
            fast, slow, _ = panel.hits(images, seen.incident[:, 0], False)
            f = (np.arange(panel.pixels_f) + 0.5 - fast[:, None]) * panel.pixel_size - shift[:, :1]
            s = (np.arange(panel.pixels_s) + 0.5 - slow[:, None]) * panel.pixel_size - shift[:, 1:]
            square = s[:, :, None] ** 2 + f[:, None, :] ** 2
            found.append((square < radius[:, None, None] ** 2).reshape(len(block), -1))
        return np.concatenate(found, axis=1)


def _column(block: Block, population: Population, name: str, default: float) -> Floats:
    values: Any = block.drawn.get(name)
    return np.full(len(block), default) if values is None else np.asarray(values, dtype=np.float64)
