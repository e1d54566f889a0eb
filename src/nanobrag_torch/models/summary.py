"""A settled scene in rows to read: the quantities that decide an image, in the units that people say them in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from nanobrag_torch.models.crystal import Crystal
from nanobrag_torch.models.detector import Panel
from nanobrag_torch.models.sampling import Sampling
from nanobrag_torch.tables import Row, written
from nanobrag_torch.units import degrees_from_radians, mm_from_metres, um_from_metres

if TYPE_CHECKING:
    from nanobrag_torch.models.experiment import Experiment

_MOST_PANELS = 3


def rows(experiment: Experiment) -> list[Row]:
    """Part, name and value of what an experiment holds; a tensor that requires a gradient is marked."""
    beam, scan = experiment.beam, experiment.scan
    found: list[Row] = [("physics", "", experiment.physics)]
    found += [("crystal", *row) for row in _crystal(experiment.crystal)]
    sweep = f"{_angle(scan.start)}, range {_angle(scan.range)}, {_count(scan.steps, 'step')}"
    found.append(("scan", "spindle", f"{written(scan.axis)}, from {sweep}"))
    found += [
        ("beam", "wavelength", f"{written(beam.wavelength)} Å"),
        ("beam", "direction", written(beam.direction)),
        ("beam", "sources", str(beam.sources)),
        ("beam", "fluence", f"{written(beam.fluence)} photons/m²"),
        ("beam", "polarization", f"K = {written(beam.polarization_factor)}" if beam.polarized else "not applied"),
    ]
    panels = experiment.detector.panels
    found += [("detector", panel.name or f"panel {i}", _panel(panel)) for i, panel in enumerate(panels[:_MOST_PANELS])]
    if len(panels) > _MOST_PANELS:
        found.append(("detector", "", f"and {len(panels) - _MOST_PANELS} panels more"))
    found += [("sampling", *row) for row in _sampling(experiment.sampling)]
    if not experiment.background.empty:
        found.append(("background", "", "something beside the crystal scatters"))
    if not experiment.path.empty:
        found.append(("path", "", "sample or air absorbs"))
    found.append(("in all", "terms per pixel", str(experiment.steps)))
    found += [("notes", note.stage, " ".join(note.text.split())) for note in experiment.notes]
    return found


def _crystal(crystal: Crystal) -> Iterator[tuple[str, str]]:
    if crystal.cell is not None:
        angles = written(degrees_from_radians(crystal.cell[3:].detach()))
        yield "cell", f"{written(crystal.cell[:3].detach())} Å, {angles}°{_marked(crystal.cell)}"
    if crystal.reciprocal is not None:
        yield "orientation", f"from a matrix{_marked(crystal.reciprocal)}"
    yield "misset", _angle(crystal.misset)
    yield "cells", f"{written(crystal.N)}, {crystal.shape}"
    mosaic = crystal.mosaic
    if mosaic.domains > 1:
        spread = mosaic.spread if mosaic.spreads is None else mosaic.spreads
        of = "" if mosaic.turns is not None else f", spread {_angle(spread)}"
        yield "mosaic", f"{mosaic.domains} domains{of}"
    table = crystal.structure_factors
    default = f"F = {written(table.default_F)} electrons"
    if table.values is None:
        yield "structure factors", f"{default} everywhere"
    else:
        how = "interpolated" if crystal.interpolate else "nearest index"
        yield "structure factors", f"{table.entries} in a table, {default} elsewhere, {how}{_marked(table.values)}"
    if crystal.others:
        yield "further lattices", str(len(crystal.others))
    if crystal.blocks is not None:
        yield "block sizes", str(len(crystal.blocks.nodes))
    if crystal.diffuse is not None:
        yield "diffuse", f"sigma {written(crystal.diffuse.sigma)} Å, gamma {written(crystal.diffuse.gamma)} Å"


def _panel(panel: Panel) -> str:
    edge = written(mm_from_metres(panel.pixel_size.detach()))
    where = (
        f"distance {written(mm_from_metres(panel.distance.detach()))} mm{_marked(panel.distance)}"
        if panel.origin is None
        else f"corner at {written(mm_from_metres(panel.origin.detach()))} mm{_marked(panel.origin)}"
    )
    swing = f", swung by {_angle(panel.twotheta)}" if float(panel.twotheta.detach()) else ""
    thick = um_from_metres(panel.layer_step.detach() * panel.layers)
    sensor = f", sensor {written(thick)} µm" if float(thick) > 0 else ""
    return f"{panel.pixels_f} x {panel.pixels_s} pixels of {edge} mm, {where}{swing}{sensor}"


def _sampling(sampling: Sampling) -> Iterator[tuple[str, str]]:
    yield "sub-pixels", f"{sampling.oversample} x {sampling.oversample}"
    xmin, xmax, ymin, ymax = sampling.roi
    yield "region", f"fast {xmin} to {xmax}, slow {ymin} to {ymax}"
    if sampling.dmin:
        yield "resolution limit", f"{written(sampling.dmin)} Å"
    if sampling.masks is not None:
        yield "mask", "some pixels are left out"


def _angle(radians: Tensor) -> str:
    return f"{written(degrees_from_radians(radians.detach()))}°{_marked(radians)}"


def _marked(tensor: Tensor) -> str:
    return " (requires a gradient)" if tensor.requires_grad else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
