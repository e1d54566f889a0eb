"""What can be refined: one row per quantity, with its place in an experiment and its natural step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nanobrag_torch.models import Experiment, Panel
from nanobrag_torch.units import degrees_from_radians, mm_from_metres, radians_from_degrees

Objection = Callable[[Experiment], str | None]


def _never(experiment: Experiment) -> str | None:
    return None


def _same(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True)
class Quantity:
    """A refinable quantity.

    Args:
        take: its value in an experiment, settled units.
        put: the experiment with another value of it, which stays in its graph.
        scale: how far one unit of the raw parameter moves it, settled units; a fraction of the start when `positive`.
        positive: whether it stays positive, by value = start · exp(scale · raw).
        unit: the user's unit, for tables.
        shown: from settled to the user's unit.
        objection: why it cannot be refined in an experiment, or `None`.
    """

    take: Callable[[Experiment], Tensor]
    put: Callable[[Experiment, Tensor], Experiment]
    scale: float
    positive: bool = False
    unit: str = ""
    shown: Callable[[Tensor], Tensor] = _same
    objection: Objection = _never


_TENTH_DEGREE = radians_from_degrees(0.1)
_STEP_M = 1e-5


def _crystal(name: str, scale: float, positive: bool = True, unit: str = "", objection: Objection = _never) -> Quantity:
    """A field of the crystal."""
    return Quantity(
        lambda e: getattr(e.crystal, name),
        lambda e, value: e.replace(crystal=e.crystal.replace(**{name: value})),
        scale,
        positive,
        unit,
        objection=objection,
    )


def _cell_part(start: int, scale: float, positive: bool) -> Quantity:
    """Lengths (0) or angles (3) of the cell."""

    def take(experiment: Experiment) -> Tensor:
        assert experiment.crystal.cell is not None
        return experiment.crystal.cell[start : start + 3]

    def put(experiment: Experiment, value: Tensor) -> Experiment:
        cell = experiment.crystal.cell
        assert cell is not None
        parts = [value, cell[3:]] if start == 0 else [cell[:3], value]
        return experiment.replace(crystal=experiment.crystal.replace(cell=torch.cat(parts)))

    def objection(experiment: Experiment) -> str | None:
        if experiment.crystal.cell is None:
            return "the crystal is described by an orientation matrix alone; give its cell as well"
        if start == 3 and experiment.crystal.reciprocal is not None:
            return "the angles come from the orientation matrix; describe the crystal by cell and misset instead"
        return None

    shown = _same if start == 0 else degrees_from_radians
    return Quantity(take, put, scale, positive, "A" if start == 0 else "deg", shown, objection)


def _panel(name: str, scale: float, positive: bool, unit: str, shown: Callable[[Tensor], Tensor]) -> Quantity:
    """A field of the only panel, which its own origin must not override."""

    def objection(experiment: Experiment) -> str | None:
        if any(panel.origin is not None for panel in experiment.detector.panels):
            return "the panels stand where their origins say; refine detector_shift instead"
        return None

    return Quantity(
        lambda e: getattr(e.detector.panel, name),
        lambda e, value: e.replace(detector=e.detector.replace(**{name: value})),
        scale,
        positive,
        unit,
        shown,
        objection,
    )


def _centre_name(experiment: Experiment) -> str:
    """The field that places a panel across the beam: which one depends on its pivot."""
    return "beam_centre" if experiment.detector.panel.pivot == "beam" else "near_point"


def _beam_centre() -> Quantity:
    placed = _panel("beam_centre", _STEP_M, False, "mm", mm_from_metres)
    return replace(
        placed,
        take=lambda e: getattr(e.detector.panel, _centre_name(e)),
        put=lambda e, value: e.replace(detector=e.detector.replace(**{_centre_name(e): value})),
    )


def _detector_shift() -> Quantity:
    def shifted(panel: Panel, shift: Tensor) -> Panel:
        assert panel.origin is not None
        return panel.replace(origin=panel.origin + shift)

    def put(experiment: Experiment, value: Tensor) -> Experiment:
        panels = tuple(shifted(panel, value) for panel in experiment.detector.panels)
        return experiment.replace(detector=experiment.detector.replace(panels=panels))

    def objection(experiment: Experiment) -> str | None:
        if any(panel.origin is None for panel in experiment.detector.panels):
            return "the panels have no origins of their own; refine distance and beam_centre instead"
        return None

    zero = torch.zeros(3, dtype=torch.float64)
    return Quantity(lambda e: zero, put, _STEP_M, False, "mm", mm_from_metres, objection)


def _amplitudes() -> Quantity:
    def take(experiment: Experiment) -> Tensor:
        values = experiment.crystal.structure_factors.values
        assert values is not None
        return values

    def put(experiment: Experiment, value: Tensor) -> Experiment:
        table = replace(experiment.crystal.structure_factors, values=value)
        return experiment.replace(crystal=experiment.crystal.replace(structure_factors=table))

    def objection(experiment: Experiment) -> str | None:
        missing = experiment.crystal.structure_factors.values is None
        return "there is no table, only a default amplitude" if missing else None

    return Quantity(take, put, 1.0, False, "electrons", objection=objection)


def _spread() -> Quantity:
    def put(experiment: Experiment, value: Tensor) -> Experiment:
        mosaic = replace(experiment.crystal.mosaic, spread=value)
        return experiment.replace(crystal=experiment.crystal.replace(mosaic=mosaic))

    return Quantity(lambda e: e.crystal.mosaic.spread, put, 0.05, True, "deg", degrees_from_radians)


def _beam(name: str, scale: float, positive: bool, unit: str = "") -> Quantity:
    """A field of the beam."""
    return Quantity(
        lambda e: getattr(e.beam, name),
        lambda e, value: e.replace(beam=e.beam.replace(**{name: value})),
        scale,
        positive,
        unit,
    )


QUANTITIES: dict[str, Quantity] = {
    "misset": replace(_crystal("misset", _TENTH_DEGREE, False, "deg"), shown=degrees_from_radians),
    "cell_lengths": _cell_part(0, 1e-3, True),
    "cell_angles": _cell_part(3, _TENTH_DEGREE, False),
    "N": _crystal("N", 0.05),
    "fudge": _crystal("fudge", 0.05),
    "water": replace(_crystal("water", 0.05, unit="mm"), shown=mm_from_metres),
    "mosaic_spread": _spread(),
    "amplitudes": _amplitudes(),
    "phi": Quantity(
        lambda e: e.scan.start,
        lambda e, value: e.replace(scan=e.scan.replace(start=value)),
        _TENTH_DEGREE,
        False,
        "deg",
        degrees_from_radians,
    ),
    "wavelength": _beam("wavelength", 1e-4, True, "A"),
    "fluence": _beam("fluence", 0.05, True, "photons/m^2"),
    "polarization_factor": _beam("polarization_factor", 0.01, False),
    "distance": _panel("distance", 1e-3, True, "mm", mm_from_metres),
    "beam_centre": _beam_centre(),
    "rotations": _panel("rotations", _TENTH_DEGREE, False, "deg", degrees_from_radians),
    "twotheta": _panel("twotheta", _TENTH_DEGREE, False, "deg", degrees_from_radians),
    "detector_shift": _detector_shift(),
}
"""Every refinable quantity by name; a new one is a new row."""
