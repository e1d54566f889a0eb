"""Measured frames: every format gives the values that were put in, and what cannot be believed is left out."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError, InputError, NanobragWarning
from nanobrag_torch.io.cbf import write_cbf
from nanobrag_torch.io.expt import write_expt
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.frame_files import open_frames
from nanobrag_torch.io.nexus import NexusImages, write_nexus
from nanobrag_torch.io.scene import Scene, SceneBeam, ScenePanel
from nanobrag_torch.refine.frames import read_frames

h5py = pytest.importorskip("h5py")
SLOW, FAST = 30, 40
RNG = np.random.default_rng(8)
IMAGES = RNG.integers(0, 1000, (3, SLOW, FAST)).astype(np.int32)


def scene(panels: int = 1) -> Scene:
    x, y, z = np.eye(3)
    plates = tuple(
        ScenePanel(FAST, SLOW, 1e-4, np.array([-2e-3 + 5e-3 * i, 1.5e-3, -0.1]), x, -y) for i in range(panels)
    )
    beam = SceneBeam(-z, 1.0, np.ones(1), np.ones(1), x, 0.0, 1e24)
    return Scene(plates, beam, spindle=x, phi=5.0, osc=0.5, cell=np.diag([10.0, 11.0, 12.0]))


def expt(folder: Path, images, panels: int = 1, **changes) -> Path:
    write_expt(folder / "a.expt", scene(panels), frames=3, images=images)
    if changes:
        import json

        content = json.loads((folder / "a.expt").read_text())
        for panel in content["detector"][0]["panels"]:
            panel.update(changes)
        (folder / "a.expt").write_text(json.dumps(content))
    return folder / "a.expt"


def smv(path: Path, values: np.ndarray, order: str = "little_endian") -> None:
    slow, fast = values.shape
    lines = f"HEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER={order};\nTYPE=unsigned_short;\nSIZE1={fast};\nSIZE2={slow};\n"
    kind = "<u2" if order == "little_endian" else ">u2"
    path.write_bytes(f"{{\n{lines}}}\f".ljust(512).encode() + values.astype(kind).tobytes())


def cbf(folder: Path) -> Path:
    for number, image in enumerate(IMAGES, start=1):
        write_cbf(folder / f"a_{number:03d}.cbf", image, scene(), saturation=65535)
    return expt(folder, "a_###.cbf")


def zipped(folder: Path) -> Path:
    cbf(folder)
    for path in folder.glob("*.cbf"):
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return expt(folder, "a_###.cbf.gz")


def smv_files(folder: Path) -> Path:
    for number, image in enumerate(IMAGES, start=1):
        smv(folder / f"a_{number:03d}.img", image, "big_endian" if number == 2 else "little_endian")
    return expt(folder, "a_###.img")


def zipped_smv(folder: Path) -> Path:
    smv_files(folder)
    for path in folder.glob("*.img"):
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return expt(folder, "a_###.img.gz")


def nexus(folder: Path) -> Path:
    write_nexus(folder / "a.nxs", NexusImages(((image,) for image in IMAGES), [5.0, 5.5, 6.0]), scene())
    return expt(folder, "a.nxs")


def eiger(folder: Path) -> Path:
    """A master file with links to two files of images, bitshuffled, and a mask."""
    import hdf5plugin

    with h5py.File(folder / "a_master.h5", "w") as master:
        for number, part in enumerate((IMAGES[:2], IMAGES[2:]), start=1):
            name = f"a_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as file:
                file.create_dataset(
                    "/entry/data/data", data=part.astype(np.uint32), chunks=(1, SLOW, FAST), **hdf5plugin.Bitshuffle()
                )
            master[f"/entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        mask = np.zeros((SLOW, FAST), np.uint32)
        mask[3, 4] = 1
        master["/entry/instrument/detector/detectorSpecific/pixel_mask"] = mask
        master["/entry/instrument/detector/saturation_value"] = 900
    return expt(folder, "a_master.h5")


@pytest.mark.parametrize("make", [cbf, zipped, smv_files, zipped_smv, nexus, eiger])
def test_values_come_as_they_were_written(tmp_path, make):
    frames = read_frames(make(tmp_path))
    assert len(frames) == 3
    assert frames.counts[0].shape == (3, SLOW, FAST)
    np.testing.assert_array_equal(frames.counts[0][:], IMAGES)
    np.testing.assert_array_equal(frames.counts[0][1], IMAGES[1])
    np.testing.assert_array_equal(frames.counts[0][[2, 0]], IMAGES[[2, 0]])
    assert [frame.number for frame in frames.frames] == [1, 2, 3]
    assert frames.of_experiment(0) == [0, 1, 2]
    assert frames.experiment(2).scan.start == 5.0
    np.testing.assert_array_equal(frames.some([2]).counts[0][0], IMAGES[2])


def test_the_mask_and_range_of_an_eiger_are_used(tmp_path):
    file = open_frames(eiger(tmp_path).with_name("a_master.h5"))
    assert file.trusted == (None, 900.0)
    frames = read_frames(tmp_path / "a.expt")
    assert not frames.mask[0][3, 4]
    assert frames.mask[0].sum() == SLOW * FAST - 1
    np.testing.assert_array_equal(frames.saturated(1)[0], frames.mask[0] & (IMAGES[1] >= 900))
    np.testing.assert_array_equal(frames.good(1)[0], frames.mask[0] & (IMAGES[1] < 900))


def test_images_of_newer_links_are_virtual(tmp_path):
    eiger(tmp_path)
    layout = h5py.VirtualLayout((3, SLOW, FAST), np.uint32)
    for number, count in ((1, 2), (2, 1)):
        source = h5py.VirtualSource(f"a_data_{number:06d}.h5", "/entry/data/data", (count, SLOW, FAST))
        layout[2 * (number - 1) : 2 * (number - 1) + count] = source
    with h5py.File(tmp_path / "v.nxs", "w") as file:
        file.create_group("/entry/data").create_virtual_dataset("data", layout)
    np.testing.assert_array_equal(read_frames(expt(tmp_path, "v.nxs")).counts[0][2], IMAGES[2])
    (tmp_path / "a_data_000002.h5").unlink()
    with pytest.raises(FileFormatError, match=r"a_data_000002.h5, one of the files that it joins, is missing"):
        read_frames(tmp_path / "a.expt").counts[0][2]


def test_links_out_of_the_folder_are_refused(tmp_path):
    (tmp_path / "private").mkdir()
    eiger(tmp_path / "private")
    with h5py.File(tmp_path / "stranger.h5", "w") as file:
        file["/entry/data/data"] = h5py.ExternalLink("../private/a_data_000001.h5", "/entry/data/data")
    (tmp_path / "open").mkdir()
    (tmp_path / "stranger.h5").rename(tmp_path / "open" / "stranger.h5")
    with pytest.raises(FileFormatError, match="outside the folder of the file"):
        open_frames(tmp_path / "open" / "stranger.h5")


def test_photons_and_pixels_that_can_be_believed(tmp_path):
    image = np.full((SLOW, FAST), 25, np.int32)
    image[0, :4] = -1, -2, 200, 199
    for number in (1, 2, 3):
        write_cbf(tmp_path / f"a_{number}.cbf", image, scene(), saturation=200)
    path = expt(tmp_path, "a_#.cbf", gain=4.0, pedestal=5.0, trusted_range=[-1.0, 200.0], mask=[[10, 3, 12, 5]])
    frames = read_frames(path)
    assert frames.photons(0)[0][9, 9] == 5.0
    good = frames.good(0)[0]
    np.testing.assert_array_equal(good[0, :5], [False, False, False, True, True])
    assert not good[3:5, 10:12].any()
    assert good.sum() == SLOW * FAST - 3 - 4
    assert np.argwhere(frames.saturated(0)[0]).tolist() == [[0, 2]]


def test_values_of_an_eiger_without_meaning(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        image = np.full((3, SLOW, FAST), 7, np.uint16)
        image[:, 2, 2] = 65535
        file["/entry/data/data"] = image
    frames = read_frames(expt(tmp_path, "a.h5", trusted_range=[0.0, 1e6]))
    assert np.argwhere(~frames.good(0)[0]).tolist() == [[2, 2]]
    assert not frames.saturated(0)[0].any()


def test_hot_pixels(tmp_path):
    images = RNG.poisson(4.0, (6, SLOW, FAST)).astype(np.uint16)
    images[:, 20, 30] = 300
    images[2, 10:13, 10:13] = 5000
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["/entry/data/data"] = images
    write_expt(tmp_path / "a.expt", scene(), frames=6, images="a.h5")
    frames = read_frames(tmp_path / "a.expt")
    hot = frames.hot()
    assert np.argwhere(hot[0]).tolist() == [[20, 30]]
    assert not frames.masked(hot).good(2)[0][20, 30]
    with pytest.raises(InputError, match="2 frames cannot tell"):
        frames.hot(frames=[0, 1])


def test_several_panels(tmp_path):
    pair = IMAGES, IMAGES + 1
    write_nexus(tmp_path / "a.nxs", NexusImages(zip(*pair, strict=True), [5.0, 5.5, 6.0]), scene(2))
    below = read_frames(expt(tmp_path, "a.nxs", panels=2))
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["/entry/data/data"] = np.stack(pair, axis=1)
    stacked = read_frames(expt(tmp_path, "stack.h5", panels=2))
    for frames in (below, stacked):
        for panel in (0, 1):
            np.testing.assert_array_equal(frames.counts[panel][:], pair[panel])


def test_pieces_of_one_image(tmp_path):
    """Panels as rectangles of an image, as dxtbx cuts a PILATUS into its modules."""
    import json

    smv_files(tmp_path)
    path = expt(tmp_path, "a_###.img", panels=2, image_size=[20, SLOW])
    content = json.loads(path.read_text())
    content["detector"][0]["panels"][1]["raw_image_offset"] = [20, 0]
    path.write_text(json.dumps(content))
    frames = read_frames(path)
    np.testing.assert_array_equal(frames.counts[0][1], IMAGES[1][:, :20])
    np.testing.assert_array_equal(frames.counts[1][1], IMAGES[1][:, 20:])


def test_several_sweeps_and_stills_in_one(tmp_path):
    (sweep,) = read_expt_list(cbf(tmp_path))
    still = replace(sweep, scan=None, images=replace(sweep.images, names=("a_002.cbf",)))
    frames = read_frames([sweep, still], folder=tmp_path)
    assert len(frames) == 4
    assert (frames.frames[3].number, frames.frames[3].experiment) == (0, 1)
    np.testing.assert_array_equal(frames.counts[0][3], IMAGES[1])


def test_frames_travel_to_other_processes(tmp_path):
    import pickle

    frames = read_frames(cbf(tmp_path))
    frames.values(0)
    again = pickle.loads(pickle.dumps(frames))
    np.testing.assert_array_equal(again.counts[0][1], IMAGES[1])


def test_a_mask_that_is_not_read_is_said(tmp_path):
    import json

    path = cbf(tmp_path)
    content = json.loads(path.read_text())
    content["imageset"][0]["mask"] = "pixels.mask"
    path.write_text(json.dumps(content))
    with pytest.warns(NanobragWarning, match="experiment 0 names a mask of DIALS"):
        read_frames(path)


def test_what_does_not_belong_together(tmp_path):
    path = cbf(tmp_path)
    (tmp_path / "a_002.cbf").unlink()
    with pytest.raises(FileFormatError, match="a_002.cbf: unable to open"):
        read_frames(path)
    smv(tmp_path / "other.img", np.zeros((7, 9)))
    with pytest.raises(InputError, match="images of 9 x 7 pixels, but the detector .* one panel of 40 x 30"):
        read_frames(path, images=[tmp_path / "other.img"] * 3)
    with pytest.raises(InputError, match="experiment 0 has 3 images, its files hold 1"):
        read_frames(path, images=[tmp_path / "a_001.cbf"])
    with pytest.raises(InputError, match="names no images"):
        read_frames(expt(tmp_path, ()))
    cbf(tmp_path)
    with pytest.raises(InputError, match="every pixel is masked"):
        read_frames(tmp_path / "a.expt", mask=[np.zeros((SLOW, FAST), bool)])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an image"),
        (b"hello", "not an image"),
        (b"###CBF: VERSION", "does not say how many pixels"),
        (b"{\nHEADER_BYTES=512;\n", "does not say how many pixels"),
        (b"\x1f\x8bxx", "gzip"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "not HDF5, cut short or damaged"),
    ],
)
def test_files_that_are_no_images(tmp_path, content, words):
    (tmp_path / "a.x").write_bytes(content)
    with pytest.raises(FileFormatError, match=words) as caught:
        open_frames(tmp_path / "a.x")
    assert "\n" not in str(caught.value)


def test_images_cut_short(tmp_path):
    smv_files(tmp_path)
    path = tmp_path / "a_001.img"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FileFormatError, match="cut short or damaged"):
        open_frames(path).read()
    eiger(tmp_path)
    (tmp_path / "a_data_000001.h5").unlink()
    with pytest.raises(FileFormatError, match="a_data_000001.h5, where its images lie, is missing"):
        open_frames(tmp_path / "a_master.h5")
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["/entry/other"] = 1
    with pytest.raises(FileFormatError, match="no images in it"):
        open_frames(tmp_path / "none.h5")
