"""Numbers read back from what a simulator prints (specs: cli 8), for nanoBragg and for this program alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|nan)"
_NUMBERS = re.compile(_NUMBER)
_SHAPES = "parallelpiped|ellipsoidal|gaussian|tophat-spot"


def _numbers(text: str) -> list[float]:
    return [float(word) for word in _NUMBERS.findall(text)]


def _first(text: str) -> float:
    return _numbers(text)[0]


def _integers(text: str) -> list[int]:
    return [int(x) for x in _numbers(text)]


def _sensor(text: str) -> dict[str, float]:
    thick, layers, mu = _numbers(text)
    return {"thick_m": thick, "layers": int(layers), "mu_per_m": mu}


_ROWS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "convention": (r"^(\w+) convention selected", str),
    "pivot": (r"^pivoting detector around (?:direct )?(\w+)", str),
    "random_misset_deg": (r"^random orientation misset angles: (.*) deg", _numbers),
    "unit_cell": (r"^Unit Cell: (.*)", _numbers),
    "reciprocal_cell": (r"^Recp Cell: (.*)", _numbers),
    "cell_volume_A3": (r"^volume = (\S+) A", _first),
    "auto_oversample": (r"^auto-selected (\d+)-fold oversampling", int),
    "sources": (r"^ +(\d+) sources$", int),
    "mosaic_domains": (r"^ +(\d+) mosaic domains over", int),
    "mosaic_spread_deg": (r"mosaic domains over mosaic spread of (\S+) degrees", _first),
    "hkls": (r"^ +(\d+) initialized hkls", int),
    "default_F": (r"initialized hkls \(all others =(.*)\)", _first),
    "shape": (rf"^ +({_SHAPES}) xtal", str),
    "cells": (r" xtal: (\S+) cells", lambda text: [int(x) for x in text.split("x")]),
    "wavelength_m": (r"^ +wave=(\S+) meters", _first),
    "dispersion_percent": (r" meters \+/- (\S+)% in", _first),
    "dispersion_steps": (r"% in (\d+) steps", int),
    "kahn_factor": (r"Kahn polarization factor: (\S+)", _first),
    "fluence": (r"incident fluence: (\S+) ", _first),
    "distance": (r"^ +distance=(\S+) detsize", _first),
    "detsize": (r" detsize=(\S+)", lambda text: [float(x) for x in text.split("x")]),
    "pixel": (r" pixel=(\S+) meters", _first),
    "fpixels": (r" meters \((\d+)x\d+ pixels", int),
    "spixels": (r" meters \(\d+x(\d+) pixels", int),
    "sensor": (r"^ +sensor is (.*)", _sensor),
    "Xbeam": (r"Xbeam=(\S+)", _first),
    "Ybeam": (r"Ybeam=(\S+)", _first),
    "Fbeam": (r"Fbeam=(\S+)", _first),
    "Sbeam": (r"Sbeam=(\S+)", _first),
    "Xclose": (r"Xclose=(\S+)", _first),
    "Yclose": (r"Yclose=(\S+)", _first),
    "Fclose": (r"Fclose=(\S+)", _first),
    "Sclose": (r"Sclose=(\S+)", _first),
    "fdet_vector": (r"DETECTOR_X-AXIS= (.*)", _numbers),
    "sdet_vector": (r"DETECTOR_Y-AXIS= (.*)", _numbers),
    "odet_vector": (r"DETECTOR_Z-AXIS= (.*)", _numbers),
    "beam_vector": (r"INCIDENT_BEAM_DIRECTION= (.*)", _numbers),
    "spindle_vector": (r"ROTATION_AXIS= (.*)", _numbers),
    "polarization_normal": (r"POLARIZATION_PLANE_NORMAL= (.*)", _numbers),
    "dials_origin_mm": (r"dials origin= (.*)", _numbers),
    "roi_xmin_xmax_ymin_ymax": (r"^ +roi: (.*)", _integers),
    "hdivrange_hdivstep_rad": (r"^ +hdivrange=(.*)", _numbers),
    "vdivrange_vdivstep_rad": (r"^ +vdivrange=(.*)", _numbers),
    "phi_steps": (r"^ +(\d+) phi steps from", int),
    "phi_range_deg": (r"phi steps from (.*) degrees", _numbers),
    "oversample": (r"^ +(\d+)x\d+ pixel oversample steps", int),
    "solid_angle_printed_sr": (r"solid angle subtended by detector = (\S+)", _first),
    "max_I": (r"^max_I = (\S+)", _first),
    "max_I_at_fast_slow_m": (r"^max_I = \S+ +at (.*)", _numbers),
    "mean": (r"^mean= (\S+)", _first),
    "rms": (r" rms= (\S+)", _first),
    "rmsd": (r" rmsd= (\S+)", _first),
    "intfile_scale": (r"^intfile_scale = (\S+)", _first),
    "pgm_scale": (r"^pgm_scale = (\S+)", _first),
    "noise_photons": (r"^(\d+) photons on noise image", int),
    "noise_overloads": (r"photons on noise image \((\d+) overloads", int),
}
IMAGE_STATISTICS = ("max_I", "max_I_at_fast_slow_m", "mean", "rms", "rmsd", "intfile_scale", "pgm_scale")
"""Names that depend on the pixel values and not on the scene alone."""
SQUARED = ("rms", "rmsd", "pgm_scale")
"""Names that come from sums of squares."""


def printed_numbers(output: str) -> dict[str, Any]:
    """What a run printed, by name; lengths in metres unless the name says otherwise, absent lines left out."""
    found: dict[str, Any] = {}
    for name, (pattern, read) in _ROWS.items():
        match = re.search(pattern, output, re.MULTILINE)
        if match:
            found[name] = read(match[1])
    if "no interpolation" in output or "tricubic interpolation" in output:
        found["interpolation_auto"] = "tricubic" in output
    found["phi_list_deg"] = [float(x) for x in re.findall(rf"^phi\d+ = ({_NUMBER})$", output, re.MULTILINE)]
    found["source_list_xyz_weight_lambda_m"] = _source_list(output)
    found["real_space_vectors_A"] = _vectors(output, "real-space cell vectors", ("a", "b", "c"))
    names = ("a_star", "b_star", "c_star")
    found["reciprocal_vectors_per_A"] = _vectors(output, "reciprocal-space cell vectors", names)
    found["oversample_flags"] = _oversample_flags(output)
    found["warnings"] = [line.strip() for line in output.splitlines() if line.strip().startswith("WARNING")]
    return {name: value for name, value in found.items() if value not in ([], {})}


def printed_differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """The names of `theirs` whose values differ in `ours` or are missing there, one line each.

    Numbers equal to the printed digits; where the C program sums squares in single precision, one unit in the sixth
    digit is allowed (specs: deviations D50).
    """
    rows = []
    for name, value in theirs.items():
        if name not in ours:
            rows.append(f"{name} is not printed, expected {value}")
        elif ours[name] != value and not (name in SQUARED and abs(ours[name] - value) <= 1e-5 * abs(value)):
            rows.append(f"{name} is {ours[name]}, expected {value}")
    return rows


def _source_list(output: str) -> list[list[float]]:
    rows = []
    block = output.partition("created a total of")[2].splitlines()[1:]
    for line in block:
        if not re.fullmatch(rf"\s*(?:{_NUMBER}\s*){{5}}", line):
            break
        rows.append(_numbers(line))
    return rows


def _vectors(output: str, title: str, names: tuple[str, str, str]) -> dict[str, list[float]]:
    block = re.search(rf"^{title}.*\n.*\n((?:[XYZ]: .*\n){{3}})", output, re.MULTILINE)
    if block is None:
        return {}
    rows = [_numbers(line[2:]) for line in block[1].splitlines()]
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _oversample_flags(output: str) -> list[str]:
    match = re.search(r"pixel oversample steps(.*)", output)
    return match[1].split() if match else []
