"""`-physics` from words to files, and what is said of defects on the way."""

from __future__ import annotations

import re

import numpy as np
import pytest

from nanobrag_torch.cli.main import main
from nanobrag_torch.io.smv import read_smv

BASE = (
    "-default_F 100 -cell 50 60 70 80 95 105 -N 4 -detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 -lambda 1.2 "
    "-oversample 2 -nopgm -nonoise -noprogress -seed 3"
)
DEFECTS = "-gauss_xtal -water 10 -point_pixel -detector_thick 100 -detector_abs 80 -misset random -misset_seed 5"


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Words → image, standard output, standard error."""

    def outcome(words):
        monkeypatch.chdir(tmp_path)
        capfd.readouterr()
        assert main(f"{BASE} {words}".split()) == 0
        said = capfd.readouterr()
        image = np.fromfile(tmp_path / "floatimage.bin", np.float32).reshape(16, 20)
        return image, said.out, said.err

    return outcome


def test_faithful_is_the_default_and_names_each_defect_once(run):
    image, out, err = run(DEFECTS)
    named = re.findall(r"^nanobrag: warning: (D[\d/D]+): ", err, re.MULTILINE)
    assert sorted(named) == ["D25", "D26", "D27", "D29", "D30", "D46"]
    assert not re.search(r"\bD\d\d\b", out)
    same, again, errors = run(f"{DEFECTS} -physics nanobragg")
    np.testing.assert_array_equal(image, same)
    assert (out, err) == (again, errors)


def test_exact_draws_another_image_and_says_nothing(run, scene, render):
    faithful, _, _ = run(DEFECTS)
    image, out, err = run(f"{DEFECTS} -physics exact")
    assert "warning" not in err
    assert "Unit Cell: 50 60 70 80 95 105" in out
    assert np.abs(image - faithful).max() > 0.1 * image.max()
    asked = {"cell_a": 50.0, "cell_b": 60.0, "cell_c": 70.0, "cell_alpha": 80.0, "cell_beta": 95.0, "cell_gamma": 105.0}
    said = {"shape": "gauss", "water_um": 10.0, "point_pixel": True, "thickness_um": 100.0}
    said |= {"attenuation_depth_um": 80.0, "misset_random": True, "misset_seed": 5, "oversample": 2, **asked}
    np.testing.assert_allclose(image, render("exact", **said).astype(np.float32), rtol=1e-6)


def test_nothing_is_said_where_no_defect_takes_part(run):
    _, _, err = run("-cell 40 45 50 90 90 90")
    assert err == ""


def test_exact_report_and_header_are_true(run, tmp_path):
    """Swung about the sample by 20 degrees: the beam hits further out and further away."""
    tilted = "-cell 40 45 50 90 90 90 -xds -twotheta 20 -ORGX 10.5 -ORGY 8.5 -mosaic 1 -mosaic_domains 5"
    _, out, _ = run(f"{tilted} -physics exact")
    # About [1 0 0] the swing moves the beam along the slow axis, by 60 mm times the tangent of 20 degrees.
    distance, across = 60.0 / np.cos(np.radians(20.0)), 60.0 * np.tan(np.radians(20.0))
    assert float(re.search(r"distance=(\S+)", out)[1]) == pytest.approx(distance * 1e-3, rel=1e-5)
    fast, slow = (float(x) for x in re.search(r"Fbeam=(\S+) Sbeam=(\S+)", out).groups())
    assert fast == pytest.approx(4e-3, rel=1e-5)
    assert abs(slow - 3.2e-3) == pytest.approx(across * 1e-3, rel=1e-5)
    solid_angle = float(re.search(r"solid angle subtended by detector = (\S+)", out)[1])
    assert solid_angle == pytest.approx(4.0 * np.arctan(4 * 3.2 / 60 / np.sqrt(60**2 + 4**2 + 3.2**2)), rel=1e-3)
    _, facts = read_smv(tmp_path / "intimage.img")
    assert facts.close_distance == pytest.approx(60.0, rel=1e-5)
    assert (facts.beam_centre_x, facts.beam_centre_y) == pytest.approx((1e3 * fast, 1e3 * slow), rel=1e-5)


def test_random_orientation_follows_the_noise_seed(run):
    _, first, _ = run("-misset random -physics exact")
    _, second, _ = run("-misset random -misset_seed 3 -physics exact")
    angles = [re.search(r"misset angles: (.*) deg", out)[1] for out in (first, second)]
    assert angles[0] == angles[1]
