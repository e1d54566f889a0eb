"""The detector as specified."""

from __future__ import annotations

from dataclasses import dataclass

from nanobrag_torch.config.values import Real, Vector


@dataclass(frozen=True)
class PanelConfig:
    """One panel of a detector with several: placed by its own vectors, lab frame.

    `origin_mm` is the outer corner of pixel (0, 0); `fast_vector` and `slow_vector` are unit vectors.
    """

    origin_mm: Vector
    fast_vector: Vector
    slow_vector: Vector
    pixels_f: int
    pixels_s: int
    pixel_mm: Real
    thickness_um: Real = 0.0
    attenuation_depth_um: Real | None = None
    name: str = ""


@dataclass(frozen=True)
class DetectorConfig:
    """Size, placement and sensor of the detector (specs: geometry).

    `convention` is one of ADXV, MOSFLM, DENZO, XDS, DIALS, CUSTOM; `pivot` is BEAM or SAMPLE and counts only in
    CUSTOM. `ORGX` and `ORGY` are in pixels, whose middles are whole numbers from 1. `panels` replaces every field about
    size and placement.
    """

    distance_mm: Real | None = None
    close_distance_mm: Real | None = None
    detsize_f_mm: float | None = None
    detsize_s_mm: float | None = None
    pixels_f: int | None = None
    pixels_s: int | None = None
    pixel_mm: Real | None = None
    Xbeam_mm: Real | None = None
    Ybeam_mm: Real | None = None
    Xclose_mm: Real | None = None
    Yclose_mm: Real | None = None
    ORGX: Real | None = None
    ORGY: Real | None = None
    convention: str | None = None
    pivot: str | None = None
    fdet_vector: Vector | None = None
    sdet_vector: Vector | None = None
    odet_vector: Vector | None = None
    twotheta_axis: Vector | None = None
    twotheta_deg: Real | None = None
    rotx_deg: Real | None = None
    roty_deg: Real | None = None
    rotz_deg: Real | None = None
    pix0_override_mm: Vector | None = None
    curved: bool = False
    point_pixel: bool = False
    attenuation_depth_um: Real | None = None
    thickness_um: Real | None = None
    thick_steps: int | None = None
    panels: tuple[PanelConfig, ...] | None = None
