"""What a refinement of an experiment list is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.refine.gather import Choice
from nanobrag_torch.refine.likelihood import Noise
from nanobrag_torch.refine.starting import Model

GROUPS: Mapping[str, tuple[str, ...]] = {
    "cell": ("cell_lengths", "cell_angles"),
    "scale": ("fluence",),
    "detector": ("detector_shift", "detector_turn"),
    "panels": ("panel_shifts", "panel_turns"),
}
"""Names of what belongs together; any other name is one of `QUANTITIES`."""
DEFAULT = ("misset", "cell", "N", "mosaic_spread", "scale", "detector")
AMPLITUDES = "amplitudes"
OWN = ("misset", "fluence", "phi")
"""Quantities with a value for every shot, where there are several; the others are shared."""


@dataclass(frozen=True)
class Job:
    """What is refined against what.

    Args:
        expt: an experiment list, indexed, with its frames beside it (or where it says).
        refl: its reflections, with observed centroids; `None` = predicted spots that are seen.
        amplitudes: an MTZ or reflection mmCIF file.
        column: of the amplitudes; the first by default.
        refine: names: `misset`, `cell`, `N`, `mosaic_spread`, `scale`, `detector`, `amplitudes`, or any quantity.
        shared: those with one value for all experiments; by default all but misset and scale.
        restraints: by name, mean (`None` = the start) and width of a prior, the user's units.
        model: what the list leaves open.
        choice: which reflections.
        noise: of the detector; its `relative` says how wrong the model of a spot may be.
        centroids: refine the geometry from centroids first, where there are some.
        locate: find camera and crystal on the first image before anything else; of a single experiment.
        amplitude_width: prior of the logarithm of an amplitude, where amplitudes are refined.
        steps: at most so many steps.
        only: first and last experiment of the list that are taken; all by default.
    """

    expt: str
    refl: str | None
    amplitudes: str
    column: str | None = None
    refine: Sequence[str] = DEFAULT
    shared: Sequence[str] | None = None
    restraints: Mapping[str, tuple[float | None, float]] = field(default_factory=dict)
    model: Model | None = None
    choice: Choice = field(default_factory=Choice)
    noise: Noise = field(default_factory=lambda: Noise(relative=0.1))
    centroids: bool = True
    locate: bool = False
    amplitude_width: float = 0.3
    steps: int = 60
    only: tuple[int, int] | None = None


def names_of(job: Job, experiment: Experiment) -> list[str]:
    """The quantities behind the names of a job.

    Raises:
        InputError: an unknown name, with the known ones.
    """
    found: list[str] = []
    for name in job.refine:
        if name == AMPLITUDES:
            continue
        if name == "mosaic_spread" and experiment.crystal.mosaic.spreads is not None:
            name = "mosaic_spreads"
        found += [one for one in GROUPS.get(name, (name,)) if one not in found]
    unknown = [name for name in found if name not in QUANTITIES or name == AMPLITUDES]
    if unknown:
        known = ", ".join([*GROUPS, AMPLITUDES, *(name for name in QUANTITIES if name != AMPLITUDES)])
        raise InputError("--refine", f"{unknown[0]} is not known", f"choose among {known}")
    return found
