"""Printed numbers: from the program's standard output to the names used in cases.json."""
import json
import re

G = r"([-+0-9.einfa]+)"
# name: pattern; one group gives a number, several a list
PATTERNS = {
    "convention": r"^(\w+) convention selected",
    "cell_volume_A3": rf"^volume = {G}",
    "unit_cell": rf"^Unit Cell: {G} {G} {G} {G} {G} {G}",
    "reciprocal_cell": rf"^Recp Cell: {G} {G} {G} {G} {G} {G}",
    "sources": r"created a total of (\d+) sources",
    "mosaic_domains": r"^  (\d+) mosaic domains over",
    "mosaic_spread_deg": rf"mosaic spread of {G} degrees",
    "hkls": r"^  (\d+) initialized hkls",
    "default_F": rf"all others ={G}\)",
    "shape": r"^  (\S+) xtal:",
    "cells": r"xtal: (\d+)x(\d+)x(\d+) cells",
    "wavelength_m": rf"^  wave={G} meters",
    "dispersion_percent": rf"meters \+/- {G}%",
    "dispersion_steps": r"% in (\d+) steps",
    "kahn_factor": rf"Kahn polarization factor: {G}",
    "fluence": rf"incident fluence: {G}",
    "distance": rf"^  distance={G}",
    "detsize": rf"detsize={G}x{G}",
    "pixel": rf"pixel={G} meters",
    "Xbeam": rf"Xbeam={G}", "Ybeam": rf"Ybeam={G}", "Fbeam": rf"Fbeam={G}", "Sbeam": rf"Sbeam={G}",
    "Xclose": rf"Xclose={G}", "Yclose": rf"Yclose={G}", "Fclose": rf"Fclose={G}", "Sclose": rf"Sclose={G}",
    "fdet_vector": rf"DIRECTION_OF_DETECTOR_X-AXIS= {G} {G} {G}",
    "sdet_vector": rf"DIRECTION_OF_DETECTOR_Y-AXIS= {G} {G} {G}",
    "odet_vector": rf"DIRECTION_OF_DETECTOR_Z-AXIS= {G} {G} {G}",
    "beam_vector": rf"INCIDENT_BEAM_DIRECTION= {G} {G} {G}",
    "spindle_vector": rf"spindle ROTATION_AXIS= {G} {G} {G}",
    "polarization_normal": rf"POLARIZATION_PLANE_NORMAL= {G} {G} {G}",
    "dials_origin_mm": rf"dials origin= {G} {G} {G}",
    "roi_xmin_xmax_ymin_ymax": r"roi: (\S+) < x < (\S+) && (\S+) < y < (\S+)",
    "hdivrange_hdivstep_rad": rf"hdivrange={G} hdivstep={G}",
    "vdivrange_vdivstep_rad": rf"vdivrange={G} vdivstep={G}",
    "phi_steps": r"^  (\d+) phi steps",
    "phi_range_deg": rf"phi steps from {G} to {G}",
    "oversample": r"^  (\d+)x\d+ pixel oversample",
    "auto_oversample": r"auto-selected (\d+)-fold",
    "solid_angle_printed_sr": rf"solid angle subtended by detector = {G}",
    "max_I": rf"^max_I = {G}",
    "max_I_at_fast_slow_m": rf"^max_I = \S+  at {G} {G}",
    "mean": rf"^mean= {G}", "rms": rf" rms= {G}", "rmsd": rf"rmsd= {G}",
    "intfile_scale": rf"^intfile_scale = {G}", "pgm_scale": rf"^pgm_scale = {G}",
    "random_misset_deg": rf"random orientation misset angles: {G} {G} {G}",
    "noise_photons": r"^(\d+) photons on noise", "noise_overloads": r"\((\d+) overloads\)",
}


def load(path):
    with open(path) as f:
        return json.load(f)


def number(text):
    try:
        return float(text)
    except ValueError:
        return text


def listed(pattern, out):
    return [float(x) for x in re.findall(pattern, out, re.M)]


def parse(out):
    """All numbers of one run, by the names of cases.json."""
    found = {}
    for name, pattern in PATTERNS.items():
        match = re.search(pattern, out, re.M)
        if match:
            values = [number(x) for x in match.groups()]
            found[name] = values[0] if len(values) == 1 else values
    found["pivot"] = "sample" if "around sample" in out else "beam"
    if "auto-selected tricubic" in out or "auto-selected no interp" in out:
        found["interpolation_auto"] = "auto-selected tricubic" in out
    found["oversample_flags"] = re.search(r"pixel oversample steps(.*)", out).group(1).split()
    found["phi_list_deg"] = listed(r"^phi\d+ = (\S+)", out)
    rows = re.search(r"created a total of \d+ sources:\n((?:[^ ].*\n)+)", out).group(1).splitlines()
    found["source_list_xyz_weight_lambda_m"] = [[float(x) for x in row.split()] for row in rows]
    sensor = re.search(rf"sensor is {G} m thick in (\d+) layers with mu= {G}", out).groups()
    found["sensor"] = dict(zip(("thick_m", "layers", "mu_per_m"), map(float, sensor)))
    if "polarization effect disabled" in out:
        found["kahn_factor"] = None
    for key, title, names in (("real_space_vectors_A", "real-space", "a b c"),
                              ("reciprocal_vectors_per_A", "reciprocal-space", "a_star b_star c_star")):
        rows = re.search(title + r" cell vectors.*\n.*\nX:(.*)\nY:(.*)\nZ:(.*)\n", out).groups()
        columns = zip(*[[float(x) for x in row.split()] for row in rows])
        found[key] = dict(zip(names.split(), map(list, columns)))
    return found


def close(a, b, slack=1e-9):
    if isinstance(b, dict):
        return all(close(a[k], b[k]) for k in b)
    if isinstance(b, list):
        return len(a) == len(b) and all(map(close, a, b))
    if isinstance(b, (int, float)) and isinstance(a, (int, float)):
        return abs(a - b) <= slack * abs(b)
    return a == b


# Their sums of squares are products in single precision, ours in double (D50): one unit in the sixth digit.
ROUNDED_TWICE = {"rms", "rmsd", "pgm_scale"}
DERIVED = {"close_distance", "requested_cell", "cell_angle_deviation_deg", "warnings", "oversample_flags",
           "fpixels", "spixels"}


def problems(stats, out):
    """Differences between the printed numbers and the stored ones."""
    found = parse(out)
    wrong = [f"{k}: {found.get(k)} != {v}" for k, v in stats.items()
             if k not in DERIVED and not close(found.get(k), v, 1e-5 if k in ROUNDED_TWICE else 1e-9)]
    lines = [x.strip() for x in out.splitlines()]
    wrong += [f"no line {w!r}" for w in stats.get("warnings", []) if w.strip() not in lines]
    flags = found["oversample_flags"]
    if flags != stats.get("oversample_flags", []):
        wrong.append(f"oversample flags {flags}")
    return wrong
