"""Measures: what they take out, what they leave, and what goes wrong without them."""

from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch.coherent.metrics import (
    align,
    phase_error,
    probe_diameter,
    ramp_field,
    relative_error,
    ring_correlation,
    scan_overlap,
    shifted,
)
from nanobrag_torch.errors import InputError

REAL = torch.float64


def smooth(*shape: int, seed: int = 1) -> torch.Tensor:
    """A band-limited complex field."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.complex128)
    radius = sum(
        torch.fft.fftfreq(n, dtype=REAL).reshape([n if a == i else 1 for i in range(len(shape))]) ** 2
        for a, n in enumerate(shape)
    )
    return torch.fft.ifftn(torch.fft.fftn(noise) * torch.exp(-radius / 0.01)) * 10


@pytest.mark.parametrize("shape", [(48, 40), (16, 18, 20)])
@pytest.mark.parametrize("twin", [False, True])
def test_a_right_answer_has_no_error_once_aligned_and_a_large_one_before(shape, twin):
    truth = smooth(*shape)
    slope = 0.31 * torch.arange(1.0, len(shape) + 1, dtype=REAL)
    found = shifted(truth, torch.tensor([2.3, -1.7, 0.4][: len(shape)], dtype=REAL)) * ramp_field(truth, slope)
    found = found * (0.4 - 1.3j)
    if twin:
        found = found.conj().flip(tuple(range(len(shape)))).resolve_conj()
    result = align(found, truth, twin=True)
    assert relative_error(found, truth) > 0.9
    assert result.error < 1e-6
    assert result.twin == twin
    if not twin:
        assert result.shift == pytest.approx([2.3, -1.7, 0.4][: len(shape)], abs=1e-6)
        assert result.ramp == pytest.approx(slope.tolist(), abs=1e-6)


def test_noise_of_a_known_size_is_what_is_left():
    truth = smooth(64, 64)
    noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(2), dtype=torch.complex128)
    noise = 0.1 * noise * truth.norm() / noise.norm()
    found = 3j * shifted(truth + noise, torch.tensor([5.0, -3.0], dtype=REAL))
    assert align(found, truth).error == pytest.approx(0.1, rel=0.02)


def test_the_phase_in_the_support_only():
    truth = torch.ones(16, 16, dtype=torch.complex128)
    truth[4:12, 4:12] = 3.0
    angle = torch.zeros(16, 16, dtype=REAL)
    angle[4:8, 4:12], angle[8:12, 4:12], angle[0, 0] = 0.1, -0.1, 3.0
    made = align(truth, truth)._replace(found=truth * torch.exp(1j * angle))
    assert phase_error(made, truth.real > 2) == pytest.approx(0.1, abs=1e-9)


def test_rings_agree_where_the_fields_do():
    generator = torch.Generator().manual_seed(3)
    field, other = (torch.randn(128, 128, generator=generator, dtype=torch.complex128) for _ in range(2))
    radius = sum(torch.fft.fftfreq(128, dtype=REAL).reshape(s) ** 2 for s in ((-1, 1), (1, -1))).sqrt()
    low = torch.where(radius < 0.2, torch.fft.fftn(field), torch.fft.fftn(other))
    result = ring_correlation(torch.fft.ifftn(low), field)
    assert float(result.correlation[2:23].min()) > 0.99
    assert float(result.correlation[28:].abs().max()) < 0.35
    assert result.crossing == pytest.approx(0.2, abs=0.02)
    assert ring_correlation(field, field).crossing == 0.5
    shells = ring_correlation(smooth(12, 12, 12), smooth(12, 12, 12, seed=4))
    assert shells.crossing < 0.3


def test_overlap_of_discs():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    disc = ((x - 32) ** 2 + (y - 32) ** 2 < 100).to(torch.complex128)
    assert probe_diameter(disc) == pytest.approx(20.0, rel=0.02)
    grid = torch.cartesian_prod(torch.arange(0.0, 30, 6), torch.arange(0.0, 30, 6)).to(REAL)
    assert scan_overlap(grid, 20.0) == pytest.approx(0.7)


def test_refusals():
    field = smooth(8, 8)
    for found, words in (
        (smooth(8, 9), "of one shape"),
        (0 * field, "zero everywhere"),
        (field * math.nan, "not finite"),
    ):
        with pytest.raises(InputError, match=words):
            align(found, field)
