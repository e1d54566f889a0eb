"""Every format becomes pictures with the numbers of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.cbf import write_cbf
from nanobrag_torch.io.nexus import NexusImages, write_nexus
from nanobrag_torch.io.pgm import write_pgm
from nanobrag_torch.io.rings import resolution
from nanobrag_torch.io.smv import read_smv
from nanobrag_torch.view import Hints, read_pictures
from nanobrag_torch.view.main import scene_of_words
from nanobrag_torch.view.pictures import native

WORDS = "-cell 40 45 50 -default_F 10 -detpixels_x 24 -detpixels_y 16 -pixel 2 -distance 60 -lambda 1.2 -phi 10 -osc 2"


def test_a_float_image_finds_its_header(float_file: Path) -> None:
    (picture,) = read_pictures(float_file)
    assert picture.scene is not None
    assert picture.notes == ("geometry from a.img",)
    np.testing.assert_array_equal(picture.pixels, np.fromfile(float_file, np.float32).reshape(80, 120))
    renamed = float_file.rename(float_file.with_name("floatimage.bin"))
    float_file.with_suffix(".img").rename(float_file.with_name("intimage.img"))
    assert read_pictures(renamed)[0].notes == ("geometry from intimage.img",)


def test_a_float_image_without_header_needs_a_hint(float_file: Path) -> None:
    lonely = float_file.rename(float_file.with_name("lonely.bin"))
    with pytest.raises(InputError, match="38400 bytes without a header; give --size"):
        read_pictures(lonely)
    (picture,) = read_pictures(lonely, Hints(size=(120, 80)))
    assert picture.scene is None
    assert read_pictures(lonely, Hints(header=float_file.with_suffix(".img")))[0].scene is not None
    with pytest.raises(FileFormatError, match="expected 400 for 10 x 10"):
        read_pictures(lonely, Hints(size=(10, 10)))
    with pytest.raises(FileFormatError, match="unable to open"):
        read_pictures(float_file.with_name("missing.bin"))
    other = scene_of_words(WORDS.split())
    with pytest.raises(InputError, match="120 x 80 pixels, but the scene that was given has 24 x 16"):
        read_pictures(float_file.with_suffix(".img"), Hints(scene=other))


def test_smv_pgm_and_cbf(float_file: Path, tmp_path: Path) -> None:
    (smv,) = read_pictures(float_file.with_suffix(".img"))
    counts, _ = read_smv(float_file.with_suffix(".img"))
    np.testing.assert_array_equal(smv.pixels, counts)
    assert smv.scene is not None
    write_pgm(tmp_path / "g.pgm", counts.astype(np.uint8), 1.0)
    (grey,) = read_pictures(tmp_path / "g.pgm")
    np.testing.assert_array_equal(grey.pixels, counts.astype(np.uint8))
    assert grey.scene is None
    write_cbf(tmp_path / "c.cbf", counts.astype(np.int32), smv.scene, saturation=9)
    (cbf,) = read_pictures(tmp_path / "c.cbf")
    np.testing.assert_array_equal(cbf.pixels, counts)
    assert cbf.scene is not None
    places = np.meshgrid(np.arange(120) + 0.5, np.arange(80) + 0.5)
    np.testing.assert_allclose(resolution(cbf.scene, *places), resolution(smv.scene, *places), rtol=1e-3)


def test_nexus_brings_its_crystal(tmp_path: Path) -> None:
    scene = scene_of_words(WORDS.split())
    frames = [(np.full((16, 24), value, np.int32),) for value in (3, 4, 5)]
    write_nexus(tmp_path / "n.nxs", NexusImages(frames, phi=[10.0, 12.0, 14.0]), scene)
    (picture,) = read_pictures(tmp_path / "n.nxs", Hints(frame=2))
    assert picture.name == "n.nxs, frame 2"
    assert int(picture.pixels.max()) == 4
    assert picture.scene is not None
    assert (picture.scene.phi, picture.scene.osc) == (12.0, 2.0)
    assert picture.scene.cell is not None
    assert scene.cell is not None
    np.testing.assert_allclose(np.linalg.norm(picture.scene.cell, axis=1), np.linalg.norm(scene.cell, axis=1))
    places = np.meshgrid(np.arange(24), np.arange(16))
    np.testing.assert_allclose(resolution(picture.scene, *places), resolution(scene, *places), rtol=1e-9)
    with pytest.raises(InputError, match="no frame 4"):
        read_pictures(tmp_path / "n.nxs", Hints(frame=4))


def test_wide_integers_become_narrow_ones() -> None:
    assert native(np.array([1, 2], np.int64)).dtype == np.uint8
    assert native(np.array([-1, 70000], np.int64)).dtype == np.int32
    assert native(np.array([0, 2**32 - 1], np.uint64)).dtype == np.uint32
    assert native(np.array([0, 2**40], np.int64)).dtype == np.float64
