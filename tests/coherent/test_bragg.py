"""Phasing of a small strained crystal, and the likelihood of its cells through the image of the core."""

from __future__ import annotations

import pytest
import torch

from nanobrag_torch.coherent.bragg import PhasingOptions, agreement, fit_cells, phase_starts
from nanobrag_torch.coherent.crystal import lattice_intensity
from nanobrag_torch.coherent.metrics import align, phase_error
from nanobrag_torch.coherent.specimens import dislocated_crystal
from nanobrag_torch.errors import InputError

REAL = torch.float64


def crystal(size: int = 20, cells: int = 9):
    """A ball with a corner cut off and a smooth strain on a grid, its support, and its photons."""
    line = torch.arange(size, dtype=REAL) - size // 2
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")
    inside = (x**2 + y**2 + z**2 < (cells / 2) ** 2) & (x + 0.6 * y < 2.5)
    phase = 0.8 * torch.sin(0.5 * x) * torch.cos(0.4 * z + 0.3) + 0.3 * y / cells
    density = torch.where(inside, torch.polar(torch.ones_like(phase), phase), 0.0)
    field = torch.fft.fftshift(torch.fft.fftn(density, norm="ortho")).abs() ** 2
    scale = 1e6 / field.sum()
    counts = torch.poisson(field * scale, generator=torch.Generator().manual_seed(1))
    box = (x.abs() <= cells // 2 + 1) & (y.abs() <= cells // 2 + 1) & (z.abs() <= cells // 2 + 1)
    return density * scale.sqrt(), inside, counts, box


def test_a_strained_crystal_from_random_starts():
    density, inside, counts, box = crystal()
    starts = phase_starts(counts, box, PhasingOptions(starts=3))
    assert [one.misfit for one in starts] == sorted(one.misfit for one in starts)
    assert 1 / 3 <= agreement(starts) <= 1

    def forward(cells: torch.Tensor) -> torch.Tensor:
        return torch.fft.fftshift(torch.fft.fftn(cells, norm="ortho").abs() ** 2)

    cells, misfit = fit_cells(starts[0].density, starts[0].support, counts, forward, 30)
    result = align(cells, density, ramp=False, twin=True)
    assert misfit < 1.0
    assert phase_error(result, result.truth.abs() > 0.5 * result.truth.abs().max()) < 0.15


def test_a_dislocation_and_a_support_that_holds_the_density():
    """Two starts of the crystal of reports/coherent.md; its photons come from the sum over cells, not from an FFT."""
    cells, grid = 24, 48
    weights = dislocated_crystal(cells)
    line = (torch.arange(grid, dtype=REAL) - grid // 2) / grid
    points = torch.cartesian_prod(line, line, line)
    field = torch.cat([lattice_intensity(some, weights[None]) for some in torch.split(points, 4096)])
    counts = torch.poisson(field * (1e6 / field.sum()), generator=torch.Generator().manual_seed(1))
    counts = counts.reshape(grid, grid, grid)
    inner, box = slice(grid // 4, 3 * grid // 4), torch.zeros(grid, grid, grid, dtype=torch.bool)
    box[grid // 4 - 1 : 3 * grid // 4 + 1, grid // 4 - 1 : 3 * grid // 4 + 1, grid // 4 - 1 : 3 * grid // 4 + 1] = True
    truth = torch.zeros(grid, grid, grid, dtype=torch.complex128)
    truth[inner, inner, inner] = weights.conj()
    # A phase that winds around the line is not the phase of a crystal without one.
    loop = torch.angle(weights[8:16, 8:18, 12])
    edge = torch.cat([loop[:-1, 0], loop[-1, :-1], loop[1:, -1].flip(0), loop[0, 1:].flip(0)])
    turns = torch.angle(torch.exp(1j * (edge.roll(-1) - edge))).sum() / (2 * torch.pi)
    assert abs(float(turns)) == pytest.approx(1.0, abs=1e-9)
    starts = phase_starts(counts, box, PhasingOptions(starts=2, seed=2))
    for one in starts:
        assert not bool((one.density[~one.support] != 0).any())
    result = align(starts[0].density, truth, ramp=False, twin=True)
    assert phase_error(result, result.truth.abs() > 0.5 * result.truth.abs().max()) <= 0.15


def test_likelihood_through_the_sum_over_cells():
    """The transform of the core in place of an FFT, on points that are on no grid."""
    generator = torch.Generator().manual_seed(3)
    truth = torch.polar(torch.ones(4, 4, 4, dtype=REAL), torch.rand(4, 4, 4, generator=generator, dtype=REAL))
    indices = torch.rand(900, 3, generator=generator, dtype=REAL) - 0.5

    def forward(cells: torch.Tensor) -> torch.Tensor:
        return 100.0 * lattice_intensity(indices, cells[None])

    start = truth * torch.polar(
        torch.ones(4, 4, 4, dtype=REAL), 0.2 * torch.randn(4, 4, 4, generator=generator, dtype=REAL)
    )
    cells, misfit = fit_cells(start, torch.ones(4, 4, 4, dtype=torch.bool), forward(truth), forward, 80)
    turned = (cells.conj() * truth).sum()
    assert misfit < 1e-9
    assert float((cells * turned / turned.abs() - truth).norm() / truth.norm()) < 1e-6


def test_refusals():
    _, _, counts, box = crystal(12, 5)
    with pytest.raises(InputError, match="support: it fills 100 %"):
        phase_starts(counts, torch.ones_like(box), PhasingOptions())
    with pytest.raises(InputError, match="without photons"):
        phase_starts(0 * counts, box, PhasingOptions())
