"""The distortion of a detector: found from a mask and from rings, written for other programs, and read by them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.geometry_corrections import (
    read_xds_corrections,
    write_pyfai_detector,
    write_xds_corrections,
)
from nanobrag_torch.register import Options, Transform, register
from nanobrag_torch.register.distortion import Distortion, distortion, holes, rings
from nanobrag_torch.register.transforms import identity

SIZE = (72, 64)


def true_offset(slow: np.ndarray, fast: np.ndarray) -> np.ndarray:
    """A barrel: a pixel stands farther out than what it sees, by up to a pixel and a half."""
    s, f = (slow - 35.5) / 36.0, (fast - 31.5) / 36.0
    radius = s * s + f * f
    return 0.9 * radius * np.stack([s, f])


@pytest.fixture(scope="module")
def measured() -> tuple[np.ndarray, np.ndarray]:
    """What the detector shows of a mask, and the true offset."""
    slow, fast = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    offset = true_offset(slow, fast)
    wide = [np.remainder(x - o - 3.0 + 4.5, 9.0) - 4.5 for x, o in zip((slow, fast), offset, strict=True)]
    return np.exp(-0.5 * (wide[0] ** 2 + wide[1] ** 2) / 1.6**2), offset


@pytest.fixture(scope="module")
def found(measured: tuple[np.ndarray, np.ndarray]) -> Distortion:
    ideal = holes(SIZE, 9.0, 1.6, (3.0, 3.0))
    options = Options(spacing=12.0, bending=0.1, start=identity("shift", SIZE), levels=1)
    registered = register(measured[0], ideal, "spline", "ncc", options=options)
    assert registered.converged
    return distortion(registered.transform, SIZE)


def test_a_mask_shows_the_distortion(measured, found: Distortion) -> None:
    inside = (slice(None), slice(5, -5), slice(5, -5))
    error = np.hypot(*(found.offset - measured[1])[inside])
    assert error.mean() < 0.02
    assert error.max() < 0.1


def test_rings_show_the_radial_distortion() -> None:
    """And leave the turn about their centre open, which a trace of an anchor closes."""
    slow, fast = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    offset = true_offset(slow, fast)
    radii, centre = [6.0, 13.0, 19.0, 25.0, 31.0, 37.0, 43.0], (35.5, 31.5)
    seen = np.hypot(slow - offset[0] - centre[0], fast - offset[1] - centre[1])
    image = sum(np.exp(-0.5 * ((seen - r) / 1.8) ** 2) for r in radii)
    options = Options(spacing=18.0, bending=3.0, anchor=1e-6, start=identity("shift", SIZE), levels=1)
    registered = register(image, rings(SIZE, centre, radii, 1.8), "spline", "ncc", options=options)
    assert registered.converged
    error = distortion(registered.transform, SIZE).offset - offset
    radial = (error[0] * (slow - centre[0]) + error[1] * (fast - centre[1])) / np.hypot(slow - 35.5, fast - 31.5)
    assert np.abs(radial[5:-5, 5:-5]).mean() < 0.05


def test_the_files_are_read_by_pyfai(found: Distortion, tmp_path) -> None:
    """Its Pilatus reads the tables of XDS, its detector file the corners: both must place the pixels alike."""
    detectors = pytest.importorskip("pyFAI.detectors")
    write_xds_corrections(tmp_path / "x.cbf", tmp_path / "y.cbf", found.offset)
    write_pyfai_detector(tmp_path / "detector.h5", found.corners, 172e-6)
    slow, fast = np.mgrid[: SIZE[0], : SIZE[1]]
    expected = (np.stack([slow, fast]) - found.offset + 0.5) * 172e-6
    table = detectors.Pilatus(172e-6, 172e-6, max_shape=SIZE)
    table.set_offset_files(str(tmp_path / "x.cbf"), str(tmp_path / "y.cbf"))
    shape = detectors.detector_factory(str(tmp_path / "detector.h5"))
    assert tuple(shape.shape) == SIZE
    for detector, tolerance in ((table, 0.0051), (shape, 0.01)):
        places = np.stack(detector.calc_cartesian_positions()[:2])
        assert np.abs(places - expected).max() < tolerance * 172e-6


def test_the_tables_are_in_hundredths_of_a_pixel(tmp_path) -> None:
    fabio = pytest.importorskip("fabio")
    offset = np.zeros((2, 5, 7))
    offset[0, 1, 2], offset[1, 3, 4] = 1.234, -0.5
    write_xds_corrections(tmp_path / "x.cbf", tmp_path / "y.cbf", offset)
    assert fabio.open(tmp_path / "x.cbf").data[3, 4] == -50
    assert fabio.open(tmp_path / "y.cbf").data[1, 2] == 123
    assert np.abs(read_xds_corrections(tmp_path / "x.cbf", tmp_path / "y.cbf") - offset).max() <= 0.005


def test_a_shift_is_a_constant_offset() -> None:
    moved = Transform("shift", torch.tensor([1.5, -2.0], dtype=torch.float64), (20, 30))
    seen = distortion(moved, (20, 30))
    assert np.abs(seen.offset - np.array([1.5, -2.0])[:, None, None]).max() < 1e-12
    assert np.allclose(seen.corners[:, 0, 0], [-2.0, 1.5])


def test_what_no_detector_does_is_refused(tmp_path) -> None:
    x, y, target = tmp_path / "x.cbf", tmp_path / "y.cbf", tmp_path / "d.h5"
    nan = np.zeros((2, 4, 5))
    nan[1, 2, 3] = np.nan
    for call, message in (
        (lambda: write_xds_corrections(x, y, nan), "offset: nan at slow 2, fast 3; an offset is a few pixels"),
        (lambda: write_xds_corrections(x, y, nan[0]), "offset: has shape"),
        (lambda: write_xds_corrections(x, tmp_path / "no" / "y.cbf", nan * 0.0 + 0.0), "offset: nan"),
        (lambda: write_pyfai_detector(target, nan, 1e-4), "corners: has values that are not finite"),
        (lambda: write_pyfai_detector(target, np.zeros((2, 4, 5)), -1.0), "pixel_size: -1 m"),
        (lambda: write_xds_corrections(x, tmp_path / "no" / "y.cbf", np.zeros((2, 4, 5))), "no/y.cbf"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert list(tmp_path.iterdir()) == []
    write_xds_corrections(x, y, np.zeros((2, 4, 5)))
    write_xds_corrections(tmp_path / "x2.cbf", tmp_path / "y2.cbf", np.zeros((2, 4, 6)))
    with pytest.raises(FileFormatError, match="4 x 6 pixels, but 4 x 5"):
        read_xds_corrections(x, tmp_path / "y2.cbf")
    folded = identity("spline", (20, 20), 5.0)
    waves = torch.randn(len(folded.parameters), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 9.0
    with pytest.raises(InputError, match="transform: the deformation folds"):
        distortion(folded.with_parameters(waves), (20, 20))
