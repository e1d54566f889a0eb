"""What a refinement of an experiment list is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_models import Measured
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.refine.gather import Choice
from nanobrag_torch.refine.likelihood import Noise
from nanobrag_torch.refine.starting import CrystalStart

GROUPS: Mapping[str, tuple[str, ...]] = {
    "cell": ("cell_lengths", "cell_angles"),
    "scale": ("fluence",),
    "detector": ("detector_shift", "detector_turn"),
    "panels": ("panel_shifts", "panel_turns"),
}
"""Names of what belongs together; any other name is one of `QUANTITIES`."""
DEFAULT = ("misset", "cell", "N", "mosaic_spread", "scale", "detector")
AMPLITUDES = "amplitudes"
_ALIKE = 1e-9
"""Metres, and parts of unit vectors, by which panels of the same detector may differ."""
OWN = ("misset", "fluence", "phi")
"""Quantities with a value for every experiment, where there are several."""
OF_SWEEPS = ("cell_lengths", "cell_angles", "N", "mosaic_spread", "mosaic_spreads")
"""Quantities that every sweep determines by itself; stills of one list share them."""
OF_DETECTORS = ("detector_shift", "detector_turn", "panel_shifts", "panel_turns")
"""Quantities that experiments share where they have the same detector."""


@dataclass(frozen=True)
class Job:
    """What is refined against what.

    Args:
        expt: an experiment list, indexed, with its frames beside it (or where it says).
        refl: its reflections, with observed centroids; `None` = predicted spots that are seen.
        amplitudes: an MTZ or reflection mmCIF file.
        column: of the amplitudes; the first by default.
        refine: names: `misset`, `cell`, `N`, `mosaic_spread`, `scale`, `detector`, `amplitudes`, or any quantity.
        shared: those with one value for all experiments; by default all but misset, scale and phi, and but cell, N
            and mosaic spread of sweeps.
        restraints: by name, mean (`None` = the start) and width of a prior, the user's units.
        model: what the list leaves open.
        choice: which reflections.
        noise: of the detector; its `relative` says how wrong the model of a spot may be.
        centroids: refine the geometry from centroids first, where there are some.
        locate: find camera and crystal on the first image before anything else; of a single experiment.
        amplitude_width: prior of the logarithm of an amplitude, where amplitudes are refined.
        steps: at most so many steps.
        mask: a file with the pixels that can be used, for `masks.read_mask`.
        mask_ones_bad: in an image as a mask, 0 marks what can be used.
        profile: numbers whose profile likelihood is followed: `N`, `misset[2]`, `misset[2]@1` (of experiment 1).
        scan_varying: names of what varies over the scans of sweeps, of `misset` and `cell`.
        knots: how many values it has, evenly spaced over each scan.
        smooth: by name, the standard deviation of the change from one knot to the next, the user's units.
        only: first and last experiment of the list that are taken; all by default.
    """

    expt: str
    refl: str | None
    amplitudes: str
    column: str | None = None
    refine: Sequence[str] = DEFAULT
    shared: Sequence[str] | None = None
    restraints: Mapping[str, tuple[float | None, float]] = field(default_factory=dict)
    model: CrystalStart | None = None
    choice: Choice = field(default_factory=Choice)
    noise: Noise = field(default_factory=lambda: Noise(relative=0.1))
    centroids: bool = True
    locate: bool = False
    amplitude_width: float = 0.3
    steps: int = 60
    profile: Sequence[str] = ()
    scan_varying: Sequence[str] = ()
    knots: int = 3
    smooth: Mapping[str, float] = field(default_factory=dict)
    mask: str | None = None
    mask_ones_bad: bool = False
    only: tuple[int, int] | None = None


def names_of(names: Sequence[str], experiment: Experiment, flag: str = "--refine") -> list[str]:
    """The quantities behind names that `flag` gave.

    Raises:
        InputError: an unknown name, with the known ones.
    """
    found: list[str] = []
    for name in names:
        if name == AMPLITUDES:
            continue
        if name == "mosaic_spread" and experiment.crystal.mosaic.spreads is not None:
            name = "mosaic_spreads"
        found += [one for one in GROUPS.get(name, (name,)) if one not in found]
    unknown = [name for name in found if name not in QUANTITIES or name == AMPLITUDES]
    if unknown:
        known = ", ".join([*GROUPS, AMPLITUDES, *(name for name in QUANTITIES if name != AMPLITUDES)])
        raise InputError(flag, f"{unknown[0]} is not known", f"choose among {known}")
    return found


def own_names(job: Job, names: Sequence[str], experiment: Experiment, measured: Sequence[Measured]) -> list[str]:
    """Those of the quantities that have a value for every experiment of a list.

    Raises:
        InputError: an unknown name among the shared ones.
    """
    if len(measured) == 1:
        return []
    if job.shared is not None:
        shared = names_of(job.shared, experiment, "--shared")
        return [name for name in names if name not in shared]
    own = [*OWN, *(() if any(one.still for one in measured) else OF_SWEEPS)]
    own += () if same_detector(measured) else OF_DETECTORS
    return [name for name in names if name in own]


def same_detector(measured: Sequence[Measured]) -> bool:
    """Whether all experiments have the same panels in the same places."""
    first = measured[0].detector.panels
    return all(len(one.detector.panels) == len(first) for one in measured) and all(
        np.allclose(a, b, rtol=0.0, atol=_ALIKE)
        for one in measured[1:]
        for p, q in zip(first, one.detector.panels, strict=True)
        for a, b in ((p.plane.origin, q.plane.origin), (p.plane.fast, q.plane.fast), (p.plane.slow, q.plane.slow))
    )
