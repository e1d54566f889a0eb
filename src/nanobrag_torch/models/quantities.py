"""What can be refined: one row per quantity, with its place in an experiment and its natural step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nanobrag_torch.geometry.orientation import lattice_at_rest
from nanobrag_torch.geometry.rotation import rotate_xyz
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


def _needs_origins(experiment: Experiment) -> str | None:
    if any(panel.origin is None for panel in experiment.detector.panels):
        return "the panels have no origins of their own; refine distance, beam_centre and rotations instead"
    return None


def _detector_shift() -> Quantity:
    def shifted(panel: Panel, shift: Tensor) -> Panel:
        assert panel.origin is not None
        return panel.replace(origin=panel.origin + shift)

    def put(experiment: Experiment, value: Tensor) -> Experiment:
        panels = tuple(shifted(panel, value) for panel in experiment.detector.panels)
        return experiment.replace(detector=experiment.detector.replace(panels=panels))

    zero = torch.zeros(3, dtype=torch.float64)
    return Quantity(lambda e: zero, put, _STEP_M, False, "mm", mm_from_metres, _needs_origins)


def _detector_turn() -> Quantity:
    """All panels rotated as one body about the middle of the first."""

    def put(experiment: Experiment, value: Tensor) -> Experiment:
        first = experiment.detector.panels[0]
        centre = _middle(first).detach()
        panels = tuple(_turned_panel(panel, value, centre) for panel in experiment.detector.panels)
        return experiment.replace(detector=experiment.detector.replace(panels=panels))

    zero = torch.zeros(3, dtype=torch.float64)
    return Quantity(lambda e: zero, put, _TENTH_DEGREE, False, "deg", degrees_from_radians, _needs_origins)


def _groups(experiment: Experiment) -> tuple[int, ...]:
    """The rigid body of each panel."""
    detector = experiment.detector
    return tuple(range(len(detector.panels))) if detector.groups is None else detector.groups


def _by_group(unit: str, shown: Callable[[Tensor], Tensor], scale: float, turns: bool) -> Quantity:
    """Shifts, or turns about its middle, of every rigid body of panels, along and about lab x, y, z."""

    def take(experiment: Experiment) -> Tensor:
        return torch.zeros(max(_groups(experiment)) + 1, 3, dtype=torch.float64)

    def put(experiment: Experiment, value: Tensor) -> Experiment:
        groups, panels = _groups(experiment), experiment.detector.panels
        moved = []
        for panel, group in zip(panels, groups, strict=True):
            assert panel.origin is not None
            if turns:
                mates = [_middle(p).detach() for p, g in zip(panels, groups, strict=True) if g == group]
                moved.append(_turned_panel(panel, value[group], torch.stack(mates).mean(0)))
            else:
                moved.append(panel.replace(origin=panel.origin + value[group]))
        return experiment.replace(detector=experiment.detector.replace(panels=tuple(moved)))

    return Quantity(take, put, scale, False, unit, shown, _needs_origins)


def _b_factor() -> Quantity:
    """B (Å²) of a factor exp(-B/(4 d²)) on amplitudes, beside what the table has."""
    zero = torch.zeros((), dtype=torch.float64)

    def put(experiment: Experiment, value: Tensor) -> Experiment:
        crystal = experiment.crystal
        table = crystal.structure_factors
        assert table.values is not None
        axes = [torch.arange(first, first + size) for first, size in zip(table.origin, table.sizes, strict=True)]
        indices = torch.cartesian_prod(*axes).to(torch.float64)
        lattice = lattice_at_rest(crystal.cell, crystal.reciprocal, crystal.misset, True, crystal.orientation)
        square = ((indices @ lattice.reciprocal.detach()) ** 2).sum(1).reshape(table.values.shape)
        fallen = table.values.to(torch.float64) * torch.exp(-0.25 * value * square)
        return experiment.replace(crystal=crystal.replace(structure_factors=replace(table, values=fallen)))

    return Quantity(lambda e: zero, put, 0.1, False, "A^2", objection=_needs_table)


def _middle(panel: Panel) -> Tensor:
    """The middle [3] of a panel that has an origin."""
    assert panel.origin is not None
    return panel.origin + 0.5 * (panel.lengths[0] * panel.fast + panel.lengths[1] * panel.slow)


def _turned_panel(panel: Panel, angles: Tensor, centre: Tensor) -> Panel:
    """A panel rotated about lab x, y, z (rad) around a point."""
    assert panel.origin is not None
    fast, slow, normal, origin = rotate_xyz(
        torch.stack([panel.fast, panel.slow, panel.normal, panel.origin - centre]), angles
    )
    return panel.replace(fast=fast, slow=slow, normal=normal, origin=centre + origin)


def _amplitudes() -> Quantity:
    def take(experiment: Experiment) -> Tensor:
        values = experiment.crystal.structure_factors.values
        assert values is not None
        return values

    def put(experiment: Experiment, value: Tensor) -> Experiment:
        table = replace(experiment.crystal.structure_factors, values=value)
        return experiment.replace(crystal=experiment.crystal.replace(structure_factors=table))

    return Quantity(take, put, 1.0, False, "electrons", objection=_needs_table)


def _needs_table(experiment: Experiment) -> str | None:
    missing = experiment.crystal.structure_factors.values is None
    return "there is no table, only a default amplitude" if missing else None


def _spread() -> Quantity:
    def put(experiment: Experiment, value: Tensor) -> Experiment:
        mosaic = replace(experiment.crystal.mosaic, spread=value)
        return experiment.replace(crystal=experiment.crystal.replace(mosaic=mosaic))

    return Quantity(lambda e: e.crystal.mosaic.spread, put, 0.05, True, "deg", degrees_from_radians)


def _spreads() -> Quantity:
    """The three spreads of an anisotropic mosaicity."""

    def take(experiment: Experiment) -> Tensor:
        spreads = experiment.crystal.mosaic.spreads
        assert spreads is not None
        return spreads

    def put(experiment: Experiment, value: Tensor) -> Experiment:
        mosaic = replace(experiment.crystal.mosaic, spreads=value)
        return experiment.replace(crystal=experiment.crystal.replace(mosaic=mosaic))

    def objection(experiment: Experiment) -> str | None:
        missing = experiment.crystal.mosaic.spreads is None
        return "the crystal has one spread; give three of them, or refine mosaic_spread" if missing else None

    return Quantity(take, put, 0.05, True, "deg", degrees_from_radians, objection)


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
    "mosaic_spreads": _spreads(),
    "amplitudes": _amplitudes(),
    "B": _b_factor(),
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
    "detector_turn": _detector_turn(),
    "panel_shifts": _by_group("mm", mm_from_metres, _STEP_M, turns=False),
    "panel_turns": _by_group("deg", degrees_from_radians, _TENTH_DEGREE, turns=True),
}
"""Every refinable quantity by name; a new one is a new row."""
