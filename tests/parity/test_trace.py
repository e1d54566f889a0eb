from __future__ import annotations

import json

import pytest
import torch

from nanobrag_torch.parity import trace
from nanobrag_torch.parity.trace import main

LINE = [
    "-cell",
    "40",
    "45",
    "50",
    "-N",
    "4",
    "-default_F",
    "100",
    "-misset",
    "10",
    "20",
    "30",
    "-phi",
    "5",
    "-osc",
    "2",
    "-phisteps",
    "2",
    "-mosaic",
    "1",
    "-mosaic_domains",
    "3",
    "-lambda",
    "1.2",
    "-dispersion",
    "2",
    "-distance",
    "60",
    "-pixel",
    "0.4",
    "-detpixels",
    "20",
    "-detector_rotx",
    "3",
    "-detector_roty",
    "-4",
    "-twotheta",
    "6",
    "-detector_thick",
    "200",
    "-detector_abs",
    "300",
    "-oversample",
    "2",
    "-oversample_thick",
    "-polar",
    "0.8",
    "-water",
    "4",
    "-nonoise",
]
PIXEL = ["--pixel", "5", "13"]


def scaled(by: float):
    """A fault that multiplies what a function gives."""

    def fault(plain):
        return lambda *a, **k: plain(*a, **k) * by

    return fault


def shifted_sub_pixel(plain):
    def broken(*a, **k):
        f, s = plain(*a, **k)
        return f + 1e-7, s

    return broken


def wrong_way(plain):
    return lambda w, n, angle: plain(w, n, -angle)


def floor_instead(plain):
    def broken(x):
        nearest, rest = plain(x)
        return torch.floor(x), x - torch.floor(x)

    return broken


def next_reflection(plain):
    return lambda self, h, k, l, flat=None: plain(self, h, k, l, flat) * 1.001


FAULTS = [
    ("nanobrag_torch.physics.accumulate.polarization_factor", scaled(1.0001), "polar", "intensity 5"),
    ("nanobrag_torch.physics.accumulate.solid_angle", scaled(0.999), "omega_pixel_sr", "geometry 11"),
    ("nanobrag_torch.physics.accumulate.capture_fraction", scaled(1.01), "capture_fraction", "intensity 5"),
    ("nanobrag_torch.physics.accumulate.scattering_vectors", scaled(1.00001), "scattering_vec_per_m", "intensity 3"),
    ("nanobrag_torch.physics.accumulate.sub_pixel_coordinates", shifted_sub_pixel, "pixel_pos_meters", "geometry 10"),
    ("nanobrag_torch.physics.accumulate.norm", scaled(1.000001), "R_distance_meters", "geometry 11"),
    ("nanobrag_torch.geometry.orientation.rotate_about", wrong_way, "a_angstroms", "crystal 9"),
    ("nanobrag_torch.geometry.detector.rotate_xyz", scaled(1.00001), "fdet_after_rotz", "geometry 8"),
    ("nanobrag_torch.geometry.detector.rotate_about", wrong_way, "fdet_after_twotheta", "geometry 8"),
    ("nanobrag_torch.kernels.reference.fraction", floor_instead, "hkl_rounded", "intensity 3"),
    (
        "nanobrag_torch.kernels.structure_factors.StructureFactors.nearest",
        next_reflection,
        "F_cell",
        "structure_factors 3",
    ),
    ("nanobrag_torch.pipeline.trace.background_intensity", scaled(1.5), "I_before_scaling", "intensity 6"),
    ("nanobrag_torch.pipeline.trace.scaled", scaled(1.1), "I_pixel_final", "intensity 6"),
    (
        "nanobrag_torch.settling.beam.dispersion_steps",
        lambda plain: lambda n, r: plain(n, 1.01 * r),
        "lambda_meters",
        "sources 2",
    ),
    ("nanobrag_torch.pipeline.trace.phi_angles", scaled(1.001), "phi_deg", "crystal 9"),
]


def compared(capsys, *words: str) -> tuple[int, dict]:
    status = main([*PIXEL, "--compare", "--json", *words, "--", *LINE])
    return status, json.loads(capsys.readouterr().out)


def test_both_sides_agree(c_program, capsys):
    status, told = compared(capsys, "--all")
    assert (status, told["differences"]) == (0, [])
    assert len(told["taps"]) > 500


@pytest.mark.parametrize(("place", "fault", "tap", "spec"), FAULTS, ids=[f"{row[2]}" for row in FAULTS])
def test_a_fault_is_named_where_it_is(c_program, capsys, monkeypatch, place, fault, tap, spec):
    """One function is broken; the first quantity that differs is the one it makes, with its place in specs/."""
    owner, _, name = place.rpartition(".")
    plain = pytest.importorskip(owner) if "StructureFactors" not in owner else None
    if plain is None:
        from nanobrag_torch.kernels.structure_factors import StructureFactors as plain
    monkeypatch.setattr(plain, name, fault(getattr(plain, name)))
    status, told = compared(capsys)
    assert status == 3
    first = told["differences"][0]
    assert first["name"] == tap
    assert first["spec"].startswith(spec)
    assert first["c"] != first["py"]


def test_the_lattice_factor_too(c_program, capsys, monkeypatch):
    from nanobrag_torch.kernels.shapes import AMPLITUDES

    plain = AMPLITUDES["square"]
    monkeypatch.setitem(AMPLITUDES, "square", lambda *a: plain(*a) * 1.01)
    assert compared(capsys)[1]["differences"][0]["name"] == "F_latt"


def test_what_a_person_reads(c_program, capsys, monkeypatch):
    from nanobrag_torch.physics import accumulate

    monkeypatch.setattr(accumulate, "polarization_factor", scaled(1.5)(accumulate.polarization_factor))
    assert main([*PIXEL, "--compare", "--", *LINE]) == 3
    said = capsys.readouterr().out
    assert "term[0,0,0,0].polar: relative difference 0.5" in said
    assert "specs/intensity.md 5" in said


def test_lines(capsys):
    assert main([*PIXEL, "--taps", "f_cell,omega,pixel", "--", *LINE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("TRACE_PY: ") for line in lines)
    assert any(line.startswith("TRACE_PY: step[0,0,0,0,1,0].F_cell 100") for line in lines)
    assert any("pixel.I_pixel_final" in line for line in lines)
    assert not any("hkl_frac" in line for line in lines)


def test_files(c_program, tmp_path, capsys):
    assert main([*PIXEL, "--compare", "--out-dir", str(tmp_path), "--tag", "one", "--", *LINE]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "trace_one_5_13.json",
        "trace_one_5_13_c.txt",
        "trace_one_5_13_py.txt",
    ]
    assert "quantities agree" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--", *LINE], 1, "--pixel"),
        (PIXEL, 1, "behind `--`"),
        (["--pixel", "99", "0", "--", *LINE], 1, "outside"),
        ([*PIXEL, "--taps", "nonsense", "--", *LINE], 1, "no quantity is called nonsense"),
        ([*PIXEL, "--", "-cell", "40", "-N", "x"], 1, "-N"),
        ([*PIXEL, "--", "--help"], 1, "no scene"),
        ([*PIXEL, "--compare", "--c-bin", "/nowhere", "--", *LINE], 2, "/nowhere"),
        ([*PIXEL, "--compare", "--c-bin", "/bin/echo", "--", *LINE], 2, "prints no traces"),
    ],
)
def test_bad_input(capsys, words, status, said):
    assert main(words) == status
    assert said in capsys.readouterr().err


def test_a_seed_is_shared(c_program, capsys, monkeypatch):
    """A random misset without a seed gets one, or the two sides would turn the crystal differently."""
    monkeypatch.setattr(trace.time, "time", lambda: 12.0)
    at = LINE.index("-misset") + 1
    line = [*LINE[:at], "random", *LINE[at + 3 :]]
    assert main([*PIXEL, "--compare", "--", *line]) == 0
    assert "-misset_seed 12 added" in capsys.readouterr().err


def test_taps_of_look_ups_running_sum_and_background(capsys):
    line = "-cell 40 45 50 -N 4 -default_F 100 -detpixels 8 -pixel 1 -distance 60 -oversample 2 -water 10 -fluence 1e24"
    assert main(["--pixel", "2", "3", "--all", "--json", "--", *line.split()]) == 0
    taps = json.loads(capsys.readouterr().out)["taps"]
    values = {(tap["place"], tap["name"]): tap["values"] for tap in taps}
    pixel = {name: v for (place, name), v in values.items() if place == "pixel"}
    assert pixel["F_cell_lookups"] == [4.0]
    assert pixel["F_cell_outside_table"] == [4.0]
    assert pixel["F_cell_zero"] == [0.0]
    assert pixel["F_cell_bounds"] == [100.0, 100.0]
    steps = [v[0] for (place, name), v in values.items() if place.startswith("step") and name == "I_contribution"]
    running = [v[0] for (_, name), v in values.items() if name == "I_running"]
    assert running[-1] == pytest.approx(sum(steps), rel=1e-12)
    assert pixel["I_before_scaling"][0] == pytest.approx(pixel["I_background"][0] + running[-1], rel=1e-12)
    factors = pixel["omega_pixel"][0] * pixel["polar"][0] * pixel["capture_fraction"][0]
    assert pixel["I_pixel_final"][0] == pytest.approx(pixel["I_normalised"][0] * factors, rel=1e-12)
    assert not any(str(v) == "-0.0" for tap in taps for v in tap["values"])
