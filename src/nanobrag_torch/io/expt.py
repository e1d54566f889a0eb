"""The scene of an experiment list of DIALS (`.expt`, JSON): beam, detector, goniometer, scan and crystal.

Read in the frame of the file, whatever that is; written in that of imgCIF, where the beam runs along -z, which is
the frame of everything that dxtbx imports.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanobrag_torch.config import PanelConfig
from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.expt_models import BeamModel, GoniometerModel, Measured, ScanModel
from nanobrag_torch.io.files import Opening, PathLike, whole_file
from nanobrag_torch.io.scene import Floats, Scene, SceneBeam, ScenePanel
from nanobrag_torch.units import DEFAULT_FLUENCE, mm_from_metres, um_from_metres

_KIND = "ExperimentList"
_PER_MM = 1000.0
"""1/m in 1/mm."""


def read_expt(path: PathLike) -> Scene:
    """The scene of an experiment list with one experiment; a crystal and a goniometer may be missing.

    The cell vectors are those at spindle angle 0, with the fixed and setting rotations of the goniometer in them and
    in the spindle. Of a crystal that varies during the scan the static model is taken.

    Raises:
        FileFormatError: missing, not JSON, not an experiment list, several experiments, pixels that are not square, a
            polarization normal along the beam, or a value that cannot be; it names the place.
    """
    experiments = read_expt_list(path)
    if len(experiments) > 1:
        crystals = len({id(x.crystal) for x in experiments if x.crystal is not None})
        text = f"it holds {len(experiments)} experiments with {crystals} crystals, expected one of each"
        raise FileFormatError(path, "", f"{text}; dials.split_experiments makes single ones")
    for number, panel in enumerate(experiments[0].detector.panels):
        if panel.pixel_mm[0] != panel.pixel_mm[1]:
            text = f"its pixels are {panel.pixel_mm[0]:g} x {panel.pixel_mm[1]:g} mm, only square ones can be rendered"
            raise FileFormatError(path, f"panel {number}", text)
    return scene_of(experiments[0])


def scene_of(measured: Measured) -> Scene:
    """The scene of an experiment, with its static crystal at spindle angle 0."""
    goniometer, scan = measured.goniometer or GoniometerModel(), measured.scan or ScanModel()
    turn = (goniometer.setting @ goniometer.fixed).T
    return Scene(
        panels=tuple(panel.plane for panel in measured.detector.panels),
        beam=_scene_beam(measured.beam),
        spindle=goniometer.spindle,
        phi=scan.start,
        osc=scan.width,
        cell=None if measured.crystal is None else measured.crystal.cell @ turn,
    )


def _scene_beam(beam: BeamModel) -> SceneBeam:
    axis = np.cross(beam.polarization_normal, beam.direction)
    return SceneBeam(
        direction=beam.direction,
        wavelength=beam.wavelength,
        wavelengths=np.array([beam.wavelength]),
        weights=np.ones(1),
        polarization_axis=axis / np.linalg.norm(axis),
        polarization_factor=2.0 * beam.polarization_fraction - 1.0,
        fluence=DEFAULT_FLUENCE,
    )


def config_fields(scene: Scene) -> dict[str, Any]:
    """Configuration fields (`detector.panels`, `beam.wavelength_A`, ...) that say a scene.

    The crystal is `crystal.orientation_matrix`, which is relative to `beam.wavelength_A`.
    """
    beam = scene.beam
    fields: dict[str, Any] = {
        "detector.convention": "CUSTOM",
        "detector.panels": tuple(_panel_config(panel) for panel in scene.panels),
        "beam.beam_vector": _vector(beam.direction),
        "beam.wavelength_A": beam.wavelength,
        "beam.polar_vector": _vector(beam.polarization_axis),
        "beam.polarization_factor": beam.polarization_factor,
        "sampling.spindle_axis": _vector(scene.spindle),
        "sampling.phi_deg": scene.phi,
    }
    if scene.osc > 0:
        fields["sampling.osc_deg"] = scene.osc
    if scene.cell is not None:
        fields["crystal.orientation_matrix"] = orientation_matrix(scene.cell, beam.wavelength)
    return fields


def orientation_matrix(cell: Floats, wavelength: float) -> tuple[tuple[float, ...], ...]:
    """What a MOSFLM matrix file holds, of cell vectors [3, 3] as rows (Å): columns a*, b*, c* times wavelength."""
    return tuple(tuple(float(x) for x in row) for row in np.linalg.inv(cell) * wavelength)


def _panel_config(panel: ScenePanel) -> PanelConfig:
    return PanelConfig(
        origin_mm=_vector(mm_from_metres(panel.origin)),
        fast_vector=_vector(panel.fast),
        slow_vector=_vector(panel.slow),
        pixels_f=panel.pixels_f,
        pixels_s=panel.pixels_s,
        pixel_mm=mm_from_metres(panel.pixel_size),
        thickness_um=um_from_metres(panel.thickness),
        attenuation_depth_um=um_from_metres(1.0 / panel.attenuation) if panel.attenuation > 0 else None,
        name=panel.name,
    )


def _vector(values: Floats) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z


def write_expt(
    path: PathLike,
    scene: Scene,
    *,
    frames: int = 1,
    images: str | Sequence[str] = (),
    opening: Opening = whole_file,
    field: str = "",
) -> None:
    """Write the experiment list of what was simulated, for DIALS.

    Args:
        path: the file.
        scene: the scene.
        frames: number of images of the scan.
        images: template of the image files (`image_####.cbf`), or their names; nothing = models only.
        opening: what opens the file.
        field: the flag, for errors.
    """
    turn, still = scene.to_imgcif, _list(np.eye(3).ravel())
    lists: dict[str, list[Any]] = {
        "imageset": [],
        "beam": [_beam_model(scene)],
        "detector": [{"panels": [_panel_model(scene, panel) for panel in scene.panels]}],
        "goniometer": [
            {"rotation_axis": _list(turn @ scene.spindle), "fixed_rotation": still, "setting_rotation": still}
        ],
        "scan": [
            {
                "image_range": [1, frames],
                "batch_offset": 0,
                "oscillation": [scene.phi, scene.osc],
                "exposure_time": [scene.beam.exposure] * frames,
                "epochs": [0.0] * frames,
                "valid_image_ranges": {},
            }
        ],
        "crystal": [],
        "profile": [],
        "scaling_model": [],
    }
    used = ["beam", "detector", "goniometer", "scan"]
    if scene.cell is not None:
        vectors = {f"real_space_{x}": _list(turn @ row) for x, row in zip("abc", scene.cell, strict=True)}
        lists["crystal"].append({"__id__": "crystal", **vectors, "space_group_hall_symbol": " P 1"})
        used.append("crystal")
    if images:
        kind = {"template": images} if isinstance(images, str) else {"images": list(images)}
        lists["imageset"].append({"__id__": "ImageSequence" if isinstance(images, str) else "ImageSet", **kind})
        used.append("imageset")
    experiment = {"__id__": "Experiment", "identifier": "", **dict.fromkeys(used, 0)}
    text = json.dumps({"__id__": _KIND, "experiment": [experiment], **lists}, indent=2)
    with opening(path, field) as file:
        file.write(text.encode("utf-8") + b"\n")


def _beam_model(scene: Scene) -> dict[str, Any]:
    beam, turn = scene.beam, scene.to_imgcif
    return {
        "__id__": "monochromatic",
        "direction": _list(-(turn @ beam.direction)),
        "wavelength": beam.wavelength,
        "divergence": 0.0,
        "sigma_divergence": 0.0,
        "polarization_normal": _list(turn @ np.cross(beam.direction, beam.polarization_axis)),
        "polarization_fraction": (1.0 + beam.polarization_factor) / 2.0,
        "flux": beam.total_flux,
        "transmission": 1.0,
    }


def _panel_model(scene: Scene, panel: ScenePanel) -> dict[str, Any]:
    turn, thick = scene.to_imgcif, panel.thickness > 0 and panel.attenuation > 0
    return {
        "name": panel.name or "Panel",
        "type": "SENSOR_PAD",
        "fast_axis": _list(turn @ panel.fast),
        "slow_axis": _list(turn @ panel.slow),
        "origin": _list(mm_from_metres(turn @ panel.origin)),
        "raw_image_offset": [0, 0],
        "image_size": [panel.pixels_f, panel.pixels_s],
        "pixel_size": [mm_from_metres(panel.pixel_size)] * 2,
        "trusted_range": [-1.0, 2147483647.0],
        "thickness": mm_from_metres(panel.thickness),
        "material": "Si",
        "mu": panel.attenuation / _PER_MM,
        "identifier": "",
        "mask": [],
        "gain": 1.0,
        "pedestal": 0.0,
        "px_mm_strategy": {"type": "ParallaxCorrectedPxMmStrategy" if thick else "SimplePxMmStrategy"},
    }


def _list(values: Floats) -> list[float]:
    return [float(x) + 0.0 for x in values]
