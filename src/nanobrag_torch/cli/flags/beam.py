"""Flags of the beam (specs: cli 4)."""

from __future__ import annotations

from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.words import energy, integer, name, nothing, real


def _real(spelling: str, field: str, example: float, text: str, unit: str = "", default: str = "") -> Flag:
    return Flag(
        (spelling,),
        text,
        f"{spelling.rstrip('*')} {example:g}",
        {field: example},
        takes=real(field),
        unit=unit,
        default=default,
    )


def _count(spelling: str, text: str, *fields: str) -> Flag:
    return Flag((spelling,), text, f"{spelling} 5", dict.fromkeys(fields, 5), takes=integer(*fields))


def _sweep(letter: str, direction: str) -> tuple[Flag, ...]:
    field = f"beam.{letter}_"
    return (
        _real(f"-{letter}range", f"{field}range_mrad", 10.0, f"full {direction} divergence", "mrad"),
        _real(f"-{letter}step", f"{field}step_mrad", 2.5, f"step of the {direction} divergence", "mrad"),
        _count(f"-{letter}steps", f"number of {direction} directions", f"{field}steps"),
    )


def _divergence(shape: str, text: str) -> Flag:
    value = {"beam.round_divergence": shape == "round"}
    return Flag(
        (f"-{shape}_div",),
        text,
        f"-{shape}_div",
        value,
        takes=nothing(),
        sets=value,
        default="on" if shape == "round" else "",
    )


BEAM = (
    Flag(
        ("-lambda*", "-wave*"),
        "central wavelength",
        "-lambda 1.54",
        {"beam.wavelength_A": 1.54},
        takes=real("beam.wavelength_A"),
        unit="Å",
        default="1",
    ),
    Flag(
        ("-energy*",),
        "central wavelength, given as the photon energy",
        "-energy 12398.42",
        {"beam.wavelength_A": 1.0},
        takes=energy("beam.wavelength_A"),
        unit="eV",
    ),
    _real("-dispersion", "beam.dispersion_percent", 1.0, "full width of the spectrum", "%", "0"),
    _count("-dispsteps", "number of wavelengths", "beam.dispersion_steps"),
    Flag(
        ("-divergence",),
        "full divergence, horizontal and vertical",
        "-divergence 10",
        {"beam.hdiv_range_mrad": 10.0, "beam.vdiv_range_mrad": 10.0},
        takes=real("beam.hdiv_range_mrad", "beam.vdiv_range_mrad"),
        unit="mrad",
    ),
    *_sweep("hdiv", "horizontal"),
    *_sweep("vdiv", "vertical"),
    _count("-divsteps", "number of horizontal and of vertical directions", "beam.hdiv_steps", "beam.vdiv_steps"),
    _divergence("round", "leave out directions outside an ellipse"),
    _divergence("square", "keep all directions"),
    Flag(
        ("-polar",),
        "polarization factor of Kahn: 0 unpolarized, 1 fully polarized; switches the correction on",
        "-polar 0.9",
        {"beam.polarization_factor": 0.9, "beam.polarization": True},
        takes=real("beam.polarization_factor"),
        sets={"beam.polarization": True},
        default="0",
    ),
    Flag(
        ("-nopolar",),
        "no polarization correction",
        "-nopolar",
        {"beam.polarization": False},
        sets={"beam.polarization": False},
    ),
    _real("-fluence", "beam.fluence", 1e24, "photons per area; -flux overrides it", "photons/m²", "1.25932e+29"),
    _real(
        "-flux",
        "beam.flux",
        1e12,
        "photon rate; with -exposure and -beamsize it gives the fluence",
        "photons/s",
    ),
    _real("-exposure", "beam.exposure_s", 0.1, "exposure time", "s", "1"),
    _real(
        "-beamsize",
        "beam.beamsize_mm",
        0.05,
        "width of the beam; also cuts the crystal along b and c (negative: no limit)",
        "mm",
        "0.1",
    ),
    _real("-water", "crystal.water_um", 10.0, "edge of the water droplet that makes the background", "µm", "0"),
    Flag(
        ("-spectrum",),
        "table of photon energies (eV) or wavelengths (Å) and weights, in place of a dispersion",
        "-spectrum spectrum.txt",
        {"beam.spectrum_file": "spectrum.txt"},
        takes=name("beam.spectrum_file"),
        extension=True,
    ),
    Flag(
        ("-spectrum_merge",),
        "merge neighbouring wavelengths as long as no spot changes by more than this part of its peak",
        "-spectrum_merge 0.01",
        {"beam.spectrum_merge": 0.01},
        takes=real("beam.spectrum_merge"),
        default="none are merged",
        extension=True,
    ),
    Flag(
        ("-source_weights",),
        "use the weights of the source file, which are ignored otherwise",
        "-source_weights",
        {"beam.use_source_weights": True},
        sets={"beam.use_source_weights": True},
        extension=True,
    ),
)
