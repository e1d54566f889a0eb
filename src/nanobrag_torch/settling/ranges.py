"""How small and how large every number of a configuration may be: far beyond what anybody means, and no further.

Within these ranges no step from what was said to what is rendered leaves the range of double precision. They are wide
on purpose; whether an image can be is judged by the image.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, NamedTuple

from nanobrag_torch.config import Config
from nanobrag_torch.errors import InputError


class Range(NamedTuple):
    """Smallest magnitude besides 0, and largest magnitude."""

    smallest: float
    largest: float


ANY = Range(0.0, 1e30)
"""For fields that are not listed."""
_LENGTH_MM, _PLACE_MM, _ANGLE = Range(1e-9, 1e12), Range(0.0, 1e12), Range(0.0, 1e9)
RANGES = {
    "cell_a": Range(1e-3, 1e7),
    "cell_b": Range(1e-3, 1e7),
    "cell_c": Range(1e-3, 1e7),
    **dict.fromkeys(("cell_alpha", "cell_beta", "cell_gamma", "mosaic_spread_deg"), _ANGLE),
    **dict.fromkeys(("phi_deg", "osc_deg", "phi_step_deg", "twotheta_deg"), _ANGLE),
    **dict.fromkeys(("rotx_deg", "roty_deg", "rotz_deg"), _ANGLE),
    **dict.fromkeys(("sample_x_mm", "sample_y_mm", "sample_z_mm"), Range(0.0, 1e9)),
    "water_um": Range(0.0, 1e12),
    "fudge": Range(0.0, 1e12),
    "default_F": Range(0.0, 1e30),
    "model_dmin_A": Range(1e-2, 1e6),
    "wavelength_A": Range(1e-6, 1e6),
    "dispersion_percent": Range(0.0, 1e4),
    **dict.fromkeys(("hdiv_range_mrad", "vdiv_range_mrad", "hdiv_step_mrad", "vdiv_step_mrad"), Range(1e-12, 1e6)),
    "polarization_factor": Range(0.0, 1e6),
    **dict.fromkeys(("fluence", "flux"), Range(0.0, 1e60)),
    "exposure_s": Range(0.0, 1e30),
    "beamsize_mm": Range(1e-12, 1e30),
    **dict.fromkeys(("distance_mm", "close_distance_mm", "detsize_f_mm", "detsize_s_mm"), _LENGTH_MM),
    "pixel_mm": Range(1e-9, 1e9),
    **dict.fromkeys(("Xbeam_mm", "Ybeam_mm", "Xclose_mm", "Yclose_mm", "ORGX", "ORGY"), _PLACE_MM),
    "attenuation_depth_um": Range(1e-12, math.inf),
    "thickness_um": Range(0.0, 1e12),
    "dmin_A": Range(0.0, 1e30),
    **dict.fromkeys(("scale", "pgm_scale"), Range(0.0, 1e100)),
    "adc": Range(0.0, 1e9),
    "memory_MB": Range(1e-3, 1e12),
}
VECTOR = Range(1e-100, 1e100)
"""For the lengths of vectors that are directions."""


def check_ranges(config: Config) -> None:
    """Refuse numbers that cannot be meant.

    Raises:
        InputError: with the configuration field.
    """
    parts = (config.crystal, config.beam, config.detector, config.sampling, config.output)
    for part in (*parts, config.background, config.path):
        for field in fields(part):
            value, kind = getattr(part, field.name), str(field.type)
            if value is None:
                continue
            if kind.startswith(("Real", "float")):
                _check(field.name, _plain(value), RANGES.get(field.name, ANY))
            elif kind.startswith("Vector"):
                _check_vector(field.name, [_plain(x) for x in value])


def _plain(value: Any) -> float:
    return float(value.detach() if hasattr(value, "detach") else value)


def _check(name: str, value: float, allowed: Range) -> None:
    size = abs(value)
    if size > allowed.largest:
        raise InputError(name, f"{value:g} is too large to be meant", f"give at most {allowed.largest:g}")
    if 0.0 < size < allowed.smallest:
        raise InputError(name, f"{value:g} is too small to be meant", f"give at least {allowed.smallest:g}")


def _check_vector(name: str, values: list[float]) -> None:
    largest = max(map(abs, values))
    if name.endswith(("_mm", "_deg")):
        for value in values:
            _check(name, value, _PLACE_MM)
    elif largest > VECTOR.largest or 0.0 < largest < VECTOR.smallest:
        text = " ".join(f"{value:g}" for value in values)
        advice = f"give a vector of a length between {VECTOR.smallest:g} and {VECTOR.largest:g}"
        raise InputError(name, f"{text} cannot be meant", advice)
