"""Flags of the detector's response: from expected photons to counts (specs: detector response)."""

from __future__ import annotations

from collections.abc import Sequence

from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.words import Values, Words, choice, integer, name, real
from nanobrag_torch.config.response import PRESETS


def _response() -> Words:
    """A preset, or the name of a file that ends in .toml."""
    shown = f"{'|'.join(PRESETS)}|file.toml"

    def values(words: Sequence[str]) -> Values:
        (word,) = words
        if word.endswith(".toml"):
            return {"response.response_file": word}
        if word not in PRESETS:
            raise ValueError(f"{word!r} is not one of {', '.join(PRESETS)}, nor a .toml file")
        return {"response.response": word}

    return Words((shown,), ("response.response", "response.response_file"), lambda rest: 1, values)


def _real(spelling: str, field: str, example: float, text: str, unit: str = "", default: str = "none") -> Flag:
    gives = {f"response.{field}": example}
    return Flag(
        (spelling,), text, f"{spelling} {example:g}", gives, takes=real(f"response.{field}"), unit=unit,
        default=default, extension=True,
    )  # fmt: skip


def _choice(spelling: str, field: str, text: str, *allowed: str, default: str = "none") -> Flag:
    gives = {f"response.{field}": allowed[0]}
    takes = choice(f"response.{field}", *allowed)
    return Flag((spelling,), text, f"{spelling} {allowed[0]}", gives, takes=takes, default=default, extension=True)


def _integer(spelling: str, field: str, example: int, text: str, default: str) -> Flag:
    gives = {f"response.{field}": example}
    takes = integer(f"response.{field}")
    return Flag((spelling,), text, f"{spelling} {example}", gives, takes=takes, default=default, extension=True)


RESPONSE = (
    Flag(
        ("-response",),
        "counts of -cbf, -nexus and -noisefile as this detector records them, by name or from a file",
        "-response pilatus",
        {"response.response": "pilatus"},
        takes=_response(),
        default="the noise of the C program",
        extension=True,
    ),
    _choice("-sensor", "sensor_material", "what absorbs the photons: efficiency and parallax", "Si", "CdTe", "GaAs"),
    _real("-sensor_thick", "sensor_um", 450.0, "its thickness", "um", "320, or the preset's"),
    Flag(
        ("-noparallax",),
        "photons stay in the pixel where they enter the sensor",
        "-noparallax",
        {"response.parallax": False},
        sets={"response.parallax": False},
        extension=True,
    ),
    _real("-beamstop", "beamstop_radius_mm", 2.0, "radius of a round shadow about the beam", "mm"),
    _real("-beamstop_edge", "beamstop_edge_mm", 0.2, "standard deviation of its half-shadow", "mm", "0.1"),
    _real("-beamstop_transmission", "beamstop_transmission", 0.001, "part of the photons that pass it", default="0"),
    _real("-flicker", "flicker", 0.01, "rms of the beam from frame to frame, as a fraction", default="0"),
    _real("-calibration", "calibration", 0.03, "rms of the pixels' own factors, as a fraction", default="0"),
    _integer("-calib_seed", "calibration_seed", 7, "seed of these factors and of defective pixels", "1"),
    _real("-charge_sharing", "charge_sharing", 0.1, "probability that a neighbour counts a photon too", default="0"),
    _real("-dead_time", "dead_time_ns", 120.0, "time for which a counting pixel is blind after a photon", "ns", "0"),
    _choice("-dead_time_law", "dead_time_law", "whether lost photons prolong it", "paralyzable", "nonparalyzable",
            default="paralyzable"),
    _choice("-psf", "psf", "point spread: gaussian, or that of a fibre-optic taper with its tails", "gauss", "fiber"),
    _real("-psf_fwhm", "psf_fwhm_um", 80.0, "its full width at half maximum", "um", "one pixel"),
    _real("-gain", "gain", 1.8, "counts per photon", "ADU", "1"),
    _real("-readout_noise", "readout_noise", 3.0, "rms of the read-out noise", "ADU", "0"),
    _integer("-bits", "bits", 16, "bits of a stored count; larger values are stored as the largest", "20"),
    _real("-dead_pixels", "dead_pixels", 0.02, "fraction of pixels that give nothing", default="0"),
    Flag(
        ("-photons",),
        "record the expected photons of this float image instead of a rendered one",
        "-photons floatimage.bin",
        {"response.photons_file": "floatimage.bin"},
        takes=name("response.photons_file"),
        extension=True,
    ),
    _real("-hot_pixels", "hot_pixels", 0.02, "fraction of pixels that give the largest value", default="0"),
)  # fmt: skip
