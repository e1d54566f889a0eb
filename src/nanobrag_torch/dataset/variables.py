"""What may vary from image to image; free of torch.

A name is a field of the configuration (`distance_mm`, `shape`, ...) or one of `OWN`. Some are put into a scene that is
settled once (`QUICK`); any other makes a scene of its own, settled once for all images that share it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from nanobrag_torch.config import (
    BackgroundConfig,
    BeamConfig,
    CrystalConfig,
    DetectorConfig,
    PathConfig,
    SamplingConfig,
)

PARTS = {
    "crystal": CrystalConfig,
    "beam": BeamConfig,
    "detector": DetectorConfig,
    "sampling": SamplingConfig,
    "background": BackgroundConfig,
    "path": PathConfig,
}
PART_OF = {f.name: part for part, kind in PARTS.items() for f in dataclasses.fields(kind)}
"""The component that has a field."""
UNVARIED = {"misset_random", "misset_seed", "panels", "mask", "structure_factors", "use_dump", "roi", "amorphous_file"}
"""Fields that no distribution can give, or that `orientation` gives better."""


@dataclass(frozen=True)
class Variable:
    """Something that varies.

    Args:
        text: what it is.
        draws: how many values are drawn for an image, each on its own.
        quantity: the row of `models.quantities.QUANTITIES` that takes it, or empty.
    """

    text: str
    draws: int = 1
    quantity: str = ""


OWN: dict[str, Variable] = {
    "orientation": Variable("rotations about lab x, y, z, degrees; {rotations: all} for all alike", 1, "misset"),
    "N": Variable("cells along each axis, the same number", 1, "N"),
    "cell": Variable("a, b, c, alpha, beta, gamma; a choice makes a library", 1, "cell"),
    "cell_change_percent": Variable("relative change of a, b and c, each drawn on its own", 3, "cell"),
    "cell_change_deg": Variable("change of alpha, beta and gamma, each drawn on its own", 3, "cell"),
    "model": Variable("a PDB, mmCIF or MTZ file; {folder: models} for all of a folder"),
    "lattices": Variable("crystals in the beam; all but the first are turned at random"),
    "lattice_weight": Variable("intensity of each further crystal, relative to the first"),
    "beam_shift_mm": Variable("shift of the direct beam along fast and slow", 2, "beam_centre"),
    "background_photons": Variable("even background, photons per pixel"),
    "beam_stop_mm": Variable("radius of a round shadow on the detector"),
    "beam_stop_shift_mm": Variable("its place from the direct beam along fast and slow", 2),
}
"""Variables that are no fields of the configuration."""

QUICK_FIELDS: dict[str, str] = {
    "misset_deg": "misset",
    "wavelength_A": "wavelength",
    "fluence": "fluence",
    "distance_mm": "distance",
    "mosaic_spread_deg": "mosaic_spread",
    "phi_deg": "phi",
    "fudge": "fudge",
    "polarization_factor": "polarization_factor",
}
"""Fields of the configuration that are put into a settled scene, by the quantity that takes them."""

IMAGE_ONLY = {
    "lattices",
    "lattice_weight",
    "background_photons",
    "beam_stop_mm",
    "beam_stop_shift_mm",
    "water_um",
}
"""What no crystal's scene depends on."""


def names() -> list[str]:
    """Every name that may vary."""
    return [*OWN, *(name for name in PART_OF if name not in UNVARIED)]


def draws_of(name: str) -> int:
    """How many values of a variable are drawn for an image."""
    return OWN[name].draws if name in OWN else 1


def clashes(chosen: list[str]) -> list[tuple[str, str]]:
    """Pairs of variables that would overwrite each other."""
    cell = [f"cell_{x}" for x in ("a", "b", "c", "alpha", "beta", "gamma")]
    pairs = [("orientation", "misset_deg"), *(("N", f"N{x}") for x in "abc"), *(("cell", x) for x in cell)]
    pairs += [(change, x) for change in ("cell_change_percent", "cell_change_deg") for x in cell]
    pairs += [("model", "hkl_file"), ("model", "model_file"), ("fluence", "flux")]
    return [(a, b) for a, b in pairs if a in chosen and b in chosen]
