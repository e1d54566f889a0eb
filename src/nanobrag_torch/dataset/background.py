"""The background of an image, and the shadow of its beam stop.

How a background falls on the detector depends on where the detector stands and not on the crystal, so images of one
geometry share it: the droplet's is proportional to fluence · water³.
"""

from __future__ import annotations

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
        self._kept: tuple[Experiment | None, Floats | None] = (None, None)

    def of(self, block: Block) -> tuple[Floats, NDArray[np.bool_] | None]:
        """Photons [b, all pixels], and where the beam stop hides them [b, all pixels], `None` = nowhere."""
        flat = _column(block, self.population, "background_photons", 0.0)
        water = self._water(block)
        pixels = sum(panel.pixels_f * panel.pixels_s for panel in block.base.detector.panels)
        found = np.repeat(flat[:, None], pixels, axis=1)
        if water.any():
            found += self._droplets(block, water)
        return found, self._shadow(block)

    def _water(self, block: Block) -> Floats:
        """The droplet's edge [b] (m)."""
        base = float(block.base.crystal.water)
        if "water_um" in block.drawn:
            return np.array([metres_from_water_um(float(w)) for w in block.drawn["water_um"]])
        return np.full(len(block), base)

    def _droplets(self, block: Block, water: Floats) -> Floats:
        moving = {name: values for name, values in block.variants.items() if name in GEOMETRY}
        scale = (water / PATTERN_WATER_M) ** 3
        fluence = block.variants["fluence"].numpy() / float(block.base.beam.fluence)
        scale = scale * fluence
        if not moving:
            key, pattern = self._kept
            if key is None or key.detector is not block.base.detector or pattern is None:
                pattern = self._render(block.base, {"fluence": block.base.beam.fluence[None]})[0]
                self._kept = (block.base, pattern)
            return scale[:, None] * pattern
        count = len(block)
        moving["fluence"] = block.base.beam.fluence.expand(count).clone()
        return scale[:, None] * self._render(block.base, moving)

    def _render(self, base: Experiment, variants: dict[str, Tensor]) -> Floats:
        """The background [b, all pixels] of `PATTERN_WATER_M`."""
        one = torch.ones(3, dtype=torch.float64)
        crystal = base.crystal.replace(
            water=torch.tensor(PATTERN_WATER_M, dtype=torch.float64),
            structure_factors=StructureFactors.constant(0.0),
            interpolate=False,
            N=one,
            mosaic=Mosaic(one.new_zeros(()), base.crystal.mosaic.axes[:1], one.new_zeros(1)),
        )
        panels = Simulator(base.replace(crystal=crystal), device=self.device).run_many(variants)
        return np.concatenate([panel.reshape(len(panel), -1).cpu().numpy() for panel in panels], axis=1)

    def _shadow(self, block: Block) -> NDArray[np.bool_] | None:
        """Pixels whose centre lies in the round shadow, on the panel's own plane, around the direct beam."""
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
