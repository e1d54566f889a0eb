"""A detector as a value: the stages between expected photons and stored counts, each with its range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from nanobrag_torch.errors import InputError
from nanobrag_torch.materials.sensors import SENSORS

LAWS = ("gauss", "fiber")
DEAD_TIME_LAWS = ("paralyzable", "nonparalyzable")
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Sensor:
    """The layer that absorbs, flat, and where it stands, which decides the angles.

    Args:
        material: one of `materials.sensors.SENSORS`. thickness_um: µm. wavelength_A: Å.
        distance_mm, pixel_mm: mm. beam_f, beam_s: foot of the normal, pixels from the outer corner of pixel (0, 0).
        parallax: whether photons move sideways on their way into the sensor.
    """

    material: str = "Si"
    thickness_um: float = 320.0
    wavelength_A: float = 1.0
    distance_mm: float = 100.0
    pixel_mm: float = 0.172
    beam_f: float = 0.0
    beam_s: float = 0.0
    parallax: bool = True

    def __post_init__(self) -> None:
        if self.material not in SENSORS:
            raise InputError("material", f"{self.material!r} is not known", f"use one of {', '.join(SENSORS)}")
        for name in ("thickness_um", "wavelength_A", "distance_mm", "pixel_mm"):
            _within(self, name, 1e-6, 1e6)
        for name in ("beam_f", "beam_s"):
            _within(self, name, -1e6, 1e6)


@dataclass(frozen=True)
class BeamStop:
    """A round shadow: middle and radius (pixels), σ of its edge (pixels), and what the stop lets through."""

    f: float
    s: float
    radius: float
    edge: float = 1.0
    transmission: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("f", -1e6, 1e6), ("s", -1e6, 1e6), ("radius", 0.0, 1e6), ("edge", 1e-3, 1e6), ("transmission", 0.0, 1.0),
        ):  # fmt: skip
            _within(self, name, low, high)


@dataclass(frozen=True)
class DetectorResponse:
    """A detector; the defaults count every photon without error.

    Args:
        sensor: efficiency and parallax; `None` = every photon is absorbed where it enters.
        stop: a beam stop, or `None`.
        flicker: rms of the beam, common to a frame, as a fraction. calibration: rms of the pixels' fixed factors.
        seed: of a frame's noise. calibration_seed: of what belongs to the detector: its factors and its defects.
        spread: `gauss`, `fiber` or `None`; width: full width at half maximum, pixels.
        sharing: probability that a photon is counted in a neighbour too (photon counting).
        dead_time_ns, exposure_s, dead_time_law: what a counting pixel misses; 0 = nothing.
        gain: ADU per photon. readout: rms, ADU. adc: ADU. bits: 1 to 31; larger values are stored as the largest.
        dead, hot: fractions of pixels that give 0 and the largest value.
        gaps: rectangles (first fast, last fast, first slow, last slow), last included, that hold no pixels.
    """

    sensor: Sensor | None = None
    stop: BeamStop | None = None
    flicker: float = 0.0
    calibration: float = 0.0
    seed: int = 1
    calibration_seed: int = 1
    spread: str | None = None
    width: float = 1.0
    sharing: float = 0.0
    dead_time_ns: float = 0.0
    exposure_s: float = 1.0
    dead_time_law: str = "paralyzable"
    gain: float = 1.0
    readout: float = 0.0
    adc: float = 0.0
    bits: int = 20
    dead: float = 0.0
    hot: float = 0.0
    gaps: tuple[tuple[int, int, int, int], ...] = field(default=())

    def __post_init__(self) -> None:
        for name, low, high in (
            ("flicker", 0.0, 1.0), ("calibration", 0.0, 1.0), ("seed", 0, LARGEST_SEED),
            ("calibration_seed", 0, LARGEST_SEED), ("width", 1e-3, 1e6), ("sharing", 0.0, 1.0),
            ("dead_time_ns", 0.0, 1e9), ("exposure_s", 1e-9, 1e6), ("gain", 1e-6, 1e6), ("readout", 0.0, 1e6),
            ("adc", -1e6, 1e6), ("bits", 1, 31), ("dead", 0.0, 1.0), ("hot", 0.0, 1.0),
        ):  # fmt: skip
            _within(self, name, low, high)
        for name in ("seed", "calibration_seed", "bits"):
            if not isinstance(getattr(self, name), int):
                raise InputError(name, f"{getattr(self, name)} is not a whole number", "give one")
        if self.spread is not None and self.spread not in LAWS:
            raise InputError("spread", f"{self.spread!r} is not known", f"use one of {', '.join(LAWS)}")
        if self.dead_time_law not in DEAD_TIME_LAWS:
            problem = f"{self.dead_time_law!r} is not known"
            raise InputError("dead_time_law", problem, f"use one of {', '.join(DEAD_TIME_LAWS)}")
        if self.spread is not None and (self.sharing or self.dead_time_ns):
            problem = "a detector that counts photons has no light to spread"
            raise InputError("spread", problem, "leave out spread, or sharing and dead_time_ns")
        if self.dead + self.hot > 1.0:
            raise InputError("hot", f"{self.dead:g} dead and {self.hot:g} hot pixels", "give at most 1 in all")
        for gap in self.gaps:
            whole = len(gap) == 4 and all(isinstance(edge, int) for edge in gap)
            if not whole or not (0 <= gap[0] <= gap[1] and 0 <= gap[2] <= gap[3]):
                raise InputError(
                    "gaps", f"{list(gap)} is no rectangle", "give first and last fast, first and last slow"
                )

    @property
    def largest(self) -> int:
        """The largest value that is stored."""
        return int(2**self.bits - 1)

    def check_frame(self, shape: tuple[int, int]) -> None:
        """Refuse a frame [slow, fast] that the model does not fit.

        Raises:
            InputError: a point spread wider than the frame, or a gap outside it.
        """
        slow, fast = shape
        if self.spread is not None and self.width > min(shape):
            problem = f"{self.width:g} pixels are wider than the frame of {fast} x {slow}"
            raise InputError("width", problem, f"give at most {min(shape)} pixels")
        for gap in self.gaps:
            if gap[1] >= fast or gap[3] >= slow:
                problem = f"{list(gap)} reaches beyond the frame of {fast} x {slow}"
                raise InputError("gaps", problem, f"give at most {fast - 1} and {slow - 1}")


def response_from(table: Mapping[str, Any]) -> DetectorResponse:
    """The model of a table with the names of its fields, as a TOML file holds it.

    Raises:
        InputError: an unknown name, or a value that cannot be.
    """
    values = dict(table)
    if "gaps" in values:
        gaps = values["gaps"]
        if not isinstance(gaps, list) or not all(isinstance(gap, list) for gap in gaps):
            raise InputError("gaps", f"{gaps!r} is no list of rectangles", "write gaps = [[0, 9, 0, 9]]")
        values["gaps"] = tuple(tuple(gap) for gap in gaps)
    for name, kind in (("sensor", Sensor), ("stop", BeamStop)):
        if name in values:
            if not isinstance(values[name], Mapping):
                raise InputError(name, f"{values[name]!r} is no table", f"write [{name}] and its fields below")
            values[name] = _made(kind, values[name], f"{name}.")
    made: DetectorResponse = _made(DetectorResponse, values, "")
    return made


def _made(kind: Any, values: Mapping[str, Any], prefix: str) -> Any:
    known = [f.name for f in fields(kind)]
    for name in values:
        if name not in known:
            raise InputError(prefix + name, "it is not a field of a detector", f"use one of {', '.join(known)}")
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(prefix.rstrip("."), "f, s and radius are needed", "give all three") from error
    except InputError as error:
        raise InputError(prefix + error.field, error.problem, error.advice) from error


def _within(owner: Any, name: str, low: float, high: float) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(name, f"{value!r} is not a finite number", f"give {low:g} to {high:g}")
    if not low <= value <= high:
        raise InputError(name, f"{value:g} cannot be", f"give {low:g} to {high:g}")
