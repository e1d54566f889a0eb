"""Geometry from headers: what the C program's own numbers say, and what is not enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch.cli.main import main as nanobrag
from nanobrag_torch.io.cbf import CbfHeader
from nanobrag_torch.io.rings import resolution
from nanobrag_torch.view.headers import scene_of_cbf, scene_of_smv
from nanobrag_torch.view.main import scene_of_words

WORDS = "-cell 40 45 50 80 95 100 -default_F 10 -N 2 -detpixels_x 24 -detpixels_y 16 -pixel 2 -distance 60"
PLACES = np.meshgrid(np.arange(24) + 0.5, np.arange(16) + 0.5)


@pytest.mark.filterwarnings("ignore::nanobrag_torch.errors.NanobragWarning")
@pytest.mark.parametrize("physics", ["nanobragg", "exact"])
@pytest.mark.parametrize(
    "flags",
    [
        "",
        "-xds -ORGX 3 -ORGY 12",
        "-twotheta 20",
        "-adxv -Xbeam 10 -detector_rotx 5 -detector_roty 9",
        "-dials -twotheta 33",
    ],
)
def test_our_own_headers_tell_the_resolution_of_every_pixel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, physics: str
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*WORDS.split(), *flags.split(), "-lambda", "1.2", "-oversample", "1", "-physics", physics]
    assert nanobrag([*words, "-quiet", "-seed", "1", "-nopgm"]) == 0
    said = scene_of_smv("intimage.img")
    assert said.note == ""
    assert said.scene is not None
    wanted = resolution(scene_of_words(words), *PLACES)
    np.testing.assert_allclose(resolution(said.scene, *PLACES), wanted, rtol=1e-4)


def smv(path: Path, *lines: str) -> Path:
    """An SMV file of 4 x 3 pixels with further header lines."""
    text = "{\nHEADER_BYTES=512;\nSIZE1=4;\nSIZE2=3;\n" + "".join(f"{line};\n" for line in lines) + "}\f"
    path.write_bytes(text.ljust(512).encode() + bytes(24))
    return path


def test_foreign_headers(tmp_path: Path) -> None:
    square = ("PIXEL_SIZE=0.1", "DISTANCE=100", "WAVELENGTH=1", "BEAM_CENTER_X=0.15", "BEAM_CENTER_Y=0.2")
    said = scene_of_smv(smv(tmp_path / "a.img", *square))
    assert "BEAM_CENTER_X along the slow axis" in said.note
    assert said.scene is not None
    assert said.scene.panels[0].meets(said.scene.beam.direction) == pytest.approx((2e-4, 1.5e-4, 0.1))
    assert scene_of_smv(smv(tmp_path / "b.img", *square, "TWOTHETA=5")).scene is None
    assert "no WAVELENGTH and no DISTANCE" in scene_of_smv(smv(tmp_path / "c.img", "PIXEL_SIZE=0.1")).note
    assert "no beam centre" in scene_of_smv(smv(tmp_path / "d.img", *square[:3])).note


def test_cbf_headers() -> None:
    words = {
        "Pixel_size": "172e-6 m x 172e-6 m",
        "Detector_distance": "0.2 m",
        "Beam_xy": "(10.0, 20.5) pixels",
        "Wavelength": "1.1 A",
        "Detector_2theta": "0.0 deg.",
    }
    said = scene_of_cbf(CbfHeader(words), (30, 20))
    assert said.scene is not None
    f, s, distance = said.scene.panels[0].meets(said.scene.beam.direction)
    assert (f / 172e-6, s / 172e-6, distance) == pytest.approx((10.0, 20.5, 0.2))
    assert (said.scene.panels[0].pixels_f, said.scene.panels[0].pixels_s) == (20, 30)
    assert "swing" in scene_of_cbf(CbfHeader(words | {"Detector_2theta": "5 deg."}), (30, 20)).note
    assert "no distance" in scene_of_cbf(CbfHeader({}), (30, 20)).note
    assert "not positive" in scene_of_cbf(CbfHeader(words | {"Wavelength": "0 A"}), (30, 20)).note
