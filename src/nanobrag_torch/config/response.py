"""What the detector makes of the photons, as specified."""

from __future__ import annotations

from dataclasses import dataclass

PRESETS = ("photons", "pilatus", "eiger", "ccd")
"""Detectors that `detector.presets` knows."""


@dataclass(frozen=True)
class ResponseConfig:
    """From expected photons to the counts in miniCBF, NeXus and noise files (specs: detector response).

    Without any field these files have the noise of the C program. `response` is one of `PRESETS`, or `response_file` a
    TOML file with the fields of `detector.model.DetectorResponse`; the other fields change single stages of it.
    Sensor and beam stop stand where the panel and the beam are. Fractions are between 0 and 1; `psf_fwhm_um` is a
    full width at half maximum. `photons_file` is a float image (4-byte numbers without a header) of expected photons,
    which is recorded instead of one that is rendered.
    """

    response: str | None = None
    response_file: str | None = None
    sensor_material: str | None = None
    sensor_um: float | None = None
    parallax: bool | None = None
    beamstop_radius_mm: float | None = None
    beamstop_edge_mm: float | None = None
    beamstop_transmission: float | None = None
    flicker: float | None = None
    calibration: float | None = None
    calibration_seed: int | None = None
    charge_sharing: float | None = None
    dead_time_ns: float | None = None
    dead_time_law: str | None = None
    psf: str | None = None
    psf_fwhm_um: float | None = None
    gain: float | None = None
    readout_noise: float | None = None
    bits: int | None = None
    dead_pixels: float | None = None
    hot_pixels: float | None = None
    photons_file: str | None = None
