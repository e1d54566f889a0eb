"""-cbf and -nexus: which files a run writes, what they hold, and what is said of what they cannot hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nanobrag_torch.io.cbf import LEFT_OUT, NOT_RENDERED, read_cbf
from nanobrag_torch.io.nexus import read_nexus
from nanobrag_torch.io.smv import read_smv

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
        ("-detector_roty 5", "miniCBF cannot say that the detector is tilted; -nexus can"),
        ("-twotheta 5", "miniCBF cannot say that the two-theta swing has no axis"),
        ("-adxv", "readers mirror it"),
        ("-curved_det", "no format can say that the detector is curved"),
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
    done = run.small("-nexus a.nxs -cbf /dev/full")
    assert done.status == 9
    assert "-cbf: /dev/full cannot be written: No space left on device" in done.err
    assert done.files == {}
