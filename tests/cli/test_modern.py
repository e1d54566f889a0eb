"""-cbf, -nexus, -expt and -spectrum: files that carry geometry and spectra, out and in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanobrag_torch.io.cbf import LEFT_OUT, NOT_RENDERED, read_cbf
from nanobrag_torch.io.nexus import read_nexus
from nanobrag_torch.io.smv import read_smv

EXAMPLE = Path(__file__).parents[2] / "examples" / "multipanel.expt"
LIGHT = f"-expt {EXAMPLE} -default_F 10 -N 3 -oversample 1 -phisteps 1 -noprogress -seed 1 -fluence 1e26"
BRIGHT = "-fluence 1e28"


def test_classic_files_only_if_named(run: Any) -> None:
    assert set(run.small("-cbf a.cbf -nexus a.nxs").files) == {"a.cbf", "a.nxs"}
    named = run.small("-nexus a.nxs -floatfile f.bin -intfile i.img -noisefile n.img -pgmfile p.pgm -png p.png")
    assert set(named.files) == {"a.nxs", "f.bin", "i.img", "n.img", "p.pgm", "p.png"}


def test_without_noise(run: Any) -> None:
    done = run.small(f"-cbf a.cbf -nexus a.nxs -floatfile f.bin {BRIGHT}")
    values = done.image(12, 12, "f.bin")
    counts, header = read_cbf(done.folder / "a.cbf")
    np.testing.assert_array_equal(counts, np.rint(values))
    assert counts.max() > 10
    assert header.number("Wavelength") == 1.2
    data = read_nexus(done.folder / "a.nxs").data
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data[0], values)


def test_noise_is_that_of_the_noise_file(run: Any) -> None:
    done = run.small(f"-cbf a.cbf -nexus a.nxs -noisefile n.img -adc 10 {BRIGHT}")
    counts = read_smv(done.folder / "n.img")[0].astype(int) - 10
    found, header = read_cbf(done.folder / "a.cbf")
    np.testing.assert_array_equal(found, counts)
    np.testing.assert_array_equal(read_nexus(done.folder / "a.nxs").data[0], counts)
    assert header.number("Count_cutoff") == 65535
    assert f"{counts.sum()} photons with noise (0 overloads)" in done.out


def test_pixels_that_were_not_rendered(run: Any) -> None:
    done = run.small(f"-cbf a.cbf -nexus a.nxs -roi 2 9 0 11 -mask mask.img {BRIGHT}")
    counts, mask = read_cbf(done.folder / "a.cbf")[0], read_nexus(done.folder / "a.nxs").mask
    assert (counts[:, :2] == NOT_RENDERED).all()
    assert (counts[3:5, 2:10] == LEFT_OUT).all()
    assert (counts[5:, 2:10] >= 0).all()
    assert ((mask == 0) == (counts >= 0)).all()


def test_the_spindle(run: Any) -> None:
    done = run.small("-cbf a.cbf -nexus a.nxs -phi 20 -osc 0.5")
    header = read_cbf(done.folder / "a.cbf")[1]
    assert (header.number("Start_angle"), header.number("Angle_increment")) == (20.0, 0.5)
    assert read_nexus(done.folder / "a.nxs").phi == pytest.approx([20.0])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-detector_roty 5", "miniCBF cannot express that the detector is tilted; -nexus can"),
        ("-twotheta 5", "miniCBF cannot express that the two-theta swing has no axis"),
        ("-adxv", "readers mirror it"),
        ("-curved_det", "no format can express that the detector is curved"),
        ("-dials -osc 1", "spindle is not along the fast axis"),
        ("-dispersion 1", "several wavelengths"),
    ],
)
def test_what_a_minicbf_leaves_out_is_said(run: Any, line: str, words: str) -> None:
    done = run.small(f"-cbf a.cbf {line}")
    assert done.status == 0
    assert words in done.err


def test_nexus_says_it_all(run: Any) -> None:
    done = run.small("-nexus a.nxs -detector_roty 5 -twotheta 5 -dispersion 1")
    assert done.err == ""


def test_classic_files_are_written_without_remark(run: Any) -> None:
    assert run.small("-detector_roty 5").err == ""


@pytest.mark.parametrize("flag", ["-cbf", "-nexus"])
def test_a_name_that_cannot_be_written_is_refused_at_once(run: Any, flag: str) -> None:
    done = run.small(f"{flag} no_such_folder/a")
    assert (done.status, done.files, done.out) == (9, {}, "")
    assert done.err == f"nanobrag: {flag}: no_such_folder/a cannot be written: its folder does not exist; " + (
        "choose another file name\n"
    )


def test_a_full_disk_leaves_no_partial_file(run: Any) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    run.monkeypatch.setattr("os.fsync", full)
    done = run.small("-nexus a.nxs -cbf a.cbf")
    assert done.status == 9
    assert "-cbf: a.cbf cannot be written: No space left on device" in done.err
    assert done.files == {}


def test_panels_of_an_experiment_list(run: Any) -> None:
    done = run(f"{LIGHT} -nexus a.nxs -png a.png")
    assert (done.status, set(done.files)) == (0, {"a.nxs", "a.png"}), done.err
    found = read_nexus(done.folder / "a.nxs")
    assert len(found.panels) == 6
    assert found.data.shape == (1, 1200, 280)
    np.testing.assert_allclose(found.panels[0].origin, [0.0432, 0.0474, 0.09], atol=1e-12)
    assert found.phi == pytest.approx([10.0])


@pytest.mark.parametrize(
    ("line", "flag", "words"),
    [
        ("", "-floatfile", "6 panels, and a float image holds one; use -nexus"),
        ("-cbf a.cbf -nexus a.nxs", "-cbf", "6 panels, and miniCBF holds one; use -nexus"),
        ("-nexus a.nxs -noisefile n.img", "-noisefile", "6 panels, and SMV holds one"),
        ("-nexus a.nxs -distance 100", "-distance", "the detector comes from -expt"),
        ("-nexus a.nxs -xds", "-xds", "the detector comes from -expt"),
        ("-nexus a.nxs -img camera.img", "-img camera.img", "the detector comes from -expt"),
        ("-nexus a.nxs -roi 1 2 3 4", "-roi", "a region is not defined on several panels"),
    ],
)
def test_what_does_not_go_with_panels(run: Any, line: str, flag: str, words: str) -> None:
    done = run(f"{LIGHT} {line}")
    assert (done.status, done.files) == (9, {})
    assert done.err.startswith(f"nanobrag: {flag}: ")
    assert words in done.err


def one_panel(tilt: float = 0.0) -> str:
    """The example with its first panel alone, tilted about x (degrees)."""
    content = json.loads(EXAMPLE.read_text())
    detector = content["detector"][0]
    cos, sin = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    del detector["hierarchy"]
    detector["panels"] = [detector["panels"][0] | {"slow_axis": [0, -cos, sin], "origin": [-20.0, 15.0, -90.0]}]
    return json.dumps(content)


def test_one_panel_goes_into_every_file(run: Any) -> None:
    run.more = {"one.expt": one_panel()}
    line = LIGHT.replace(str(EXAMPLE), "one.expt")
    done = run(f"{line} -cbf a.cbf -nexus a.nxs -floatfile f.bin -noisefile n.img -adc 0 -lambda 1.0")
    assert (done.status, done.err) == (0, "")
    counts, header = read_cbf(done.folder / "a.cbf")
    np.testing.assert_array_equal(counts, read_smv(done.folder / "n.img")[0])
    assert header.number("Detector_distance") == 0.09
    assert header.number("Beam_xy") == pytest.approx(20.0 / 0.15, abs=1e-4)
    assert header.number("Polarization") == 0.99
    assert "custom convention selected." in done.out


def test_a_tilted_panel_of_an_experiment_list_is_said_of_smv_too(run: Any) -> None:
    run.more = {"one.expt": one_panel(3.0)}
    done = run(f"{LIGHT.replace(str(EXAMPLE), 'one.expt')} -noisefile n.img")
    assert "SMV cannot express that the detector is tilted; -nexus can" in done.err


def test_the_crystal_of_a_list_stays_at_another_wavelength(run: Any) -> None:
    run.more = {"one.expt": one_panel()}
    line = LIGHT.replace(str(EXAMPLE), "one.expt")
    cells = [
        run(f"{line} -nexus a.nxs {more}").out.split("Unit Cell: ")[1].split("\n")[0] for more in ("", "-lambda 1.3")
    ]
    assert cells[0] == cells[1] == "45 55 65 90 90 90"


def test_a_matrix_takes_the_place_of_the_crystal(run: Any) -> None:
    done = run(f"{LIGHT} -nexus a.nxs -mat A.mat")
    assert "Unit Cell: 50 40.0" in done.out


@pytest.mark.parametrize(("name", "text", "words"), [("a.expt", "{", "line 1"), ("none.expt", "", "not JSON")])
def test_a_broken_list(run: Any, name: str, text: str, words: str) -> None:
    run.more = {name: text}
    done = run(f"{LIGHT.replace(str(EXAMPLE), name)} -nexus a.nxs")
    assert (done.status, set(done.files)) == (9, {name})
    assert f"{name}: " in done.err
    assert words in done.err


@pytest.mark.parametrize("physics", ["nanobragg", "exact"])
def test_a_spectrum_is_the_weighted_mean_of_its_lines(run: Any, physics: str) -> None:
    base = f"-divergence 5 -divsteps 2 -physics {physics} -lambda 1.2"
    one, two = (
        run.small(f"{base} -lambda {12398.42 / energy!r}").image(12, 12).astype(float) for energy in (10300, 10400)
    )
    both = run.small(f"{base} -spectrum spectrum.txt").image(12, 12)
    np.testing.assert_allclose(both, one / 3 + two * 2 / 3, rtol=1e-6)


def test_a_spectrum_without_a_wavelength(run: Any) -> None:
    """The central wavelength is the mean of the photons."""
    line = "-cell 40 -default_F 50 -N 4 -detpixels 12 -pixel 4 -oversample 1 -nonoise -spectrum spectrum.txt"
    done = run(f"{line} -nexus a.nxs")
    mean = (12398.42 / 10300 + 2 * 12398.42 / 10400) / 3
    assert read_nexus(done.folder / "a.nxs").wavelength == pytest.approx(mean)
    assert "% in 2 steps" in done.out
    assert "created a total of 2 sources" in done.out


@pytest.mark.parametrize("other", ["-sourcefile sources.txt", "-dispersion 1", "-dispsteps 3"])
def test_two_sources_of_wavelengths(run: Any, other: str) -> None:
    done = run.small(f"-spectrum spectrum.txt {other}")
    assert (done.status, done.files) == (9, {})
    assert f"nanobrag: {other.split()[0]}: the wavelengths are those of the spectrum file already" in done.err
