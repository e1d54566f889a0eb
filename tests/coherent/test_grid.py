"""Frames of a rocking scan on a grid of indices: the closed form of whole crystals, and a strained one phased."""

from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, InputError, SamplingConfig, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.coherent.bragg import PhasingOptions, phase_starts
from nanobrag_torch.coherent.crystal import cell_weights
from nanobrag_torch.coherent.grid import (
    IndexGrid,
    cell_frames,
    interpolated,
    on_index_grid,
    scan_frames,
    scan_indices,
)
from nanobrag_torch.coherent.metrics import align, phase_error

REAL = torch.float64
BRAGG = math.degrees(math.asin(1.3 * 5 / (2 * 40.0)))
"""Half of two-theta of (0, 5, 0): the beam along z and b along y, so as much of a turn about x brings it to reflect."""


def rocking(pixels: int, pixel_mm: float, step_deg: float, cells=(5, 6, 7)):
    """A scan of as many steps as the detector has pixels, its middle one at the reflection (0, 5, 0)."""
    return settle(
        Config(
            crystal=CrystalConfig(
                cell_a=40.0, cell_b=40.0, cell_c=40.0, Na=cells[0], Nb=cells[1], Nc=cells[2], default_F=100.0
            ),
            beam=BeamConfig(wavelength_A=1.3, fluence=1e24),
            detector=DetectorConfig(
                pixels_f=pixels,
                pixels_s=pixels,
                pixel_mm=pixel_mm,
                distance_mm=100.0,
                convention="XDS",
                twotheta_deg=-2 * BRAGG,
            ),
            sampling=SamplingConfig(
                oversample=1, phi_deg=-BRAGG - pixels / 2 * step_deg, osc_deg=pixels * step_deg, phi_steps=pixels
            ),
        ),
        physics="exact",
    )


def test_the_scan_meets_the_reflection():
    indices = scan_indices(rocking(24, 0.1, 0.35))
    middle = indices[12, 11:13, 11:13].mean((0, 1))
    assert middle.tolist() == pytest.approx([0.0, 5.0, 0.0], abs=1e-4)


def error(pixels: int, pixel_mm: float, step_deg: float) -> float:
    """Largest difference over the peak from Π sin²(πNh)/sin²(πh)."""
    scan = rocking(pixels, pixel_mm, step_deg)
    frames = scan_frames(scan, torch.ones(5, 6, 7, dtype=REAL)) / cell_frames(scan)
    grid = IndexGrid((0.0, 5.0, 0.0), (0.04, 0.04, 0.04), (10, 10, 10))
    found = on_index_grid(frames, scan_indices(scan), grid)
    x = math.pi * (grid.points() + 1e-12)
    wanted = (torch.sin(x * torch.tensor([5.0, 6.0, 7.0])) / torch.sin(x)).square().prod(-1)
    assert bool(torch.isfinite(found).all())
    assert float(found.argmax()) == float(wanted.argmax())
    return float((found - wanted).abs().max() / wanted.max())


def test_whole_crystals_have_their_closed_form_on_the_grid():
    """Cubic interpolation: half the steps, a sixteenth of the error."""
    coarse, fine = error(24, 0.1, 0.35), error(48, 0.05, 0.175)
    assert fine < 2e-3
    assert fine < coarse / 10


def test_cubics_are_met_and_extrapolated():
    line = torch.arange(6.0, dtype=REAL)
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")

    def cubic(x, y, z):
        return x**3 - 2 * x * y**2 + y**3 * z - 0.3 * z**3

    places = torch.tensor([[0.0, 0.0, 0.0], [2.3, 4.9, 1.1], [5.0, 5.0, 5.0], [5.4, -0.3, 2.0]], dtype=REAL)
    assert torch.allclose(interpolated(cubic(x, y, z)[..., None], places)[:, 0], cubic(*places.T), atol=1e-9)


def test_what_was_not_measured_stays_so():
    scan = rocking(24, 0.1, 0.35)
    frames, indices = cell_frames(scan), scan_indices(scan)
    grid = IndexGrid((0.0, 5.0, 0.0), (0.1, 0.04, 0.04), (16, 5, 5))
    found = on_index_grid(frames, indices, grid)
    assert bool(torch.isnan(found[0]).all())
    assert bool(torch.isfinite(found[8]).all())
    spoilt = frames.clone()
    spoilt[12, 12, 12] = math.nan
    more = torch.isnan(on_index_grid(spoilt, indices, grid)).sum() - torch.isnan(found).sum()
    assert 1 <= int(more) <= 64


def test_a_strained_crystal_from_its_frames():
    """From photons on the detector to the phases of its cells."""
    cells, size = 8, 20
    line = torch.arange(cells, dtype=REAL) - (cells - 1) / 2
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")
    u = torch.stack([0 * x, 0.03 * torch.sin(0.7 * x) * torch.cos(0.5 * z) + 0.002 * y**2, 0 * x], -1)
    weights = cell_weights((0, 5, 0), u, (x + 0.6 * y < 3.5).to(REAL))
    scan = rocking(64, 0.065, 0.23, (cells,) * 3)
    frames = scan_frames(scan, weights)
    one = cell_frames(scan)
    photons = torch.poisson(frames * (1e7 / frames.sum()), generator=torch.Generator().manual_seed(1))
    grid = IndexGrid((0.0, 5.0, 0.0), (1 / size,) * 3, (size,) * 3)
    counts = on_index_grid(photons * one.mean() / one, scan_indices(scan), grid)
    assert float(torch.isfinite(counts).double().mean()) > 0.9
    box, inner = slice(size // 2 - 5, size // 2 + 5), slice(size // 2 - 4, size // 2 + 4)
    widest = torch.zeros(size, size, size, dtype=torch.bool)
    widest[box, box, box] = True
    best = phase_starts(counts, widest, PhasingOptions(starts=4))[0]
    truth = torch.zeros(size, size, size, dtype=torch.complex128)
    truth[inner, inner, inner] = weights.conj()
    result = align(best.density, truth, ramp=False, twin=True)
    assert phase_error(result, result.truth.abs() > 0.5 * result.truth.abs().max()) < 0.15


def test_refusals():
    scan = rocking(8, 0.1, 0.35)
    frames, indices = cell_frames(scan), scan_indices(scan)
    grid = IndexGrid((0.0, 5.0, 0.0), (0.04, 0.04, 0.04), (4, 4, 4))
    with pytest.raises(InputError, match="frames: .* beside indices"):
        on_index_grid(frames[:3], indices, grid)
    with pytest.raises(InputError, match="grid: the scan has no pixel around"):
        on_index_grid(frames, indices, IndexGrid((3.0, 5.0, 0.0), (0.01, 0.01, 0.01), (4, 4, 4)))
    with pytest.raises(InputError, match="indices: they do not change along one of"):
        on_index_grid(frames, indices[:1].expand(8, -1, -1, -1), grid)
    several = "-default_F 1 -cell 40 40 40 90 90 90 -N 3 -lambda 1 -distance 50 -detpixels 8 -pixel 1 -mosaic 1"
    crystal = settle(parse([*several.split(), "-mosaic_domains", "3"]), "exact")
    with pytest.raises(InputError, match="a pixel has no single index with 1 sources and 3 domains"):
        scan_indices(crystal)
