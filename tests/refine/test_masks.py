"""Masks from files: what each format marks, what is refused, and that no pickle is ever opened."""

from __future__ import annotations

import json
import pickle
import struct
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError, InputError, NanobragWarning
from nanobrag_torch.io.cbf import write_cbf
from nanobrag_torch.io.expt import write_expt
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.expt_models import DetectorModel
from nanobrag_torch.io.nexus import NexusImages, write_nexus
from nanobrag_torch.io.refl import read_refl
from nanobrag_torch.io.scene import Scene, SceneBeam, ScenePanel
from nanobrag_torch.refine.frames import read_frames
from nanobrag_torch.refine.main import main
from nanobrag_torch.refine.masks import CONVERT, read_mask

h5py = pytest.importorskip("h5py")
SLOW, FAST = 30, 40
GOOD = np.random.default_rng(5).random((SLOW, FAST)) > 0.1

Sweep = Any
"""`Sweep` of conftest.py, which cannot be imported."""


def scene(panels: int = 1) -> Scene:
    x, y, z = np.eye(3)
    plates = tuple(
        ScenePanel(FAST, SLOW, 1e-4, np.array([-2e-3 + 5e-3 * i, 1.5e-3, -0.1]), x, -y) for i in range(panels)
    )
    return Scene(plates, SceneBeam(-z, 1.0, np.ones(1), np.ones(1), x, 0.0, 1e24), cell=np.diag([10.0, 11.0, 12.0]))


def detector(folder: Path, panels: int = 1) -> DetectorModel:
    write_expt(folder / "a.expt", scene(panels), frames=1, images="a_###.cbf")
    return read_expt_list(folder / "a.expt")[0].detector


def tiff(path: Path, values: np.ndarray) -> None:
    """An uncompressed grey image of 8 bits, by the TIFF 6.0 specification."""
    slow, fast = values.shape
    tags = [(256, fast), (257, slow), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, slow), (279, slow * fast)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    image = values.astype(np.uint8).tobytes()
    head = struct.pack("<2sHI", b"II", 42, 8 + len(image))
    path.write_bytes(head + image + struct.pack("<H", len(tags)) + entries + bytes(4))


def npy(path: Path, values: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, values)


def cbf(path: Path, values: np.ndarray) -> None:
    write_cbf(path, values.astype(np.int32), scene(), saturation=65535)


@pytest.mark.parametrize("write", [tiff, npy, cbf], ids=lambda f: f.__name__)
@pytest.mark.parametrize("ones_bad", [False, True])
def test_an_image_of_zeros_and_ones_is_a_mask(tmp_path: Path, write: Any, ones_bad: bool) -> None:
    path = tmp_path / f"m.{write.__name__}"
    write(path, ~GOOD if ones_bad else GOOD)
    (found,) = read_mask(path, detector(tmp_path), ones_bad=ones_bad)
    np.testing.assert_array_equal(found, GOOD)


def test_nexus_marks_what_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "m.nxs"
    bits = np.where(GOOD, 0, np.where(np.arange(FAST) % 2, 2, 256)).astype(np.int32)
    write_nexus(path, NexusImages([(np.zeros((SLOW, FAST), np.int32),)], [0.0], masks=(bits,)), scene())
    np.testing.assert_array_equal(read_mask(path, detector(tmp_path))[0], GOOD)
    alone = tmp_path / "alone.h5"
    with h5py.File(alone, "w") as file:
        file["/entry/instrument/detector/pixel_mask"] = bits
    np.testing.assert_array_equal(read_mask(alone, detector(tmp_path))[0], GOOD)
    with pytest.raises(InputError, match="one meaning only"):
        read_mask(alone, detector(tmp_path), ones_bad=True)
    with h5py.File(alone, "w") as file:
        file["/entry/data"] = 1
    with pytest.raises(FileFormatError, match="no mask in it"):
        read_mask(alone, detector(tmp_path))


def test_rectangles_of_another_list_are_a_mask(tmp_path: Path) -> None:
    own = detector(tmp_path)
    content = json.loads((tmp_path / "a.expt").read_text())
    content["detector"][0]["panels"][0]["mask"] = [[3, 5, 10, 7], [0, 0, 2, SLOW]]
    (tmp_path / "b.expt").write_text(json.dumps(content))
    wanted = np.ones((SLOW, FAST), bool)
    wanted[5:7, 3:10] = wanted[:, :2] = False
    np.testing.assert_array_equal(read_mask(tmp_path / "b.expt", own)[0], wanted)
    with pytest.raises(InputError, match="other sizes"):
        read_mask(tmp_path / "b.expt", detector(tmp_path, 2))


def test_panels_may_be_a_stack_or_one_below_the_other(tmp_path: Path) -> None:
    both = np.stack([GOOD, ~GOOD[::-1]])
    for values in (both, both.reshape(2 * SLOW, FAST)):
        npy(tmp_path / "m.npy", values)
        found = read_mask(tmp_path / "m.npy", detector(tmp_path, 2))
        np.testing.assert_array_equal(np.stack(found), both)


def test_what_is_no_mask_is_refused(tmp_path: Path) -> None:
    own = detector(tmp_path)

    def refused(values: np.ndarray, kind: type[Exception], message: str) -> None:
        npy(tmp_path / "m.npy", values)
        with pytest.raises(kind, match=message):
            read_mask(tmp_path / "m.npy", own)

    refused(GOOD[:, 1:], InputError, "a mask of 39 x 30 pixels, but the detector .* one panel of 40 x 30")
    refused(np.arange(SLOW * FAST).reshape(SLOW, FAST), FileFormatError, "expected zeros and ones")
    refused(np.zeros((SLOW, FAST)), InputError, "every pixel; see --mask-ones-bad")
    refused(np.array([["a", "b"]]), FileFormatError, "not a mask")
    refused(np.array(1), FileFormatError, "not a mask")
    npy(tmp_path / "m.npy", GOOD)
    whole = (tmp_path / "m.npy").read_bytes()
    (tmp_path / "m.npy").write_bytes(whole[:200])
    with pytest.raises(FileFormatError, match="not an array of numbers"):
        read_mask(tmp_path / "m.npy", own)
    with pytest.raises(FileFormatError, match="unable to open"):
        read_mask(tmp_path / "missing.npy", own)
    npy(tmp_path / "m.npy", ~GOOD)
    with pytest.warns(NanobragWarning, match=r"leaves out 88\.\d % of the detector"):
        read_mask(tmp_path / "m.npy", own)


class Trap:
    """Whoever loads its pickle leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(("name", "protocol"), [("pixels.mask", 0), ("pixels.mask", 4), ("m.dat", 2), ("m.npy", 5)])
def test_a_pickle_is_never_opened(tmp_path: Path, name: str, protocol: int) -> None:
    trap = tmp_path / "sprung"
    (tmp_path / name).write_bytes(pickle.dumps(Trap(trap), protocol))
    with pytest.raises(FileFormatError, match=r"never opened because it may run anything; convert it: dials\.python"):
        read_mask(tmp_path / name, detector(tmp_path))
    # An array of objects is a pickle inside.
    npy(tmp_path / "m.npy", np.array([[Trap(trap)]], dtype=object))
    with pytest.raises(FileFormatError, match="not an array of numbers"):
        read_mask(tmp_path / "m.npy", detector(tmp_path))
    assert not trap.exists()
    assert "\n" not in CONVERT


def test_masked_pixels_are_not_refined_against(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A column of pixels that a mask takes away is in no region; what does not fit leaves nothing behind."""
    good = np.ones(sweep.measured.detector.panels[0].shape, np.uint8)
    good[:, 60:75] = 0
    npy(tmp_path / "m.npy", good)
    words = [str(sweep.expt), str(sweep.refl), "--amplitudes", str(sweep.amplitudes), "-o", str(tmp_path / "out")]
    words += ["--refine", "scale", "--cells", "12", "--mosaic", "0.15", "--mask", str(tmp_path / "m.npy")]
    assert main(words) == 0
    masked = json.loads((tmp_path / "out" / "refined.json").read_text())
    assert masked["words"] == words
    place = read_refl(tmp_path / "out" / "refined.refl").predicted
    assert len(place)
    assert not ((place[:, 0] > 60.0) & (place[:, 0] < 75.0)).any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        assert main([*words, "--mask-ones-bad", "-o", str(tmp_path / "inside")]) == 0
    place = read_refl(tmp_path / "inside" / "refined.refl").predicted
    assert len(place)
    assert ((place[:, 0] > 60.0) & (place[:, 0] < 75.0)).all()
    capsys.readouterr()
    npy(tmp_path / "m.npy", good[1:])
    assert main([*words, "-o", str(tmp_path / "other")]) == 9
    said = capsys.readouterr().err
    assert "give the one of this detector" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "other").exists()
    assert main([*words[:-2], "--mask-ones-bad", "-o", str(tmp_path / "other")]) == 9
    assert "there is no mask" in capsys.readouterr().err


def test_a_mask_that_the_list_names_is_told_of(tmp_path: Path) -> None:
    detector(tmp_path)
    cbf(tmp_path / "a_001.cbf", np.zeros((SLOW, FAST)))
    (one,) = read_expt_list(tmp_path / "a.expt")
    assert one.images is not None
    named = replace(one, images=replace(one.images, raw={**one.images.raw, "mask": "pixels.mask"}))
    with pytest.warns(NanobragWarning, match="experiment 0 names a mask of DIALS, a pickle that is not opened"):
        read_frames([named], folder=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NanobragWarning)
        found = read_frames([named], folder=tmp_path, mask=[GOOD])
    np.testing.assert_array_equal(found.mask[0], GOOD)
