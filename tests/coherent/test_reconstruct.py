"""Reconstruction of a scan that it knows nothing of, and the same from a file."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from nanobrag_torch.coherent.compare import compare_states
from nanobrag_torch.coherent.frames import FileFrames, MemoryFrames
from nanobrag_torch.coherent.likelihood import LikelihoodOptions, maximum_likelihood
from nanobrag_torch.coherent.metrics import align, relative_error
from nanobrag_torch.coherent.pie import PieOptions, State, orthogonal, rpie
from nanobrag_torch.coherent.ptychography import Noise, counted, intensities
from nanobrag_torch.coherent.reconstruct import Options, reconstruct
from nanobrag_torch.coherent.specimens import measure
from nanobrag_torch.errors import FileFormatError, InputError


@pytest.fixture(scope="module")
def scan():
    return measure(32, 9, 3.0, 1e6, error=1.0)


def placed(found, truth):
    """Found and true object on the true one's grid."""
    rows, columns = truth.truth.target.shape
    corner = torch.round(found.state.positions - truth.truth.positions).mean(0).round().long()
    region = torch.zeros(rows, columns, dtype=torch.bool)
    there = torch.zeros(rows, columns, dtype=torch.complex128)
    for source, target in ((found.state.target, there), (found.scanned, region)):
        moved = torch.roll(source, tuple(-int(x) for x in corner), (0, 1))
        h, w = min(rows, moved.shape[0]), min(columns, moved.shape[1])
        target[:h, :w] = moved[:h, :w]
    return there, region


def test_an_unknown_probe_and_wrong_positions(scan):
    options = Options(pie=PieOptions(epochs=40, batch=8), likelihood=LikelihoodOptions(steps=20))
    told = []
    found = reconstruct(scan.frames, scan.mask, scan.said, options, progress=lambda *step: told.append(step))
    there, region = placed(found, scan)
    result = align(there, scan.truth.target, region)
    assert result.error < 0.04
    assert relative_error(there, scan.truth.target, region) > 3 * result.error
    off = found.state.positions - scan.truth.positions
    wrong = scan.said - scan.truth.positions
    rms = [float((x - x.mean(0)).square().mean().sqrt()) for x in (off, wrong)]
    assert rms[0] < 0.1 < 0.5 < rms[1]
    assert {stage for stage, *_ in told} == {"rPIE", "likelihood"}


def test_the_same_from_a_file_frame_by_frame(scan, tmp_path):
    counts = scan.frames.counts[:30]
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["d"] = counts.numpy().astype(np.uint32)
    start = State(torch.ones_like(scan.truth.target), scan.truth.probe, scan.said[:30])
    options = PieOptions(epochs=2, positions_from=0, probe_from=0)
    likelihood = LikelihoodOptions(steps=3)
    memory = MemoryFrames(counts)
    whole = maximum_likelihood(
        memory, scan.mask, rpie(memory, scan.mask, start, options), replace(likelihood, batch=30)
    )
    with FileFrames(str(tmp_path / "f.h5"), "d") as frames:
        pieces = maximum_likelihood(
            frames, scan.mask, rpie(frames, scan.mask, start, options), replace(likelihood, batch=7)
        )
    assert float((pieces.target - whole.target).norm() / whole.target.norm()) < 1e-12
    assert float((pieces.probe - whole.probe).norm() / whole.probe.norm()) < 1e-12


def test_modes_become_orthogonal_and_give_the_same_light():
    modes = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.complex128)
    turned = orthogonal(modes)
    rows = turned.reshape(3, -1)
    product = (rows @ rows.conj().T).abs()
    assert float((product - torch.diag(product.diagonal())).max()) < 1e-10
    assert torch.allclose((turned.abs() ** 2).sum(0), (modes.abs() ** 2).sum(0))


def test_orthogonal_modes_are_recovered(scan):
    """Four parts of light in the defocused probe and one in another mode: neither is known, and one is not enough."""
    first = scan.truth.probe[0]
    second = first * (torch.arange(32, dtype=torch.float64) - 16)[:, None]
    probe = orthogonal(torch.stack([first, second * (0.5 * first.norm() / second.norm())]))
    probe = probe * (1e3 / probe.norm())
    expected = intensities(scan.truth.target, probe, scan.truth.positions)
    frames = MemoryFrames(counted(expected, 0, Noise(1)) * scan.mask)
    said = scan.truth.positions + 0.5 * (scan.said - scan.truth.positions)
    truth, errors = State(scan.truth.target, probe, scan.truth.positions), []
    for modes in (2, 1):
        options = Options(modes, PieOptions(epochs=40, batch=8), LikelihoodOptions(steps=20))
        found = reconstruct(frames, scan.mask, said, options).state
        errors.append(compare_states(found, truth).aligned.error)
        if modes == 2:
            light, wanted = ((p.abs() ** 2).sum((1, 2)) for p in (found.probe, probe))
            assert (light / light.sum()).tolist() == pytest.approx((wanted / wanted.sum()).tolist(), abs=0.01)
            assert float((found.probe[0].conj() * found.probe[1]).sum().abs()) < 1e-9 * float(light.sum())
            assert align(found.probe[0], probe[0]).error < 0.03
            assert align(found.probe[1], probe[1]).error < 0.08
    assert errors[0] < 0.04
    assert errors[1] > 5 * errors[0]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c, m, p: (c[:0], m, p), "frames: their shape is"),
        (lambda c, m, p: (torch.where(torch.arange(30)[:, None, None] == 4, 0, c), m, p), "frame 4 has no photon"),
        (lambda c, m, p: (torch.where(torch.arange(30)[:, None, None] == 5, torch.nan, c), m, p), "frame 5 has values"),
        (lambda c, m, p: (c, m & False, p), "mask: every pixel is masked"),
        (lambda c, m, p: (c, m, p[:29]), "positions: 29 for 30 frames"),
        (lambda c, m, p: (c, m, p * torch.nan), "positions: some are not finite"),
    ],
)
def test_refusals(scan, spoil, words):
    counts, mask, positions = spoil(scan.frames.counts[:30], scan.mask, scan.said[:30])
    with pytest.raises(InputError, match=words):
        reconstruct(MemoryFrames(counts), mask, positions, Options())


def test_files_it_refuses(tmp_path):
    (tmp_path / "text").write_text("no")
    with pytest.raises(FileFormatError, match="not an HDF5 file"):
        FileFrames(str(tmp_path / "text"), "d")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["d"] = np.zeros((2, 3, 4))
    with pytest.raises(FileFormatError, match="its shape is"):
        FileFrames(str(tmp_path / "f.h5"), "d")
    with pytest.raises(FileFormatError, match="no such data set"):
        FileFrames(str(tmp_path / "f.h5"), "e")
