"""Refusing detectors that no beam or pixel grid can have, in plain Python (specs: deviations, D19, D52)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from nanobrag_torch.config import Config, PanelConfig
from nanobrag_torch.errors import InputError
from nanobrag_torch.geometry.conventions import CONVENTIONS, Axis

DEFAULT_CONVENTION = "MOSFLM"
PARALLEL = 1e-9
"""Cosines and sines below this are zero but for rounding."""
LONGEST_AXIS_ERROR = 1e-6
"""How much the length of the two-theta axis may differ from 1 (specs: deviations, D52)."""


def check_placement(config: Config) -> None:
    """Refuse zero or parallel axes, a stretched two-theta axis, and a detector seen edge-on (specs: geometry 6, 7).

    Raises:
        InputError: with the configuration field.
    """
    said = config.detector
    name = said.convention or DEFAULT_CONVENTION
    row, custom = CONVENTIONS[name], name == "CUSTOM"

    def axis(field: str, own: Any, default: Axis) -> Axis:
        vector = _floats(own) if custom and own is not None else default
        if not any(vector):
            raise InputError(field, "is the zero vector", "give a direction")
        return vector

    beam = _unit(axis("beam_vector", config.beam.beam_vector, row.beam))
    fast = _unit(axis("fdet_vector", said.fdet_vector, row.fast))
    slow = _unit(axis("sdet_vector", said.sdet_vector, row.slow))
    axis("polar_vector", config.beam.polar_vector, row.polarization_axis)
    axis("spindle_axis", config.sampling.spindle_axis, row.spindle_axis)
    _check_not_parallel("fdet_vector", fast, slow)
    normal = _floats(said.odet_vector) if custom and said.odet_vector is not None else row.normal
    if math.hypot(*normal) != 1.0:
        normal = _unit(_cross(fast, slow))
    swing = math.radians(_float(said.twotheta_deg))
    swing_axis = _floats(said.twotheta_axis) if custom and said.twotheta_axis is not None else row.twotheta_axis
    if swing != 0 and abs(math.hypot(*swing_axis) - 1.0) > LONGEST_AXIS_ERROR:
        problem = f"has length {math.hypot(*swing_axis):g} and would stretch the detector"
        raise InputError("twotheta_axis", problem, "give a vector of length 1")
    angles = [math.radians(_float(x)) for x in (said.rotx_deg, said.roty_deg, said.rotz_deg)]
    before = _rotated_xyz(normal, angles)
    after = _rotated_about(before, swing_axis, swing)
    if abs(_dot(beam, before)) < PARALLEL:
        raise InputError(_culprit(config, custom), "the beam runs parallel to the detector", "turn the detector")
    pivot = row.pivot or said.pivot or "BEAM"
    if said.pix0_override_mm is not None:
        if abs(_dot(_floats(said.pix0_override_mm), after)) < PARALLEL:
            raise InputError("pix0_override_mm", "the plane of the detector holds the sample", "move the detector")
    elif pivot == "BEAM" and abs(_dot(beam, after)) < PARALLEL:
        raise InputError("twotheta_deg", "the beam runs parallel to the detector", "swing it less or more")


def check_panels(panels: Sequence[PanelConfig]) -> None:
    """Refuse panels without pixels or with impossible axes.

    Raises:
        InputError: naming the panel.
    """
    if not panels:
        raise InputError("panels", "there is no panel", "give at least one, or none of this field")
    for number, panel in enumerate(panels):
        field = f"panels[{number}]"
        if panel.pixels_f <= 0 or panel.pixels_s <= 0 or not _float(panel.pixel_mm) > 0:
            raise InputError(field, "has no pixels", "give counts and a pixel size above 0")
        values = (*_floats(panel.origin_mm), *_floats(panel.fast_vector), *_floats(panel.slow_vector))
        if not all(map(math.isfinite, (*values, _float(panel.pixel_mm), _float(panel.thickness_um)))):
            raise InputError(field, "has a value that is not finite", "give finite numbers")
        fast, slow = _unit(_floats(panel.fast_vector)), _unit(_floats(panel.slow_vector))
        _check_not_parallel(field, fast, slow)
        if abs(_dot(_floats(panel.origin_mm), _cross(fast, slow))) < PARALLEL:
            raise InputError(field, "its plane holds the sample", "move the panel")


def _culprit(config: Config, custom: bool) -> str:
    """The field that most likely turned the detector edge-on."""
    said = config.detector
    turned = [name for name in ("rotz_deg", "roty_deg", "rotx_deg") if _float(getattr(said, name)) != 0]
    if turned:
        return turned[0]
    return "odet_vector" if custom and said.odet_vector is not None else "fdet_vector"


def _check_not_parallel(field: str, fast: Axis, slow: Axis) -> None:
    if math.hypot(*_cross(fast, slow)) < PARALLEL:
        raise InputError(field, "the fast and the slow axis are parallel or zero", "give two different directions")


def _float(value: Any) -> float:
    if value is None:
        return 0.0
    return float(value.detach() if hasattr(value, "detach") else value)


def _floats(values: Iterable[Any]) -> Axis:
    x, y, z = (_float(value) for value in values)
    return x, y, z


def _dot(a: Axis, b: Axis) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def _cross(a: Axis, b: Axis) -> Axis:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _unit(a: Axis) -> Axis:
    length = math.hypot(*a)
    return a if length == 0 else (a[0] / length, a[1] / length, a[2] / length)


def _rotated_about(w: Axis, n: Axis, angle: float) -> Axis:
    """Right-handed rotation of w about n by an angle in radians (specs: README, Notation)."""
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = _dot(n, w) * (1.0 - cos), _cross(n, w)
    x, y, z = (n[i] * along + w[i] * cos + across[i] * sin for i in range(3))
    return x, y, z


def _rotated_xyz(w: Axis, angles: Sequence[float]) -> Axis:
    for axis, angle in zip(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), angles, strict=True):
        w = _rotated_about(w, axis, angle)
    return w
