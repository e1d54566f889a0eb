"""Traces of the compiled kernel's own numbers, beside the plain definition, in the precision that is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nanobrag_torch import native
from nanobrag_torch.kernels import traced
from nanobrag_torch.parity.trace import main, settled
from nanobrag_torch.parity.trace_compare import SINGLE_TOLERANCE, TOLERANCE, differences
from nanobrag_torch.parity.trace_shown import drawn, traced_value
from nanobrag_torch.physics import accumulate
from nanobrag_torch.pipeline.kernel_trace import kernel_taps, plain_taps

TABLE = f"-hkl {Path(__file__).parents[2] / 'examples' / 'P1.hkl'}"
BASE = (
    "-cell 40 45 50 -N 4 -misset 10 20 30 -phi 5 -osc 2 -phisteps 2 -lambda 1.2 -distance 60 -pixel 0.4 -detpixels 20 "
    "-polar 0.8 -mosaic 1 -mosaic_domains 3 -nonoise -nopgm"
)
FULL = "-default_F 100 -dispersion 2 -dispsteps 3 -oversample 2 -detector_thick 200 -detector_abs 300 -thicksteps 2"
SCENES = {
    "simple": "-default_F 100 -oversample 1",
    "everything": f"{FULL} -water 4 -detector_rotx 3 -twotheta 6",
    "factors per term": f"{FULL} -round_xtal -oversample_omega -oversample_polar -oversample_thick",
    "nearest": f"{TABLE} -nointerpolate -oversample 1",
    "tricubic": f"{TABLE} -interpolate -oversample 2 -gauss_xtal",
    "curved, cut": "-default_F 7 -oversample 2 -dmin 3 -curved_det -point_pixel",
    "top-hat": "-default_F 7 -oversample 1 -tophat_spots",
    "no polarization": "-default_F 7 -oversample 2 -nopolar",
}
PIXEL = (5, 13)

pytestmark = pytest.mark.skipif(native.load(traced.LIBRARY) is None, reason=native.why_missing(traced.LIBRARY))


def scene(words):
    return settled(f"{BASE} {words}".split())


def known(taps):
    return {(tap.place, tap.name): tap.values for tap in taps}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize("name", SCENES)
def test_every_number_is_that_of_the_definition(name, dtype, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    experiment = scene(SCENES[name])
    taps, plain = kernel_taps(experiment, *PIXEL, dtype), known(plain_taps(experiment, *PIXEL, dtype))
    wanted = known(taps)
    tolerance = TOLERANCE if dtype == torch.float64 else SINGLE_TOLERANCE
    assert set(wanted) <= set(plain)
    assert differences(taps, {key: plain[key] for key in wanted}, tolerance) == []
    names = {tap.name for tap in taps}
    assert {"scattering_vec_per_A", "hkl_rest", "F_latt", "I_orientations", "scaled_total"} <= names
    assert ("F_cell" in names) == (name in ("nearest", "tricubic"))
    assert ("running_total" in names) == (name not in ("simple", "nearest", "top-hat"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize("name", ["simple", "everything", "tricubic"])
def test_its_end_is_the_drawn_pixel(name, dtype, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    experiment = scene(SCENES[name])
    value = traced_value(experiment, kernel_taps(experiment, *PIXEL, dtype))
    image = drawn(experiment, *PIXEL, dtype)
    assert image.by.startswith("the compiled kernel")
    assert value == pytest.approx(image.value, rel=1e-11 if dtype == torch.float64 else 1e-5)


def test_single_precision_is_single():
    experiment = scene(SCENES["everything"])
    values = {d: known(kernel_taps(experiment, *PIXEL, d)) for d in (torch.float64, torch.float32)}
    for name in ("F_latt", "hkl_rest"):
        single = values[torch.float32]["kernel[0,0,0,0,0]", name]
        double = values[torch.float64]["kernel[0,0,0,0,0]", name]
        assert single == tuple(map(float, np.float32(single)))
        assert single != double
        assert np.abs(single) == pytest.approx(np.abs(double), rel=1e-4)


def lines(capsys, *words):
    status = main(["--pixel", *map(str, PIXEL), *words, "--", *f"{BASE} {SCENES['simple']}".split()])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_what_a_person_reads(capsys, monkeypatch):
    status, out, said = lines(capsys, "--kernel", "--taps", "F_latt,polarization")
    assert status == 0
    assert out.startswith("TRACE_KERNEL: kernel[0,0,0,0].polarization 0.99")
    assert "compiled kernel's own numbers" in said
    assert "built for tracing with the baseline instructions, in double precision" in said
    assert lines(capsys, "--kernel", "--compare")[:2] == (0, "30 quantities agree\n")
    plain = accumulate.polarization_factor
    monkeypatch.setattr(accumulate, "polarization_factor", lambda *a: plain(*a) * 1.25)
    status, out, _ = lines(capsys, "--kernel", "--compare")
    assert status == 3
    assert "kernel[0,0,0,0].polarization: relative difference 0.2" in out
    assert "  plain " in out
    assert "  kernel " in out


def test_the_plain_trace_takes_the_precision_of_the_line(capsys):
    words = f"{BASE} {SCENES['simple']} -dtype float32".split()
    told = []
    for line in (words, words[:-2]):
        assert main(["--pixel", "5", "13", "--json", "--", *line]) == 0
        told.append(json.loads(capsys.readouterr().out))
    single, double = ({(tap["place"], tap["name"]): tap["values"] for tap in one["taps"]} for one in told)
    factor = single["step[0,0,0,0,0,0]", "F_latt"]
    assert factor == [float(np.float32(factor[0]))]
    assert factor != double["step[0,0,0,0,0,0]", "F_latt"]
    assert single["term[0,0,0,0]", "scattering_vec_per_m"] == double["term[0,0,0,0]", "scattering_vec_per_m"]
    assert told[0]["shown"].startswith("the plain definition, in single precision; on this processor the image is")


def test_files(tmp_path, capsys):
    assert lines(capsys, "--kernel", "--compare", "--out-dir", str(tmp_path))[0] == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["trace_5_13.json", "trace_5_13_kernel.txt", "trace_5_13_plain.txt"]
    assert (tmp_path / "trace_5_13_plain.txt").read_text().startswith("TRACE_PLAIN: kernel[0,0,0,0]")


def test_without_the_library(capsys, monkeypatch):
    monkeypatch.setitem(native._FOUND, traced.LIBRARY, (None, "it was not built"))
    status, _, said = lines(capsys, "--kernel")
    assert status == 1
    assert said.endswith("the trace of the kernel: it was not built\n")
