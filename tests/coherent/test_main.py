"""The command and its files: simulated, reconstructed and compared, and read by plain h5py as the standards say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from nanobrag_torch.coherent.files import Product, read_product, read_scan, write_product
from nanobrag_torch.coherent.main import main
from nanobrag_torch.coherent.pie import State
from nanobrag_torch.errors import ImageError

SMALL = ["--size", "32", "--side", "8", "--step", "3", "--position-error", "1", "--photons", "1e6"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("coherent")
    words = ["simulate", "-o", str(place / "s.cxi"), "--truth", str(place / "t.h5"), *SMALL]
    assert main(words) == 0
    return place


def test_from_scan_to_numbers(folder: Path, capsys):
    words = ["--epochs", "40", "--batch", "8", "--likelihood-steps", "15"]
    assert main(["reconstruct", str(folder / "s.cxi"), "-o", str(folder / "f.h5"), *words]) == 0
    told = capsys.readouterr()
    assert "likelihood 15/15" in told.err
    assert main(["compare", str(folder / "f.h5"), str(folder / "t.h5"), "-o", str(folder / "c.json")]) == 0
    numbers = json.loads((folder / "c.json").read_text())
    assert numbers["error"] < 0.05
    assert numbers["positions_rms_pixel"] < 0.1
    for name in "sfc":
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 200


def test_a_scan_is_what_the_standards_say(folder: Path):
    with h5py.File(folder / "s.cxi") as file:
        assert file["cxi_version"][()] == 160
        entry = file["entry_1"]
        assert entry["definition"].asstr()[()] == "NXcxi_ptycho"
        assert entry.attrs["NX_class"] == "NXentry"
        detector = entry["instrument_1/detector_1"]
        assert detector["data"].shape == (64, 32, 32)
        assert entry["data_1/data"] == detector["data"]
        joules = entry["instrument_1/source_1/energy"][()]
        assert joules == pytest.approx(6.62607015e-34 * 299792458.0 / 1.5e-10, rel=1e-6)
        assert entry["sample_1/geometry_1/translation"].shape == (64, 3)
        assert set(np.unique(detector["mask"][()])) == {0, 1}
        first = detector["data"][0]
    frames, info = read_scan(str(folder / "s.cxi"))
    with frames:
        assert np.array_equal(frames.read([0])[0].numpy(), first)
    assert info.object_pixel == pytest.approx(1.5e-10 * 2.0 / (32 * 75e-6), rel=1e-6)


def test_a_product_comes_back(tmp_path: Path):
    generator = torch.Generator().manual_seed(1)
    fields = [torch.randn(*s, generator=generator, dtype=torch.complex128) for s in ((20, 23), (2, 8, 8))]
    state = State(fields[0], fields[1], 10 * torch.rand(5, 2, generator=generator, dtype=torch.float64))
    write_product(str(tmp_path / "p.h5"), Product(state, 2e-8, 1.5e-10, 2.0))
    back = read_product(str(tmp_path / "p.h5"))
    assert torch.allclose(back.state.target, state.target, rtol=1e-6)
    assert torch.allclose(back.state.positions, state.positions, atol=1e-9)
    assert back.object_pixel == 2e-8
    with h5py.File(tmp_path / "p.h5") as file:
        assert file["probe"].dtype == np.complex64
        assert file["probe"].shape == (2, 8, 8)
        assert file["object"].shape == (1, 20, 23)
        x = (file["probe_position_x_m"][()] - file["object"].attrs["center_x_m"]) / 2e-8 + 23 / 2
        assert x == pytest.approx(state.positions[:, 1].numpy() + 4)
    with pytest.raises(ImageError, match="the object is zero"):
        write_product(str(tmp_path / "z.h5"), Product(State(0 * fields[0], fields[1], state.positions), 1.0, 1.0, 1.0))
    assert not (tmp_path / "z.h5").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["simulate", "-o", "a.cxi", "--photons", "-1"], "--photons: -1.0 cannot serve"),
        (["simulate", "-o", "a.cxi", "--step", "12", "--side", "3"], "positions: neighbouring places overlap by"),
        (["simulate", "-o", "a.png"], "-o: a.png is the name of a picture"),
        (["simulate", "-o", "a.cxi", "--dead", "1"], "--dead: 1.0 leaves no pixel"),
        (["simulate", "-o", "a.cxi", "--truth", "./a.cxi"], "--truth: ./a.cxi is the file of -o too"),
        (["simulate", "-o", "a.cxi", "--truth", "none/t.h5", *SMALL], "--truth: none/t.h5 cannot be written"),
        (["reconstruct", "none.cxi", "-o", "f.h5"], "none.cxi: unable to open"),
        (["reconstruct", "t.h5", "-o", "f2.h5"], "there is no such data set"),
        (["reconstruct", "s.cxi", "-o", "s.cxi"], "-o: s.cxi is the file of SCAN too"),
        (["compare", "s.cxi", "t.h5", "-o", "c2.json"], "probe: there is no such data set"),
    ],
)
def test_refusals(folder: Path, words, told, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert main(words) == 9
    error = capsys.readouterr().err
    assert told in error
    assert len(error.strip().splitlines()) == 1
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before


def test_help_needs_no_torch():
    code = (
        "import sys\nfrom nanobrag_torch.coherent.main import main\nmain(['--help'])\nassert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
