"""The beam as specified."""

from __future__ import annotations

from dataclasses import dataclass

from nanobrag_torch.config.values import Real, Vector


@dataclass(frozen=True)
class BeamConfig:
    """Wavelength, spectrum, divergence, polarization and fluence (specs: sources, intensity 5 and 6).

    Directions (`beam_vector`, `polar_vector`) are used when the convention is CUSTOM.
    `spectrum_merge` is the error, relative to the peak of a spot, up to which wavelengths are merged.
    `use_source_weights` of `None` means: the physics mode decides.
    `fluence` is in photons/m², `flux` in photons/s.
    """

    wavelength_A: Real | None = None
    dispersion_percent: Real | None = None
    dispersion_steps: int | None = None
    hdiv_range_mrad: float | None = None
    hdiv_step_mrad: float | None = None
    hdiv_steps: int | None = None
    vdiv_range_mrad: float | None = None
    vdiv_step_mrad: float | None = None
    vdiv_steps: int | None = None
    round_divergence: bool | None = None
    source_file: str | None = None
    spectrum_file: str | None = None
    spectrum_merge: float | None = None
    use_source_weights: bool | None = None
    polarization_factor: Real | None = None
    polarization: bool | None = None
    beam_vector: Vector | None = None
    polar_vector: Vector | None = None
    fluence: Real | None = None
    flux: Real | None = None
    exposure_s: Real | None = None
    beamsize_mm: Real | None = None
