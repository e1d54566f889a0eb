"""What a refinement leaves: the experiment list, the reflections, amplitudes and all numbers."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nanobrag_torch import __version__
from nanobrag_torch.io.expt_models import DetectorModel, Measured
from nanobrag_torch.io.reflection_table import Flag, ReflectionTable
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.pipeline.render import lattice_of
from nanobrag_torch.refine.centroids import predicted
from nanobrag_torch.refine.curves import rows_of
from nanobrag_torch.refine.gather import Gathered
from nanobrag_torch.refine.measures import Spots, Summary
from nanobrag_torch.refine.outcome import Estimate, Refined
from nanobrag_torch.refine.starting import depth_of
from nanobrag_torch.refine.varying import Course, courses_of, experiment_at, spline_weights
from nanobrag_torch.units import degrees_from_radians

SCHEMA = 1
"""Version of the layout of refined.json."""


def refined_measured(measured: Measured, experiment: Experiment) -> Measured:
    """The experiment of a list with the refined crystal, wavelength and panels."""
    assert measured.crystal is not None
    rows = lattice_of(experiment.crystal, experiment.physics == "exact").direct.detach().numpy()
    turn = np.eye(3)
    if not measured.still and measured.goniometer is not None:
        turn = measured.goniometer.setting @ measured.goniometer.fixed
    mosaic = experiment.crystal.mosaic
    spreads = mosaic.spread if mosaic.spreads is None else mosaic.spreads
    spread = float(degrees_from_radians(spreads.detach().square().mean().sqrt()))
    panels = []
    for old, new in zip(measured.detector.panels, experiment.detector.panels, strict=True):
        assert new.origin is not None
        origin = new.origin - depth_of(new.layer_step, new.normal)
        plane = replace(
            old.plane,
            origin=origin.detach().numpy(),
            fast=new.fast.detach().numpy(),
            slow=new.slow.detach().numpy(),
        )
        panels.append(replace(old, plane=plane))
    return replace(
        measured,
        beam=replace(measured.beam, wavelength=float(experiment.beam.wavelength.detach())),
        crystal=replace(measured.crystal, cell=np.asarray(rows @ turn), points=None, mosaicity=spread),
        detector=DetectorModel(tuple(panels), measured.detector.raw),
    )


def with_points(refined: Measured, estimate: Estimate) -> Measured:
    """A refined experiment with the crystal's setting at every boundary between images, where it varies."""
    if not estimate.knots or refined.scan is None or refined.crystal is None:
        return refined
    knots = len(next(iter(estimate.knots.values())))
    points = []
    for weights in spline_weights(torch.linspace(0.0, 1.0, refined.scan.images + 1, dtype=torch.float64), knots):
        moved = refined_measured(refined, experiment_at(estimate.experiment, estimate.knots, weights)).crystal
        assert moved is not None
        points.append(moved.cell)
    return replace(refined, crystal=replace(refined.crystal, points=np.array(points)))


def refined_reflections(gathered: Gathered, spots: Spots, measured: Measured, number: int) -> ReflectionTable:
    """The reflections that were used, with refined predictions, sums of photons, and what the model expects.

    Args:
        gathered: of the experiment.
        spots: its sums.
        measured: as it was refined.
        number: of the experiment in the list that is written.
    """
    table = gathered.table.select(spots.rows)
    if "xyzobs.px.value" not in table:
        table = table.with_columns({"xyzobs.px.value": _seen(spots, table)})
    place = predicted(measured, table)
    kept = np.flatnonzero(np.isfinite(place).all(axis=1))
    table, place = table.select(kept), place[kept]
    mm = np.zeros((len(table), 3))
    for which, panel in enumerate(measured.detector.panels):
        own = table.panel == which
        mm[own, :2] = place[own, :2] * np.asarray(panel.pixel_mm)
    if measured.scan is not None:
        mm[:, 2] = np.radians(measured.scan.angle(place[:, 2]))
    flags = table.flags | np.uint64(Flag.PREDICTED | Flag.USED_IN_REFINEMENT | Flag.INTEGRATED_SUM)
    return table.with_columns(
        {
            "xyzcal.px": place,
            "xyzcal.mm": mm,
            "id": np.full(len(table), number, dtype=np.int32),
            "flags": flags,
            "intensity.sum.value": spots.observed[kept],
            "intensity.sum.variance": spots.sigma[kept] ** 2,
            "intensity.model": spots.expected[kept],
        }
    )


def _seen(spots: Spots, table: ReflectionTable) -> NDArray[np.float64]:
    """Measured centroids [n, 3]; where nothing was seen, that of the prediction."""
    return np.where(np.isfinite(spots.centroid), spots.centroid, table.predicted)


def numbers_of(estimate: Estimate, factor: float) -> list[dict[str, Any]]:
    """Every refined number in the user's units: name, value, sigma, unit, at which bound it is, and of which knot.

    A number at a bound has no sigma (NaN here, `null` in JSON).

    Args:
        estimate: of a shot.
        factor: what standard deviations are multiplied by.
    """
    found = []
    rows = zip(estimate.columns, estimate.values, estimate.sigma, estimate.at_bound.tolist(), strict=True)
    for (name, index), value, sigma, side in rows:
        quantity = QUANTITIES[name]
        found.append(
            {
                "name": name,
                "index": index,
                "value": float(quantity.shown(value)),
                "sigma": float("nan") if side else float(quantity.shown(sigma)) * factor,
                "unit": quantity.unit,
                "at_bound": {-1: "smallest", 1: "largest"}.get(int(side)),
                "knot": _knot(estimate, name, index),
            }
        )
    return found


def _knot(estimate: Estimate, name: str, index: int) -> int | None:
    """Which knot a number belongs to; `None`: it does not vary."""
    return index // estimate.knots[name][0].numel() if name in estimate.knots else None


def label_of(number: Mapping[str, Any]) -> str:
    """A number's name for people."""
    knot = "" if number["knot"] is None else f" knot {number['knot']}"
    return f"{number['name']}[{number['index']}]{knot}"


def cell_of(estimate: Estimate) -> list[float]:
    """Lengths (Å) and angles (degrees) of the refined cell."""
    cell = estimate.experiment.crystal.cell
    assert cell is not None
    return [*cell[:3].tolist(), *degrees_from_radians(cell[3:]).tolist()]


def json_of(
    refined: Refined,
    measured: Sequence[Measured],
    summaries: Sequence[Mapping[str, Summary | None]],
    said: Mapping[str, Any],
    amplitudes: list[dict[str, Any]],
) -> bytes:
    """`refined.json`: values, uncertainties, correlations, agreement, the command and versions."""
    inflation = max(refined.chi_square, 1.0) ** 0.5
    shots = []
    for estimate, summary, one in zip(refined.shots, summaries, measured, strict=True):
        shots.append(
            {
                "parameters": numbers_of(estimate, inflation),
                "cell": cell_of(estimate),
                "correlations": [[round(float(x), 6) for x in row] for row in estimate.correlations],
                "scan_varying": {c.name: _course(c) for c in courses_of(estimate, one, inflation)},
                "agreement": {name: None if s is None else _plain(vars(s)) for name, s in summary.items()},
            }
        )
    content = {
        "schema": SCHEMA,
        "program": f"nanobrag_torch {__version__}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        **said,
        "converged": refined.converged,
        "chi_square": refined.chi_square,
        "sigma_factor": inflation,
        "losses": list(refined.losses),
        "shots": shots,
        "amplitudes": amplitudes,
        "profiles": rows_of(refined.profiles, inflation),
    }
    return json.dumps(_plain(content), indent=1, allow_nan=False).encode() + b"\n"


def _course(course: Course) -> dict[str, Any]:
    rows = {"image": course.places, "value": course.values, "sigma": course.sigma}
    return {"unit": course.unit, **{name: values.tolist() for name, values in rows.items()}}


def _plain(value: Any) -> Any:
    """Without NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    if isinstance(value, Tensor):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not np.isfinite(value) else value


def mtz_of(
    indices: NDArray[np.int32],
    values: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    cell: Sequence[float],
    group: str,
) -> bytes:
    """An MTZ file of refined amplitudes [n] and standard deviations [n] of unique reflections [n, 3]."""
    import gemmi

    mtz = gemmi.Mtz(with_base=True)
    mtz.title = "refined amplitudes"
    mtz.spacegroup = gemmi.SpaceGroup(group)
    mtz.set_cell_for_all(gemmi.UnitCell(*cell))
    mtz.add_dataset("refined")
    mtz.add_column("F", "F")
    mtz.add_column("SIGF", "Q")
    mtz.set_data(np.column_stack([indices, values, sigmas]).astype(np.float32))
    return bytes(mtz.write_to_bytes())
