"""Experiment lists of DIALS (`.expt`, JSON): beam, detector with several panels, goniometer, scan and crystal.

Read in the frame of the file, whatever that is; written in that of imgCIF, where the beam runs along -z, which is
the frame of everything that dxtbx imports.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nanobrag_torch.config import PanelConfig
from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import Opening, PathLike, read_bytes, whole_file
from nanobrag_torch.io.scene import THINNEST, Floats, Scene, SceneBeam, ScenePanel, rotation
from nanobrag_torch.units import DEFAULT_FLUENCE, metres_from_mm, mm_from_metres, um_from_metres

_KIND = "ExperimentList"
NO_SENSOR = 1.001 * THINNEST
"""Thickness (m) up to which a sensor is none: what our own images say of a sensor without thickness."""
_PER_MM = 1000.0
"""1/m in 1/mm."""


@dataclass(frozen=True)
class _File:
    """The models of an experiment list, with errors that name the file and the place."""

    path: PathLike
    content: dict[str, Any]

    def wrong(self, where: str, problem: str) -> FileFormatError:
        return FileFormatError(self.path, where, problem)

    def model(self, kind: str, experiment: dict[str, Any]) -> dict[str, Any] | None:
        """The model of an experiment, or `None` if it has none."""
        index = experiment.get(kind)
        if index is None:
            return None
        models = self.content.get(kind)
        if not isinstance(models, list) or not isinstance(index, int) or not 0 <= index < len(models):
            raise self.wrong("experiment", f"it refers to {kind} {index}, which is not in the file")
        if not isinstance(models[index], dict):
            raise self.wrong(f"{kind} {index}", "expected an object")
        return dict(models[index])

    def numbers(self, where: str, model: dict[str, Any], key: str, count: int) -> Floats:
        """`count` finite numbers behind a key."""
        value = model.get(key)
        if value is None:
            raise self.wrong(where, f"{key} is missing")
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != (count,) or not np.isfinite(array).all():
            raise self.wrong(where, f"{key} is {value!r}, expected {count} finite numbers")
        return array

    def number(self, where: str, model: dict[str, Any], key: str, default: float | None = None) -> float:
        """A finite number behind a key."""
        if default is not None and model.get(key) is None:
            return default
        return float(self.numbers(where, {key: [model[key]]} if key in model else {}, key, 1)[0])


def read_expt(path: PathLike) -> Scene:
    """The scene of an experiment list with one experiment; a crystal and a goniometer may be missing.

    The cell vectors are those at spindle angle 0, with the fixed and setting rotations of the goniometer in them and
    in the spindle. Of a crystal that varies during the scan the static model is taken.

    Raises:
        FileFormatError: missing, not JSON, not an experiment list, several experiments, no beam or no detector, or
            a model that is incomplete.
    """
    try:
        content = json.loads(read_bytes(path).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise FileFormatError(path, "", "not a text file, expected JSON") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise FileFormatError(path, where, f"not JSON, or cut short: {error.msg}") from error
    if not isinstance(content, dict) or content.get("__id__") != _KIND:
        raise FileFormatError(path, "", f'not an experiment list of DIALS: expected "__id__": "{_KIND}"')
    file = _File(path, content)
    experiments = content.get("experiment")
    if not isinstance(experiments, list) or not experiments or not isinstance(experiments[0], dict):
        raise file.wrong("", "it holds no experiment")
    if len(experiments) > 1:
        crystals = len({x.get("crystal") for x in experiments if isinstance(x, dict)} - {None})
        text = f"it holds {len(experiments)} experiments with {crystals} crystals, expected one of each"
        raise file.wrong("", f"{text}; dials.split_experiments makes single ones")
    return _scene(file, experiments[0])


def _scene(file: _File, experiment: dict[str, Any]) -> Scene:
    models = {kind: file.model(kind, experiment) for kind in ("beam", "detector", "goniometer", "scan", "crystal")}
    if models["beam"] is None or models["detector"] is None:
        missing = " and no ".join(kind for kind in ("beam", "detector") if models[kind] is None)
        raise file.wrong("experiment", f"it has no {missing}")
    axis, setting, fixed = _goniometer(file, models["goniometer"] or {})
    phi, osc = _scan(file, models["scan"] or {})
    crystal = models["crystal"]
    cell = None
    if crystal is not None:
        vectors = [file.numbers("crystal", crystal, f"real_space_{x}", 3) for x in "abc"]
        if not np.linalg.det(vectors):
            raise file.wrong("crystal", "its cell vectors lie in a plane")
        cell = np.array(vectors) @ (setting @ fixed).T
    return Scene(
        panels=_panels(file, models["detector"]),
        beam=_beam(file, models["beam"]),
        spindle=setting @ axis,
        phi=phi,
        osc=osc,
        cell=cell,
    )


def _unit(file: _File, where: str, model: dict[str, Any], key: str) -> Floats:
    vector = file.numbers(where, model, key, 3)
    length = np.linalg.norm(vector)
    if length == 0:
        raise file.wrong(where, f"{key} is the zero vector")
    return np.asarray(vector / length)


def _beam(file: _File, model: dict[str, Any]) -> SceneBeam:
    """`direction` of a file points from the sample to the source."""
    direction = -_unit(file, "beam", model, "direction")
    wavelength = file.number("beam", model, "wavelength")
    if wavelength <= 0:
        raise file.wrong("beam", f"the wavelength {wavelength:g} is not positive")
    fraction = file.number("beam", model, "polarization_fraction", 0.5)
    normal = np.array([0.0, 1.0, 0.0])
    if model.get("polarization_normal") is not None:
        normal = _unit(file, "beam", model, "polarization_normal")
    axis = np.cross(normal, direction)
    if np.linalg.norm(axis) < 1e-6:
        raise file.wrong("beam", "polarization_normal lies along the beam")
    return SceneBeam(
        direction=direction,
        wavelength=wavelength,
        wavelengths=np.array([wavelength]),
        weights=np.ones(1),
        polarization_axis=axis / np.linalg.norm(axis),
        polarization_factor=2.0 * fraction - 1.0,
        fluence=DEFAULT_FLUENCE,
    )


def _goniometer(file: _File, model: dict[str, Any]) -> tuple[Floats, Floats, Floats]:
    """Scan axis [3], and the rotations outside and inside of it [3, 3] (setting, fixed)."""
    where = "goniometer"
    setting, fixed = np.eye(3), np.eye(3)
    if not model:
        return np.array([1.0, 0.0, 0.0]), setting, fixed
    if "axes" not in model:
        if "setting_rotation" in model:
            setting = file.numbers(where, model, "setting_rotation", 9).reshape(3, 3)
        if "fixed_rotation" in model:
            fixed = file.numbers(where, model, "fixed_rotation", 9).reshape(3, 3)
        return _unit(file, where, model, "rotation_axis"), setting, fixed
    axes, scan = model["axes"], model.get("scan_axis")
    if not isinstance(axes, list) or not isinstance(scan, int) or not 0 <= scan < len(axes):
        raise file.wrong(where, f"scan_axis is {scan!r}, expected the number of one of its axes")
    angles = file.numbers(where, model, "angles", len(axes))
    units = [_unit(file, where, {"axes": axis}, "axes") for axis in axes]
    for axis, angle in zip(units[:scan], angles[:scan], strict=True):
        fixed = rotation(axis, angle) @ fixed
    for axis, angle in zip(units[scan + 1 :], angles[scan + 1 :], strict=True):
        setting = rotation(axis, angle) @ setting
    return units[scan], setting, fixed


def _scan(file: _File, model: dict[str, Any]) -> tuple[float, float]:
    """Start and width of the first image, degrees; newer files keep all starts in `properties`."""
    properties = model.get("properties")
    if isinstance(properties, dict) and "oscillation" in properties:
        starts = np.asarray(properties["oscillation"], dtype=np.float64)
        if "oscillation_width" in properties:
            widths = np.asarray(properties["oscillation_width"], dtype=np.float64)
        else:
            widths = np.diff(starts)
        return float(starts[0]), float(widths[0]) if len(widths) else 0.0
    if "oscillation" not in model:
        return 0.0, 0.0
    start, width = file.numbers("scan", model, "oscillation", 2)
    return float(start), float(width)


class _LocalFrame(NamedTuple):
    """Columns fast, slow, normal, and origin (mm), in the lab."""

    axes: Floats
    origin: Floats


def _panels(file: _File, model: dict[str, Any]) -> tuple[ScenePanel, ...]:
    """The panels in the lab: every frame is given in that of its parent, panels are leaves of the hierarchy."""
    panels = model.get("panels")
    if not isinstance(panels, list) or not panels:
        raise file.wrong("detector", "it has no panels")
    whole = _LocalFrame(np.eye(3), np.zeros(3))
    parents = dict.fromkeys(range(len(panels)), whole)
    if isinstance(model.get("hierarchy"), dict):
        _walk(file, model["hierarchy"], whole, parents)
    return tuple(_panel(file, f"panel {i}", panel, parents[i]) for i, panel in enumerate(panels))


def _walk(file: _File, node: dict[str, Any], parent: _LocalFrame, parents: dict[int, _LocalFrame]) -> None:
    """Note the parent frame of every panel below a node."""
    frame = _in_lab(file, "hierarchy", node, parent)
    for child in node.get("children", []):
        if "panel" not in child:
            _walk(file, child, frame, parents)
        elif child["panel"] in parents:
            parents[child["panel"]] = frame
        else:
            raise file.wrong("hierarchy", f"it refers to panel {child['panel']}, which is not in the file")


def _in_lab(file: _File, where: str, node: dict[str, Any], parent: _LocalFrame) -> _LocalFrame:
    fast, slow = _unit(file, where, node, "fast_axis"), _unit(file, where, node, "slow_axis")
    origin = file.numbers(where, node, "origin", 3)
    axes = np.array([fast, slow, np.cross(fast, slow)]).T
    return _LocalFrame(parent.axes @ axes, parent.origin + parent.axes @ origin)


def _panel(file: _File, where: str, model: dict[str, Any], parent: _LocalFrame) -> ScenePanel:
    frame = _in_lab(file, where, model, parent)
    size = file.numbers(where, model, "image_size", 2)
    pixel = file.numbers(where, model, "pixel_size", 2)
    if pixel[0] != pixel[1] or pixel[0] <= 0:
        raise file.wrong(where, f"its pixels are {pixel[0]:g} x {pixel[1]:g} mm, only square ones can be rendered")
    thickness, mu = (file.number(where, model, key, 0.0) for key in ("thickness", "mu"))
    sensor = metres_from_mm(thickness) > NO_SENSOR and mu > 0
    return ScenePanel(
        pixels_f=int(size[0]),
        pixels_s=int(size[1]),
        pixel_size=metres_from_mm(float(pixel[0])),
        origin=metres_from_mm(frame.origin),
        fast=frame.axes[:, 0],
        slow=frame.axes[:, 1],
        thickness=metres_from_mm(thickness) if sensor else 0.0,
        attenuation=mu * _PER_MM if sensor else 0.0,
        name=str(model.get("name", "")),
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
