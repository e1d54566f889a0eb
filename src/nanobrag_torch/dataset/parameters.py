"""Everything about an image's scene as plain values, the same names for every image."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobrag_torch.dataset.population import Population
from nanobrag_torch.dataset.scenes import Block
from nanobrag_torch.dataset.sight import Sight
from nanobrag_torch.io.scene import cell_constants
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.units import degrees_from_radians, mm_from_metres

CARRIED = ("misset", "N", "fudge", "mosaic_spread", "fluence", "polarization_factor")
"""Quantities whose values are listed as they are settled (angles in radians, sizes in cells)."""


def parameters(population: Population, block: Block, seen: Sight) -> list[dict[str, Any]]:
    """The parameters of every image of a block."""
    count = len(block)
    columns: dict[str, Any] = {}
    for name in CARRIED:
        values = block.variants.get(name)
        settled = QUANTITIES[name].take(block.base)[None].expand(count, *QUANTITIES[name].take(block.base).shape)
        columns[name] = (settled if values is None else values).detach().numpy()
    columns["cell"] = cell_constants(seen.at_start)
    columns["cell_vectors"] = seen.at_start.reshape(count, 9)
    columns["wavelength"] = seen.wavelength[:, seen.wavelength.shape[1] // 2]
    images = np.arange(count)
    fast, slow, _ = seen.panels[0].hits(images, seen.incident[:, 0], False)
    columns["beam_pixel"] = np.stack([fast, slow], axis=1)
    columns["distance_mm"] = mm_from_metres(np.abs((seen.panels[0].origin * seen.panels[0].normal).sum(1)))
    columns["phi_deg"], columns["osc_deg"] = degrees_from_radians(seen.phi), [degrees_from_radians(seen.osc)] * count
    columns["oversample"] = [block.base.sampling.oversample] * count
    columns["shape"] = [block.base.crystal.shape] * count
    columns["lattices"] = list(block.lattices)
    for name in population.vary:
        columns[f"drawn.{name}"] = block.drawn[name]
    return [{name: plain(values[place]) for name, values in columns.items()} for place in range(count)]


def plain(value: Any) -> Any:
    """A number, text or list of such."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value
