"""Experiment lists of DIALS (`.expt`) with everything in them: several sweeps, stills and crystals.

`io.expt` takes the one scene out of a list that has one; here the whole list is read, and `io.expt_write` writes it.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nanobrag_torch.errors import FileFormatError, InputError, NanobragWarning
from nanobrag_torch.io.expt_models import (
    BeamModel,
    CrystalModel,
    DetectorModel,
    GoniometerModel,
    ImagesModel,
    Measured,
    PanelModel,
    Raw,
    ScanModel,
)
from nanobrag_torch.io.expt_schema import load_expt
from nanobrag_torch.io.files import PathLike
from nanobrag_torch.io.scene import THINNEST, Floats, ScenePanel, rotation
from nanobrag_torch.units import metres_from_mm

NO_SENSOR = 1.001 * THINNEST
"""Thickness (m) up to which a sensor is none: what our own images say of a sensor without thickness."""
PER_MM = 1000.0
"""1/m in 1/mm."""
_UNEVEN = 1e-4
"""Part of an image's width by which the widths of a scan may differ."""


def read_expt_list(path: PathLike) -> tuple[Measured, ...]:
    """Every experiment of a list, in the order of the file.

    Raises:
        FileFormatError: missing, not an experiment list, or a value that cannot be; it names the place.
    """
    content = load_expt(path)
    made: dict[tuple[str, int], Any] = {}

    def model(kind: str, experiment: Raw, make: Callable[[PathLike, str, Raw], Any]) -> Any:
        index = experiment.get(kind)
        if index is None:
            return None
        key = kind, int(index)
        if key not in made:
            made[key] = make(path, f"{kind} {key[1]}", content[kind][key[1]])
        return made[key]

    return tuple(
        Measured(
            beam=model("beam", experiment, _beam),
            detector=model("detector", experiment, _detector),
            goniometer=model("goniometer", experiment, goniometer_of),
            scan=model("scan", experiment, _scan),
            crystal=model("crystal", experiment, _crystal),
            images=_images(experiment, content),
            identifier=experiment.get("identifier") or "",
            raw=experiment,
        )
        for experiment in content["experiment"]
    )


def _unit(vector: Any) -> Floats:
    array = np.asarray(vector, dtype=np.float64)
    return np.asarray(array / math.hypot(*array))


def _value(raw: Raw, key: str, default: Any) -> Any:
    value = raw.get(key)
    return default if value is None else value


def _varies(path: PathLike, where: str, raw: Raw, key: str) -> None:
    if raw.get(key):
        warnings.warn(NanobragWarning(f"{path}: {where}: {key} is not used, the static model is"), stacklevel=2)


def _beam(path: PathLike, where: str, raw: Raw) -> BeamModel:
    """`direction` of a file points from the sample to the source."""
    _varies(path, where, raw, "s0_at_scan_points")
    low, high = _value(raw, "wavelength_range", (0.0, 0.0))
    wavelength = float(_value(raw, "wavelength", 0.5 * (low + high)))
    return BeamModel(
        direction=-_unit(raw["direction"]),
        wavelength=wavelength,
        divergence=float(_value(raw, "divergence", 0.0)),
        sigma_divergence=float(_value(raw, "sigma_divergence", 0.0)),
        polarization_normal=_unit(_value(raw, "polarization_normal", (0.0, 1.0, 0.0))),
        polarization_fraction=float(_value(raw, "polarization_fraction", 0.5)),
        bandwidth=(high - low) / wavelength,
        raw=raw,
    )


def goniometer_of(path: PathLike, where: str, raw: Raw) -> GoniometerModel:
    """The goniometer of a file, of one axis or several."""
    _varies(path, where, raw, "setting_rotation_at_scan_points")
    if raw.get("axes") is None:
        setting, fixed = (
            np.array(_value(raw, f"{x}_rotation", np.eye(3)), dtype=np.float64).reshape(3, 3)
            for x in ("setting", "fixed")
        )
        return GoniometerModel(_unit(raw["rotation_axis"]), fixed, setting, raw)
    axes, angles, scan = [_unit(x) for x in raw["axes"]], raw["angles"], int(raw["scan_axis"])
    fixed, setting = np.eye(3), np.eye(3)
    for axis, angle in zip(axes[:scan], angles[:scan], strict=True):
        fixed = rotation(axis, angle) @ fixed
    for axis, angle in zip(axes[scan + 1 :], angles[scan + 1 :], strict=True):
        setting = rotation(axis, angle) @ setting
    return GoniometerModel(axes[scan], fixed, setting, raw)


def _scan(path: PathLike, where: str, raw: Raw) -> ScanModel:
    """Newer files keep the start of every image in `properties`."""
    first, last = (int(x) for x in _value(raw, "image_range", (1, 1)))
    properties = _value(raw, "properties", {})
    starts, widths = properties.get("oscillation"), properties.get("oscillation_width")
    if starts is None:
        start, width = _value(raw, "oscillation", (0.0, 0.0))
        return ScanModel(first, last - first + 1, float(start), float(width), raw)
    steps = np.diff(starts) if widths is None or len(starts) > 1 else np.asarray(widths, dtype=np.float64)
    width = float(steps.mean()) if len(steps) else 0.0
    if len(steps) and np.abs(steps - width).max() > _UNEVEN * abs(width) + 1e-9:
        raise FileFormatError(path, where, "oscillation has images of different widths, expected equal ones")
    return ScanModel(first, last - first + 1, float(starts[0]), width, raw)


def _crystal(path: PathLike, where: str, raw: Raw) -> CrystalModel:
    points = raw.get("A_at_scan_points")
    reciprocal = np.array(points, dtype=np.float64).reshape(-1, 3, 3) if points else None
    return CrystalModel(
        cell=np.array([raw[f"real_space_{x}"] for x in "abc"], dtype=np.float64),
        hall=_value(raw, "space_group_hall_symbol", " P 1"),
        points=None if reciprocal is None else np.asarray(np.linalg.inv(reciprocal), dtype=np.float64),
        mosaicity=float(_value(raw, "ML_half_mosaicity_deg", _value(raw, "mosaicity", 0.0))),
        domain_size=float(_value(raw, "ML_domain_size_ang", 0.0)),
        raw=raw,
    )


def _images(experiment: Raw, content: Raw) -> ImagesModel | None:
    index = experiment.get("imageset")
    if index is None:
        return None
    raw = content["imageset"][index]
    if raw.get("images") is not None:
        found = raw.get("single_file_indices")
        return ImagesModel(tuple(raw["images"]), None if found is None else tuple(int(i) for i in found), raw)
    template = raw.get("template")
    if template is None:
        return None
    hashes = re.findall("#+", template)
    scan_index = experiment.get("scan")
    if not hashes or scan_index is None:
        return ImagesModel((template,), None, raw)
    first, last = (int(x) for x in _value(content["scan"][scan_index], "image_range", (1, 1)))
    names = (template.replace(hashes[-1], f"{n:0{len(hashes[-1])}d}") for n in range(first, last + 1))
    return ImagesModel(tuple(names), None, raw)


class LocalFrame(NamedTuple):
    """Columns fast, slow, normal, and origin (mm), in the lab."""

    axes: Floats
    origin: Floats


_LAB = LocalFrame(np.eye(3), np.zeros(3))


def parents_of(raw: Raw, count: int) -> dict[int, LocalFrame]:
    """The frame in which each panel is given: that of the group which holds it."""
    parents = dict.fromkeys(range(count), _LAB)

    def walk(node: Raw, parent: LocalFrame) -> None:
        frame = _in_lab(node, parent)
        for child in node.get("children") or ():
            if child.get("panel") is None:
                walk(child, frame)
            else:
                parents[int(child["panel"])] = frame

    if raw.get("hierarchy"):
        walk(raw["hierarchy"], _LAB)
    return parents


def _in_lab(node: Raw, parent: LocalFrame) -> LocalFrame:
    fast, slow = _unit(node["fast_axis"]), _unit(node["slow_axis"])
    origin = np.asarray(node["origin"], dtype=np.float64)
    axes = np.array([fast, slow, np.cross(fast, slow)]).T
    return LocalFrame(parent.axes @ axes, parent.origin + parent.axes @ origin)


def _detector(path: PathLike, where: str, raw: Raw) -> DetectorModel:
    parents = parents_of(raw, len(raw["panels"]))
    return DetectorModel(tuple(_panel(panel, parents[i]) for i, panel in enumerate(raw["panels"])), raw)


def _panel(raw: Raw, parent: LocalFrame) -> PanelModel:
    frame = _in_lab(raw, parent)
    thickness, mu = float(_value(raw, "thickness", 0.0)), float(_value(raw, "mu", 0.0))
    sensor = metres_from_mm(thickness) > NO_SENSOR and mu > 0
    fast_mm, slow_mm = (float(x) for x in raw["pixel_size"])
    low, high = _value(raw, "trusted_range", (-1.0, np.inf))
    strategy = _value(raw, "px_mm_strategy", {}).get("type")
    return PanelModel(
        plane=ScenePanel(
            pixels_f=int(raw["image_size"][0]),
            pixels_s=int(raw["image_size"][1]),
            pixel_size=metres_from_mm(fast_mm),
            origin=metres_from_mm(frame.origin),
            fast=frame.axes[:, 0],
            slow=frame.axes[:, 1],
            thickness=metres_from_mm(thickness) if sensor else 0.0,
            attenuation=mu * PER_MM if sensor else 0.0,
            name=str(_value(raw, "name", "")),
        ),
        pixel_mm=(fast_mm, slow_mm),
        parallax=strategy == "ParallaxCorrectedPxMmStrategy",
        trusted=(float(low), float(high)),
        gain=float(_value(raw, "gain", 1.0)),
        pedestal=float(_value(raw, "pedestal", 0.0)),
        masked=tuple((int(a), int(b), int(c), int(d)) for a, b, c, d in _value(raw, "mask", ())),
        raw=raw,
    )


def by_identifier(experiments: Sequence[Measured], identifiers: Mapping[int, str], field: str) -> dict[int, int]:
    """Which experiment each number in the column `id` of a reflection table stands for.

    Raises:
        InputError: names `field`; an identifier that no experiment has.
    """
    known = {experiment.identifier: i for i, experiment in enumerate(experiments) if experiment.identifier}
    places = {}
    for number, name in identifiers.items():
        if name and name not in known and any(x.identifier for x in experiments):
            raise InputError(
                field,
                f"its reflections belong to experiment {name!r}, which is not there",
                "give the .expt of the same run",
            )
        places[number] = known.get(name, number)
    return places
