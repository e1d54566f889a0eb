"""Files of strangers and files of ours, in the programs beside nanobrag."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nanobrag_torch.coherent.main import main as nb_coherent
from nanobrag_torch.dataset.main import main as nb_dataset
from nanobrag_torch.detector.noisify import main as nb_noisify
from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io import hdf5_files
from nanobrag_torch.io.frame_files import open_frames, read_pixel_mask
from nanobrag_torch.parity.matrix import main as nb_parity
from nanobrag_torch.view.main import main as nb_view

SCAN = ["simulate", "--size", "32", "--side", "3", "--step", "3"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)
    os.mkfifo("pipe")
    return folder


@pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
@pytest.mark.parametrize(
    ("program", "words", "status"),
    [
        (nb_view, "{}", 9),
        (nb_noisify, "-floatfile {}", 9),
        (nb_dataset, "make {} -o set", 9),
        (nb_coherent, "reconstruct {} -o out.h5", 9),
        (nb_coherent, "compare {} {} -o out.json", 9),
        (nb_parity, "{} --c-bin /bin/true", 5),
    ],
)
def test_only_regular_files_are_read_by_any_program(
    program: Any, words: str, status: int, name: str, here: Path, capsys: Any
) -> None:
    assert program(words.replace("{}", name).split()) == status
    said = capsys.readouterr().err
    assert f"{name}: is a pipe or a device" in said
    assert said.count("\n") == 1
    assert os.listdir(here) == ["pipe"]


def test_only_regular_frames_and_masks_are_read(here: Path) -> None:
    with pytest.raises(FileFormatError, match="is a pipe or a device"):
        open_frames("pipe")


class TestScans:
    @pytest.fixture
    def scan(self, here: Path, capsys: Any) -> Path:
        assert nb_coherent([*SCAN, "-o", "s.cxi", "--truth", "t.h5"]) == 0
        os.symlink("t.h5", "linked.h5")
        os.link("s.cxi", "hard.cxi")
        capsys.readouterr()
        return here / "s.cxi"

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ("reconstruct s.cxi -o s.cxi", "s.cxi is the file of SCAN too"),
            ("reconstruct s.cxi -o hard.cxi", "hard.cxi is the file of SCAN too"),
            ("compare t.h5 t.h5 -o t.h5", "t.h5 is the file of FOUND too"),
            ("compare t.h5 t.h5 -o linked.h5", "linked.h5 is the file of FOUND too"),
            ("simulate -o new.cxi --truth new.cxi", "new.cxi is the file of -o too"),
            ("simulate -o new.cxi --truth new.png", "new.png is the file of --truth too"),
            ("simulate -o pipe", "pipe is a pipe, not a file"),
            ("simulate -o missing/new.cxi", "its folder does not exist"),
        ],
    )
    def test_nb_coherent_overwrites_no_input(
        self, words: str, told: str, scan: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And it says so before it reads or computes anything."""
        for name in ("measure", "read_scan", "read_product"):
            monkeypatch.setattr(f"nanobrag_torch.coherent.commands.{name}", None)
        before = {path.name: path.read_bytes() for path in scan.parent.iterdir() if path.is_file()}
        assert nb_coherent(words.split()) == 9
        assert told in capsys.readouterr().err
        assert before == {path.name: path.read_bytes() for path in scan.parent.iterdir() if path.is_file()}

    @pytest.mark.parametrize("how", ["link", "raw"])
    @pytest.mark.parametrize("which", ["s.cxi", "t.h5"])
    def test_scans_and_products_stay_in_their_folder(
        self, how: str, which: str, scan: Path, tmp_path: Path, capsys: Any
    ) -> None:
        place = "entry_1/instrument_1/detector_1/data" if which == "s.cxi" else "object"
        with h5py.File(which, "a") as file, h5py.File(tmp_path / "secret.h5", "w") as secret:
            values = file[place][()]
            secret["secret"] = values
            del file[place]
            if how == "link":
                file[place] = h5py.ExternalLink("../secret.h5", "secret")
            else:
                raw = [(str(tmp_path / "secret.h5"), 0, values.nbytes)]
                file.create_dataset(place, values.shape, values.dtype, external=raw)
        words = ["reconstruct", which] if which == "s.cxi" else ["compare", which, which]
        assert nb_coherent([*words, "-o", "out.h5"]) == 9
        assert "outside the folder of the file" in capsys.readouterr().err
        assert not Path("out.h5").exists()

    def test_a_small_file_of_a_large_data_set(self, scan: Path, capsys: Any) -> None:
        with h5py.File("t.h5", "a") as file:
            about = dict(file["object"].attrs)
            del file["object"]
            made = file.create_dataset("object", (1, 4000000, 4000000), np.complex64, chunks=(1, 100, 100))
            made.attrs.update(about)
        assert nb_coherent(["compare", "t.h5", "t.h5", "-o", "out.json"]) == 9
        assert "object: is 1.28e+05 GB to read, of which memory allows" in capsys.readouterr().err

    def test_damaged_frames_are_one_line(self, scan: Path, capsys: Any) -> None:
        with h5py.File("s.cxi") as file:
            data = file["entry_1/instrument_1/detector_1/data"]
            place, size = data.id.get_chunk_info(4).byte_offset, data.id.get_chunk_info(4).size
        with open("s.cxi", "r+b") as file:
            file.seek(place)
            file.write(bytes(size))
        assert nb_coherent(["reconstruct", "s.cxi", "-o", "out.h5"]) == 9
        said = capsys.readouterr().err
        assert "s.cxi: /entry_1/instrument_1/detector_1/data: cannot be read" in said


def test_masks_are_no_larger_than_the_memory(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File("m.nxs", "w") as file:
        file["entry/instrument/detector/pixel_mask"] = np.zeros((30, 30), np.uint32)
    assert read_pixel_mask("m.nxs").shape == (30, 30)
    monkeypatch.setattr(hdf5_files, "available_memory", lambda: 7000.0)
    with pytest.raises(FileFormatError, match="GB to read, of which memory allows"):
        read_pixel_mask("m.nxs")


def test_nb_dataset_overwrites_no_part_of_a_set(here: Path, capsys: Any) -> None:
    os.mkdir("set")
    Path("set/a.tar").write_text("shard")
    Path("set/a.tar.json").write_text("{}")
    manifest = {"kind": "nanobrag_torch data set", "schema": 1, "description": ""}
    Path("set/manifest.json").write_text(json.dumps(manifest))
    for name in ("manifest.json", "manifest.html", "a.tar", "a.tar.json"):
        assert nb_dataset(["look", "set", "-o", f"set/{name}"]) == 9
        assert "is the file of the data set too" in capsys.readouterr().err
    assert Path("set/a.tar").read_text() == "shard"
    assert json.loads(Path("set/manifest.json").read_text()) == manifest
