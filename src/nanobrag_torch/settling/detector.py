"""The detector: size, convention, beam centre, pivot, sensor (specs: geometry 1 to 7, sources 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nanobrag_torch.config import BeamConfig, DetectorConfig, PanelConfig, SamplingConfig
from nanobrag_torch.geometry.conventions import CONVENTIONS, Convention
from nanobrag_torch.geometry.vectors import cross, dot, real, vector
from nanobrag_torch.models import Detector, Panel
from nanobrag_torch.models.experiment import Note
from nanobrag_torch.numerics import norm, normalise
from nanobrag_torch.settling.steps import Steps, layer_steps
from nanobrag_torch.settling.values import number, tensor
from nanobrag_torch.units import metres_from_mm, metres_from_um, radians_from_degrees

DEFAULT_CONVENTION = "MOSFLM"
DEFAULT_DISTANCE_MM = 100.0
DEFAULT_PIXEL_MM = 0.1
DEFAULT_DETSIZE_MM = 102.4
UNSET_ATTENUATION = -1.0


@dataclass(frozen=True)
class SettledDetector:
    """The detector and what was noticed on the way."""

    detector: Detector
    notes: tuple[Note, ...]
    facts: dict[str, Any]


def settled_convention(detector: DetectorConfig, beam: BeamConfig, sampling: SamplingConfig) -> Convention:
    """The vectors in force: a named convention's own, or those given instead of the CUSTOM ones (specs: geometry 3)."""
    name = detector.convention or DEFAULT_CONVENTION
    table = CONVENTIONS[name]
    if name != "CUSTOM":
        return table
    said = {
        "beam": beam.beam_vector,
        "fast": detector.fdet_vector,
        "slow": detector.sdet_vector,
        "normal": detector.odet_vector,
        "twotheta_axis": detector.twotheta_axis,
        "polarization_axis": beam.polar_vector,
        "spindle_axis": sampling.spindle_axis,
    }
    return replace(
        table,
        pivot=detector.pivot or "BEAM",
        **{k: v for k, v in said.items() if v is not None},  # type: ignore[arg-type]
    )


def settle_detector(said: DetectorConfig, convention: Convention, direction: Tensor, exact: bool) -> SettledDetector:
    """Settle the detector for a beam direction [3]."""
    if said.panels is not None:
        panels = tuple(_placed_panel(panel, direction, exact) for panel in said.panels)
        axes = panels[0].fast, panels[0].slow
        f_c, s_c = (-number(dot(metres_from_mm(vector(said.panels[0].origin_mm)), axis), 0.0) for axis in axes)
        near = {"Xclose": f_c, "Yclose": s_c}
        return SettledDetector(Detector(panels, said.curved, said.point_pixel), (), near)
    notes: list[Note] = []
    facts: dict[str, Any] = {}
    pixel_size = tensor(said.pixel_mm, DEFAULT_PIXEL_MM, metres_from_mm)
    length_f, n_f = _size(said.pixels_f, said.detsize_f_mm, pixel_size)
    length_s, n_s = _size(said.pixels_s, said.detsize_s_mm, pixel_size)
    beam_centre, near_point = _centres(said, pixel_size, length_f, length_s, facts)
    along_normal = said.close_distance_mm is not None
    if along_normal and said.distance_mm is not None:
        notes.append(Note("distance", "the close distance wins over -distance", True, "D35"))
    layers, layer_step, attenuation = _sensor(said, exact, notes)
    panel = Panel(
        pixels_f=n_f,
        pixels_s=n_s,
        pixel_size=pixel_size,
        lengths=torch.stack([length_f, length_s]),
        fast=normalise(vector(convention.fast)),
        slow=normalise(vector(convention.slow)),
        normal=_normal(convention, notes),
        rotations=radians_from_degrees(
            torch.stack([tensor(x, 0.0) for x in (said.rotx_deg, said.roty_deg, said.rotz_deg)])
        ),
        twotheta_axis=vector(convention.twotheta_axis),
        twotheta=tensor(said.twotheta_deg, 0.0, radians_from_degrees),
        pivot="sample" if convention.pivot == "SAMPLE" else "beam",
        beam_centre=beam_centre,
        near_point=near_point,
        distance=tensor(
            said.close_distance_mm if along_normal else said.distance_mm, DEFAULT_DISTANCE_MM, metres_from_mm
        ),
        distance_along_normal=along_normal,
        origin=None if said.pix0_override_mm is None else metres_from_mm(vector(said.pix0_override_mm)),
        layers=layers,
        layer_step=layer_step,
        attenuation=attenuation,
    )
    return SettledDetector(Detector((panel,), said.curved, said.point_pixel), tuple(notes), facts)


def _size(pixels: int | None, length_mm: float | None, pixel_size: Tensor) -> tuple[Tensor, int]:
    """Detector length (m) and pixel count along one axis (specs: geometry 1)."""
    if pixels:
        length = pixel_size * pixels
    else:
        length = tensor(length_mm, DEFAULT_DETSIZE_MM, metres_from_mm)
    return length, math.ceil(number(length, 0.0) / number(pixel_size, 0.0) - 0.5)


def _centres(
    said: DetectorConfig, pixel: Tensor, length_f: Tensor, length_s: Tensor, facts: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """Beam centre F_b, S_b and near point F_c, S_c, [2] each (specs: geometry 2, 4)."""
    f_c = length_f / 2.0 if said.ORGX is None else (real(said.ORGX) - 0.5) * pixel
    s_c = length_s / 2.0 if said.ORGY is None else (real(said.ORGY) - 0.5) * pixel
    x_c = f_c if said.Xclose_mm is None else metres_from_mm(real(said.Xclose_mm))
    y_c = s_c if said.Yclose_mm is None else metres_from_mm(real(said.Yclose_mm))
    name = said.convention or DEFAULT_CONVENTION
    default_x, default_y = {
        "ADXV": ((length_f + pixel) / 2.0, (length_s - pixel) / 2.0),
        "MOSFLM": ((length_s + pixel) / 2.0, (length_f + pixel) / 2.0),
        "DENZO": ((length_s + pixel) / 2.0, (length_f + pixel) / 2.0),
    }.get(name, (x_c, y_c))
    x_b = default_x if said.Xbeam_mm is None else metres_from_mm(real(said.Xbeam_mm))
    y_b = default_y if said.Ybeam_mm is None else metres_from_mm(real(said.Ybeam_mm))
    f_b, s_b = {
        "ADXV": (x_b, length_s - y_b),
        "MOSFLM": (y_b + pixel / 2.0, x_b + pixel / 2.0),
        "DENZO": (y_b, x_b),
    }.get(name, (x_b, y_b))
    if name == "CUSTOM":
        f_c, s_c = x_b, y_b
    facts |= {
        "Xbeam": number(x_b, 0.0),
        "Ybeam": number(y_b, 0.0),
        "Xclose": number(x_c, 0.0),
        "Yclose": number(y_c, 0.0),
    }
    return torch.stack([f_b, s_b]), torch.stack([f_c, s_c])


def _normal(convention: Convention, notes: list[Note]) -> Tensor:
    """The normal as given, or f x s when its length is not exactly 1 (specs: geometry 6)."""
    given = vector(convention.normal)
    if number(norm(given), 0.0) == 1.0:
        return given
    notes.append(Note("normal", "WARNING: auto-generating odet_vector", False, "D51"))
    return normalise(cross(normalise(vector(convention.fast)), normalise(vector(convention.slow))))


def sensor_steps(said: DetectorConfig, exact: bool) -> Steps:
    """Layers of the sensor (m); one of thickness 0 where absorption is not modelled (specs: cli 5, -detector_abs)."""
    thickness = metres_from_um(number(said.thickness_um, 0.0))
    return layer_steps(said.thick_steps, 0.0 if _absorbs_nothing(said) else thickness, exact)


def _absorbs_nothing(said: DetectorConfig) -> bool:
    depth_um = number(said.attenuation_depth_um, -1.0)
    return depth_um == 0.0 or math.isinf(depth_um)


def _sensor(said: DetectorConfig, exact: bool, notes: list[Note]) -> tuple[int, Tensor, Tensor]:
    """Layers, thickness of one (m) and absorption coefficient (1/m) (specs: sources 3; cli 5, -detector_abs)."""
    thickness = metres_from_um(number(said.thickness_um, 0.0))
    steps = sensor_steps(said, exact)
    if _absorbs_nothing(said):
        return steps.count, real(steps.step), real(0.0)
    if number(said.attenuation_depth_um, -1.0) > 0.0:
        attenuation = 1.0 / tensor(said.attenuation_depth_um, 0.0, metres_from_um)
    elif steps.range > 0.0:
        attenuation = 1.0 / tensor(said.thickness_um, 0.0, metres_from_um) if thickness > 0 else real(1.0 / steps.range)
        text = f"WARNING: setting detector attenuation depth to {number(attenuation, 0.0):g} m"
        notes.append(Note("layers", text))
    else:
        attenuation = real(UNSET_ATTENUATION)
    if steps.range > 0.0 and thickness > 0.0:
        layer_step = tensor(said.thickness_um, 0.0, metres_from_um) / round(steps.range / steps.step)
    else:
        layer_step = real(steps.step)
    return steps.count, layer_step, attenuation


def _placed_panel(said: PanelConfig, direction: Tensor, exact: bool) -> Panel:
    """A panel placed by its own vectors; its normal points away from the sample."""
    fast, slow = normalise(vector(said.fast_vector)), normalise(vector(said.slow_vector))
    origin, pixel_size = metres_from_mm(vector(said.origin_mm)), metres_from_mm(real(said.pixel_mm))
    normal = normalise(cross(fast, slow))
    normal = normal * torch.where(dot(origin, normal).detach() < 0, -1.0, 1.0)
    sensor = DetectorConfig(thickness_um=said.thickness_um, attenuation_depth_um=said.attenuation_depth_um)
    layers, layer_step, attenuation = _sensor(sensor, exact, [])
    zero = torch.zeros(2, dtype=torch.float64)
    return Panel(
        pixels_f=said.pixels_f,
        pixels_s=said.pixels_s,
        pixel_size=pixel_size,
        lengths=torch.stack([pixel_size * said.pixels_f, pixel_size * said.pixels_s]),
        fast=fast,
        slow=slow,
        normal=normal,
        rotations=torch.zeros(3, dtype=torch.float64),
        twotheta_axis=vector(CONVENTIONS["CUSTOM"].twotheta_axis),
        twotheta=real(0.0),
        pivot="beam",
        beam_centre=zero,
        near_point=zero,
        distance=dot(origin, normal),
        distance_along_normal=True,
        origin=origin,
        layers=layers,
        layer_step=layer_step,
        attenuation=attenuation,
        name=said.name,
    )
