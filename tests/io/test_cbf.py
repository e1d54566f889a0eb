"""miniCBF: what is written is what fabio and our own reader find, and damage is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import fabio
import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.cbf import LEFT_OUT, NOT_RENDERED, is_pilatus, read_cbf, write_cbf
from nanobrag_torch.io.scene import Scene, SceneBeam, ScenePanel, rotation

X, Y, Z = np.eye(3)


@pytest.fixture
def scene() -> Scene:
    panel = ScenePanel(31, 22, 1.72e-4, np.array([0.1234567, 2e-3, -3e-3]), Z, -Y, thickness=3.2e-4, attenuation=4e3)
    beam = SceneBeam(X, 0.9795, np.array([0.9795]), np.ones(1), Z, 0.98, 1e20, exposure=0.1, size=5e-5)
    return Scene((panel,), beam, spindle=Z, phi=12.5, osc=0.25)


@pytest.fixture
def counts() -> np.ndarray:
    """Every length of a byte-offset code, and the two special values."""
    counts = np.random.default_rng(0).poisson(3.0, (22, 31))
    counts[3, 4:12] = [127, 128, 32767, 32768, 65535, 10**6, 2**31 - 2, 0]
    counts[0, 0], counts[5, 5] = NOT_RENDERED, LEFT_OUT
    return counts


def test_fabio_finds_the_counts(tmp_path, scene, counts):
    write_cbf(tmp_path / "a_0001.cbf", counts, scene, saturation=10**6)
    image = fabio.open(str(tmp_path / "a_0001.cbf"))
    np.testing.assert_array_equal(image.data, counts)
    assert image.data.dtype == np.int32


def test_fabio_understands_the_header_of_a_pilatus(tmp_path, scene):
    panel = replace(scene.panels[0], pixels_f=487, pixels_s=407)
    write_cbf(tmp_path / "a.cbf", np.zeros((407, 487)), replace(scene, panels=(panel,)), saturation=1048500)
    header = fabio.open(str(tmp_path / "a.cbf")).pilatus_headers
    found = {key: header[key] for key in ("Wavelength", "Detector_distance", "Start_angle", "Angle_increment")}
    assert found == {
        "Wavelength": 0.9795,
        "Detector_distance": 0.1234567,
        "Start_angle": 12.5,
        "Angle_increment": 0.25,
    }
    assert header["sensor"] == ("Silicon", 3.2e-4)
    assert header["Pixel_size"] == pytest.approx((1.72e-4, 1.72e-4))
    assert header["Beam_xy"] == pytest.approx((3e-3 / 1.72e-4, 2e-3 / 1.72e-4), abs=1e-4)
    assert header["Polarization"] == 0.99
    assert header["Exposure_time"] == 0.1
    assert header["Flux"] == pytest.approx(1e20 * 25e-10 / 0.1)
    assert header["Count_cutoff"] == 1048500


def test_our_reader_agrees(tmp_path, scene, counts):
    write_cbf(tmp_path / "a.cbf", counts, scene, saturation=7, phi=33.0, when=datetime(2020, 1, 2, 3, 4, 5))
    found, header = read_cbf(tmp_path / "a.cbf")
    np.testing.assert_array_equal(found, counts)
    assert header.number("Start_angle") == header.number("Phi") == 33.0
    assert header.number("Beam_xy", 1) == pytest.approx(2e-3 / 1.72e-4, abs=1e-4)
    assert header.number("Count_cutoff") == 7
    assert b"# 2020-01-02T03:04:05.000\r\n" in (tmp_path / "a.cbf").read_bytes()


def test_a_swing_is_said_apart(tmp_path, scene):
    """Beam_xy and Detector_distance are those at two-theta 0."""
    turn, panel = rotation(-Z, 20.0), scene.panels[0]
    turned = replace(panel, origin=turn @ panel.origin, fast=turn @ panel.fast, slow=turn @ panel.slow)
    swung = replace(scene, panels=(turned,), twotheta=20.0, twotheta_axis=-Z)
    write_cbf(tmp_path / "a.cbf", np.zeros((22, 31)), swung, saturation=1)
    header = read_cbf(tmp_path / "a.cbf")[1]
    assert header.number("Detector_2theta") == 20.0
    assert header.number("Detector_distance") == 0.1234567
    assert header.number("Beam_xy") == pytest.approx(3e-3 / 1.72e-4, abs=1e-4)


def test_only_sizes_of_a_pilatus_call_themselves_one(tmp_path, scene):
    sizes = {(487, 195): True, (981, 1043): True, (2463, 2527): True, (1024, 1024): False, (487, 200): False}
    panels = {size: replace(scene.panels[0], pixels_f=size[0], pixels_s=size[1]) for size in sizes}
    assert {size: is_pilatus(panel) for size, panel in panels.items()} == sizes
    write_cbf(tmp_path / "a.cbf", np.zeros((22, 31)), scene, saturation=1)
    assert b'"GENERIC_MINI"' in (tmp_path / "a.cbf").read_bytes()


def test_several_panels_are_refused_and_nexus_is_named(tmp_path, scene):
    two = replace(scene, panels=scene.panels * 2)
    with pytest.raises(InputError, match="2 panels, which miniCBF cannot describe; use -nexus"):
        write_cbf(tmp_path / "a.cbf", np.zeros((22, 31)), two, saturation=1, field="-cbf")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing(tmp_path, scene):
    with pytest.raises(InputError, match="folder does not exist"):
        write_cbf(tmp_path / "no" / "a.cbf", np.zeros((22, 31)), scene, saturation=1, field="-cbf")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[: len(data) // 2 - 2200], "cut short|checksum"),
        (lambda data: data[:600], "cut short"),
        (lambda data: data.replace(b"x-CBF_BYTE_OFFSET", b"x-CBF_PACKED"), "byte-offset"),
        (lambda data: data.replace(b"X-Binary-Size:", b"X-Binary-Sice:"), "X-Binary-Size is missing"),
        (lambda data: b"P5" + data, "not a CBF file"),
        (lambda data: data[:-4300] + b"\x07" + data[-4299:], "checksum"),
        (lambda data: b"", "not a CBF file"),
    ],
)
def test_damage_is_named(tmp_path, scene, counts, damage, words):
    path = tmp_path / "a.cbf"
    write_cbf(path, counts, scene, saturation=1)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileFormatError, match=f"a.cbf: .*({words})"):
        read_cbf(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileFormatError, match="unable to open"):
        read_cbf(tmp_path / "none.cbf")
