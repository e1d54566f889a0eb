"""The path of the X-rays through sample and air, as specified."""

from __future__ import annotations

from dataclasses import dataclass

from nanobrag_torch.config.values import Real, Vector


@dataclass(frozen=True)
class PathConfig:
    """Absorption in the sample and in air, and the part of the crystal that the beam lights.

    `sample_mu_invmm` is the attenuation coefficient of the sample (1/mm); or `sample_formula` and `sample_density`
    (g/cm³) give its photoabsorption at the central wavelength. `sample_form` is `box`, `ellipsoid` or the
    name of a mesh file (OBJ, mm); `sample_form_mm` are the full lengths of a box or ellipsoid along lab x, y, z at
    spindle angle 0. `air_mu_invm` is that of the air between sample and detector (1/m); `air_absorption` takes that of
    dry air at the wavelength. `beam_form` is `gauss` or `flat`, `beam_form_mm` its full widths (at half maximum) along
    the polarization axis and across it.
    """

    sample_mu_invmm: Real | None = None
    sample_formula: str | None = None
    sample_density: Real | None = None
    sample_form: str | None = None
    sample_form_mm: Vector | None = None
    path_points: int | None = None
    air_absorption: bool = False
    air_mu_invm: Real | None = None
    beam_form: str | None = None
    beam_form_mm: tuple[float, float] | None = None
