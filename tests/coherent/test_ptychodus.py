"""Scans and products as ptychodus reads them, with its own code; skipped where it is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nanobrag_torch.coherent.files import Product, ScanInfo, write_product, write_scan
from nanobrag_torch.coherent.pie import State

pytest.importorskip("ptychodus", reason="pip install ptychodus")
PIXEL = 2e-8


@pytest.fixture
def state():
    generator = torch.Generator().manual_seed(1)
    fields = [torch.randn(*s, generator=generator, dtype=torch.complex128) for s in ((20, 23), (2, 8, 8))]
    return State(*fields, 10 * torch.rand(5, 2, generator=generator, dtype=torch.float64))


def test_a_product(state, tmp_path: Path):
    from ptychodus.api.io import load_product

    write_product(str(tmp_path / "p.h5"), Product(state, PIXEL, 1.5e-10, 2.0))
    found = load_product(tmp_path / "p.h5")
    assert np.allclose(found.object_.get_array()[0], state.target.numpy(), rtol=1e-6)
    assert np.allclose(found.probes.get_array()[0], state.probe.numpy(), rtol=1e-6)
    assert found.metadata.photon_energy_eV == pytest.approx(12398.42 / 1.5, rel=1e-6)
    assert found.metadata.detector_distance_m == 2.0
    assert found.metadata.probe_photon_count == pytest.approx(float((state.probe.abs() ** 2).sum()))
    geometry = found.object_.get_geometry()
    places = [geometry.map_coordinates_probe_to_object(position) for position in found.probe_positions]
    corners = np.array([[place.y_px, place.x_px] for place in places]) - (8 - 1) / 2
    assert corners == pytest.approx(state.positions.numpy(), abs=1e-9)


def test_a_scan(state, tmp_path: Path):
    from ptychodus.plugins.cxi_file import CXIDiffractionFileReader

    frames = torch.poisson(torch.full((5, 8, 8), 7.0, dtype=torch.float64), generator=torch.Generator().manual_seed(2))
    mask = torch.ones(8, 8, dtype=torch.bool)
    mask[2, 3] = False
    pitch = 1.5e-10 * 2.0 / (8 * PIXEL)
    write_scan(str(tmp_path / "s.cxi"), frames, ScanInfo(state.positions * PIXEL, mask, 1.5e-10, 2.0, pitch))
    found = CXIDiffractionFileReader().read(tmp_path / "s.cxi")
    about = found.get_metadata()
    assert np.array_equal(np.concatenate([part.get_patterns() for part in found]), frames.numpy())
    assert np.array_equal(found.get_bad_pixels(), ~mask.numpy())
    assert about.detector_distance_m == 2.0
    assert about.detector_pixel_geometry.width_m == pytest.approx(pitch)
    assert about.photon_energy_eV == pytest.approx(12398.42 / 1.5, rel=1e-6)
