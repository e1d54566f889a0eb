"""A master reads as one file would; missing and damaged parts are named."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.nexus import NexusImages, read_nexus, write_nexus
from nanobrag_torch.io.nexus_joined import Joined
from nanobrag_torch.io.scene import Scene, SceneBeam, ScenePanel

X, Y, Z = np.eye(3)
PANEL = ScenePanel(6, 4, 1e-4, np.array([0.1, 1e-3, -1.5e-3]), Z, -Y)
BEAM = SceneBeam(X, 1.1, np.array([1.1]), np.ones(1), Z, 0.5, 1e20)
SCENE = Scene((PANEL,), BEAM, spindle=Z, phi=3.0, osc=1.0)
WHEN = datetime(2000, 1, 1, tzinfo=UTC)


def joined(folder, dtype=np.int32, count=3, stem="a") -> list[np.ndarray]:
    """Images, each in its file, and a master."""
    frames = [np.arange(24, dtype=dtype).reshape(4, 6) + 100 * i for i in range(count)]
    names = [f"{stem}_{i}.nxs" for i in range(count)]
    for i, (name, frame) in enumerate(zip(names, frames, strict=True)):
        write_nexus(folder / name, NexusImages([(frame,)], [3.0 + i], when=WHEN), replace(SCENE, phi=3.0 + i))
    images = NexusImages(Joined(names, dtype is np.int32), [3.0 + i for i in range(count)], when=WHEN)
    write_nexus(folder / f"{stem}.nxs", images, SCENE)
    return frames


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_a_master_reads_as_one_file(tmp_path, monkeypatch, dtype):
    frames = joined(tmp_path, dtype)
    monkeypatch.chdir(tmp_path.parent)
    found = read_nexus(tmp_path / "a.nxs")
    assert found.data.dtype == dtype
    np.testing.assert_array_equal(found.data, frames)
    assert found.phi.tolist() == [3.0, 4.0, 5.0]
    np.testing.assert_array_equal(read_nexus(tmp_path / "a.nxs", slice(1, 2)).data, frames[1:2])


def test_a_master_moves_with_its_files(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    frames = joined(old)
    old.rename(new)
    np.testing.assert_array_equal(read_nexus(new / "a.nxs").data, frames)


def test_percent_signs_are_no_numbers(tmp_path):
    frames = joined(tmp_path, stem="50%b%d")
    np.testing.assert_array_equal(read_nexus(tmp_path / "50%b%d.nxs").data, frames)


def test_a_missing_file_is_named(tmp_path):
    joined(tmp_path)
    (tmp_path / "a_1.nxs").unlink()
    with pytest.raises(FileFormatError, match=r"a.nxs: a_1.nxs, one of the 3 files that it joins, is missing"):
        read_nexus(tmp_path / "a.nxs")
    assert read_nexus(tmp_path / "a.nxs", slice(0, 1)).data.shape == (1, 4, 6)
    with h5py.File(tmp_path / "a.nxs") as file:
        assert (file["/entry/data/data"][1] == -1).all()


def test_the_same_images_give_the_same_bytes(tmp_path):
    one, other = tmp_path / "1", tmp_path / "2"
    for folder in (one, other):
        folder.mkdir()
        joined(folder)
    os.utime(one / "a_0.nxs", (1, 1))
    assert (one / "a.nxs").read_bytes() == (other / "a.nxs").read_bytes()
