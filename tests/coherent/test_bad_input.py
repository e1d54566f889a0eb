"""What no reconstruction could use: files of another schema, numbers that are not finite, places that cannot be."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from nanobrag_torch.coherent.files import Product, ScanInfo, read_product, read_scan, write_product, write_scan
from nanobrag_torch.coherent.frames import FileFrames, MemoryFrames
from nanobrag_torch.coherent.main import main
from nanobrag_torch.coherent.pie import PieOptions, State
from nanobrag_torch.coherent.ptychography import check_together
from nanobrag_torch.coherent.reconstruct import Options, reconstruct
from nanobrag_torch.errors import FileFormatError, ImageError, InputError

REAL = torch.float64
DETECTOR = "entry_1/instrument_1/detector_1"


def scan(count: int = 4, size: int = 16):
    frames = torch.poisson(torch.full((count, size, size), 5.0, dtype=REAL), generator=torch.Generator().manual_seed(1))
    places = torch.cartesian_prod(torch.arange(2.0), torch.arange(2.0)).to(REAL)[:count]
    return frames, ScanInfo(places * 1e-8, torch.ones(size, size, dtype=torch.bool), 1.5e-10, 2.0, 1e-4)


def product(count: int = 5):
    generator = torch.Generator().manual_seed(1)
    fields = [torch.randn(*s, generator=generator, dtype=torch.complex128) for s in ((20, 23), (2, 8, 8))]
    return Product(State(*fields, 10 * torch.rand(count, 2, generator=generator, dtype=REAL)), 2e-8, 1.5e-10, 2.0)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f, i: (f.masked_fill(f == 4, math.nan), i), "frames: measured pixels have values that are not finite"),
        (lambda f, i: (f[:0], i), "frames: their shape is"),
        (lambda f, i: (f, replace(i, mask=i.mask & False)), "mask: every pixel is masked"),
        (lambda f, i: (f, replace(i, mask=i.mask[1:])), "mask: its shape is"),
        (lambda f, i: (f, replace(i, positions=i.positions * math.inf)), "positions: .* not finite"),
        (lambda f, i: (f, replace(i, positions=i.positions[1:])), "positions: .*3, 2.* beside 4 frames"),
        (lambda f, i: (f, replace(i, wavelength=math.nan)), "wavelength: nan m; give a positive number"),
        (lambda f, i: (f, replace(i, distance=0.0)), "distance: 0.0 m; give a positive number"),
    ],
)
def test_scans_that_are_not_written(tmp_path: Path, spoil, words):
    frames, info = spoil(*scan())
    with pytest.raises(InputError, match=words):
        write_scan(str(tmp_path / "s.cxi"), frames, info)
    assert not list(tmp_path.iterdir())


def test_a_scan_of_zeros_is_an_error_and_values_under_the_mask_are_kept(tmp_path: Path):
    frames, info = scan()
    with pytest.raises(ImageError, match="all frames are zero"):
        write_scan(str(tmp_path / "s.cxi"), 0 * frames, info)
    masked = info.mask.clone()
    masked[3, 4] = False
    only = torch.zeros_like(frames)
    only[:, 3, 4] = 7.0
    with pytest.raises(ImageError, match="all frames are zero"):
        write_scan(str(tmp_path / "s.cxi"), only, replace(info, mask=masked))
    assert not list(tmp_path.iterdir())
    frames[1, 3, 4] = math.nan
    write_scan(str(tmp_path / "s.cxi"), frames, replace(info, mask=masked))
    back, said = read_scan(str(tmp_path / "s.cxi"))
    with back:
        assert torch.equal(torch.nan_to_num(back.read([0, 1, 2, 3]), -1), torch.nan_to_num(frames, -1))
    assert torch.equal(said.mask, masked)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (f"{DETECTOR}/data", None, "there is no such data set"),
        (f"{DETECTOR}/data", {}, "data: it is not a data set of real numbers"),
        (f"{DETECTOR}/data", np.ones((4, 16, 16), complex), "it is not a data set of real numbers"),
        (f"{DETECTOR}/data", np.zeros((0, 16, 16)), "its shape is"),
        (f"{DETECTOR}/distance", "far", "distance: it is not a data set of numbers"),
        (f"{DETECTOR}/distance", np.ones(3), "distance: it is not one finite number"),
        (f"{DETECTOR}/distance", -1.0, "are not all positive"),
        (f"{DETECTOR}/mask", np.ones((16, 16), int), "mask: every pixel is masked"),
        (f"{DETECTOR}/mask", {}, "mask: it is not a data set of numbers"),
        ("entry_1/sample_1/geometry_1/translation", np.full((4, 3), np.nan), "translation: .* of finite numbers"),
        ("entry_1/sample_1/geometry_1/translation", np.zeros((3, 3)), "translation: .* is not .4, 3."),
    ],
)
def test_scans_that_are_not_read(tmp_path: Path, name, value, words, capsys):
    path = tmp_path / "s.cxi"
    write_scan(str(path), *scan())
    with h5py.File(path, "a") as file:
        del file[name]
        if isinstance(value, dict):
            file.create_group(name)
        elif value is not None:
            file[name] = value
    with pytest.raises(FileFormatError, match=words):
        read_scan(str(path))
    assert main(["reconstruct", str(path), "-o", str(tmp_path / "f.h5")]) == 9
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "f.h5").exists()


def test_a_group_is_not_frames(tmp_path: Path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_group("d")
    with pytest.raises(FileFormatError, match="d: it is not a data set of real numbers"):
        FileFrames(str(tmp_path / "f.h5"), "d")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("probe_position_x_m", np.full(5, np.nan), "positions: frame 0 at .* reaches out"),
        ("probe_position_x_m", np.full(5, 1.0), "positions: frame 0 at .* reaches out of an object of 20 x 23"),
        ("probe_position_x_m", np.zeros(4), "are not two lists of one length"),
        ("probe_position_x_m", np.zeros((5, 1)), "are not two lists of one length"),
        ("probe_position_x_m", {}, "it is not a data set of numbers"),
        ("object", np.full((1, 20, 23), np.nan), "object: it is zero everywhere, or has values that are not finite"),
        ("probe", np.zeros((2, 8, 8), complex), "probe: it is zero everywhere"),
        ("probe", np.ones((2, 8, 7), complex), "probe: 8 x 7 is not square"),
    ],
)
def test_products_that_are_not_read(tmp_path: Path, name, value, words):
    path = tmp_path / "p.h5"
    write_product(str(path), product())
    with h5py.File(path, "a") as file:
        kept = dict(file[name].attrs)
        del file[name]
        if isinstance(value, dict):
            file.create_group(name)
        else:
            file[name] = value
            file[name].attrs.update(kept)
    with pytest.raises(FileFormatError, match=words):
        read_product(str(path))


@pytest.mark.parametrize("value", ["strong", np.nan, np.ones(2)])
def test_an_attribute_that_is_no_number(tmp_path: Path, value):
    path = tmp_path / "p.h5"
    write_product(str(path), product())
    with h5py.File(path, "a") as file:
        file.attrs["probe_energy_eV"] = value
    with pytest.raises(FileFormatError, match="probe_energy_eV: it is not one finite number"):
        read_product(str(path))
    with h5py.File(path, "a") as file:
        del file.attrs["probe_energy_eV"]
    with pytest.raises(FileFormatError, match="probe_energy_eV: there is no such attribute"):
        read_product(str(path))


def test_a_wild_position_asks_for_no_enormous_object():
    frames, info = scan()
    places = info.positions * 1e8
    places[2, 1] = 1e9
    with pytest.raises(InputError, match=r"positions: frame 2 at \(1, 1e\+09\) pixels lies apart from the rest"):
        reconstruct(MemoryFrames(frames), info.mask, places, Options())
    check_together(torch.tensor([[0.0, 0.0], [0.0, 15.0], [17.0, 20.0]]), 16)
    with pytest.raises(InputError, match="frame 0 at"):
        check_together(torch.tensor([[-40.0, 0.0], [0.0, 15.0], [17.0, 20.0]]), 16)


def test_a_scan_that_no_sampled_probe_could_join():
    frames, info = scan()
    with pytest.raises(InputError, match="overlap by 25 % under a probe of 8.0 pixels; scan in steps below 3.2"):
        reconstruct(MemoryFrames(frames), info.mask, info.positions * 6e8, Options())
    with pytest.raises(InputError, match="positions: 1 of them; give at least two"):
        reconstruct(MemoryFrames(frames[:1]), info.mask, info.positions[:1], Options())
    with pytest.raises(InputError, match="positions: their shape is"):
        reconstruct(MemoryFrames(frames), info.mask, info.positions[:, 0], Options(pie=PieOptions(epochs=1)))


def test_a_result_that_the_far_field_cannot_hold_is_refused(tmp_path: Path, capsys):
    """The same photons from ten million times as far, where a probe of the same form would be metres wide."""
    words = ["simulate", "-o", str(tmp_path / "s.cxi"), "--size", "32", "--side", "4", "--step", "3"]
    assert main([*words, "--position-error", "0"]) == 0
    with h5py.File(tmp_path / "s.cxi", "a") as file:
        file[f"{DETECTOR}/distance"][()] = 2e7
        file["entry_1/sample_1/geometry_1/translation"][()] *= 1e7
    capsys.readouterr()
    quick = ["--epochs", "4", "--likelihood-steps", "0", "--keep-positions"]
    assert main(["reconstruct", str(tmp_path / "s.cxi"), "-o", str(tmp_path / "f.h5"), *quick]) == 9
    assert "is not far from a probe of" in capsys.readouterr().err
    assert not (tmp_path / "f.h5").exists()
