"""An image's scene and reflections as DIALS has them: an experiment list and a reflection table."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.dataset.images import Maker, Sample
from nanobrag_torch.io.expt_models import (
    BeamModel,
    CrystalModel,
    DetectorModel,
    GoniometerModel,
    Measured,
    PanelModel,
    ScanModel,
)
from nanobrag_torch.io.expt_write import write_expt_list
from nanobrag_torch.io.files import PathLike
from nanobrag_torch.io.refl import write_refl
from nanobrag_torch.io.reflection_table import Flag, ReflectionTable
from nanobrag_torch.io.scene import Scene
from nanobrag_torch.pipeline.describe import describe
from nanobrag_torch.units import mm_from_metres, radians_from_degrees


def dials_files(maker: Maker) -> Callable[[Sample], dict[str, bytes]]:
    """What makes `.expt` and `.refl` of the images of a maker."""

    def files(sample: Sample) -> dict[str, bytes]:
        scene = describe(maker.experiment(sample.number))
        experiment = measured(scene, sample)
        with _kept() as (opening, expt):
            write_expt_list("image.expt", [experiment], opening=opening)
        with _kept() as (opening, refl):
            write_refl("image.refl", reflection_table(scene, sample), opening=opening)
        return {"expt": expt.getvalue(), "refl": refl.getvalue()}

    return files


def measured(scene: Scene, sample: Sample) -> Measured:
    """The experiment of an image, in the frame of dxtbx; a still stands as it was drawn, without a goniometer."""
    turn = scene.to_imgcif
    beam = scene.beam
    direction = turn @ beam.direction
    electric = turn @ beam.polarization_axis
    panels = tuple(
        PanelModel(
            _turned(panel, turn),
            (mm_from_metres(panel.pixel_size),) * 2,
            trusted=(-1.0, 65535.0),
        )
        for panel in scene.panels
    )
    still = scene.osc == 0
    assert scene.cell is not None
    cell = np.array(sample.parameters["cell_vectors"]).reshape(3, 3) if still else scene.cell
    return Measured(
        BeamModel(
            direction,
            beam.wavelength,
            polarization_normal=np.cross(direction, electric),
            polarization_fraction=0.5 * (1.0 + beam.polarization_factor),
        ),
        DetectorModel(panels),
        None if still else GoniometerModel(turn @ scene.spindle),
        None if still else ScanModel(1, 1, scene.phi, scene.osc),
        CrystalModel(cell @ turn.T),
        identifier=f"image-{sample.number}",
    )


def reflection_table(scene: Scene, sample: Sample) -> ReflectionTable:
    """The reflections of an image's first crystal: predicted places, and the centroids and photons as observed."""
    own = {name: column[sample.reflections["lattice"] == 0] for name, column in sample.reflections.items()}
    count = len(own["h"])
    pixel = np.array([mm_from_metres(panel.pixel_size) for panel in scene.panels])[own["panel"]]
    phi = own["phi"]
    frame = np.full(count, 0.5)
    if scene.osc > 0:
        frame = (phi - radians_from_degrees(scene.phi)) / radians_from_degrees(scene.osc)
    flags = np.full(count, int(Flag.PREDICTED | Flag.OBSERVED | Flag.INDEXED | Flag.STRONG), dtype=np.uint64)
    flags[own["saturated"] > 0] |= np.uint64(Flag.OVERLOADED)
    flags[own["overlap"] > 0] |= np.uint64(Flag.OVERLAPPED_FG)
    columns: dict[str, Any] = {
        "miller_index": np.stack([own["h"], own["k"], own["l"]], axis=1).astype(np.int32),
        "id": np.zeros(count, dtype=np.int32),
        "panel": own["panel"].astype(np.uint64),
        "flags": flags,
        "d": own["d"],
        "partiality": own["partiality"],
        "delpsical.rad": own["delpsi"],
        "xyzcal.px": _rows(own["fast_cal"], own["slow_cal"], frame),
        "xyzcal.mm": _rows(own["fast_cal"] * pixel, own["slow_cal"] * pixel, phi),
        "xyzobs.px.value": _rows(own["fast"], own["slow"], np.full(count, 0.5)),
        "intensity.sum.value": own["drawn"] - own["background"],
        "intensity.sum.variance": np.maximum(own["drawn"], 1.0),
        "background.sum.value": own["background"],
    }
    return ReflectionTable(columns, {0: f"image-{sample.number}"})


def _turned(panel: Any, turn: NDArray[np.float64]) -> Any:
    moved = {name: turn @ getattr(panel, name) for name in ("origin", "fast", "slow")}
    return dataclasses.replace(panel, **moved)


def _rows(*columns: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack(columns, axis=1)


@contextmanager
def _kept() -> Iterator[tuple[Callable[[PathLike, str], Any], io.BytesIO]]:
    """A place for a file in memory, and what opens it."""
    buffer = io.BytesIO()

    @contextmanager
    def opening(path: PathLike, field: str) -> Iterator[IO[bytes]]:
        yield buffer

    yield opening, buffer
