import subprocess
import sys

import pytest
import torch

from nanobrag_torch import native
from nanobrag_torch.kernels import cpu

CPU = torch.device("cpu")
BUILT = cpu.why_not(CPU, torch.float64, "square", False) is None


def test_it_says_why_it_cannot_serve(monkeypatch):
    assert "reference" in cpu.why_not(torch.device("meta"), torch.float64, "square", False)
    assert "reference" in cpu.why_not(CPU, torch.float64, "dodecahedron", False)
    monkeypatch.setattr(native, "load", lambda name: None)
    monkeypatch.setattr(native, "why_missing", lambda name: "it was not built")
    assert cpu.why_not(CPU, torch.float64, "square", False) == "it was not built"


@pytest.mark.skipif(not BUILT, reason="the native library is missing")
def test_instruction_sets_can_be_limited():
    best = cpu.level()
    assert best in (1, 3, 4)
    try:
        assert cpu.level(1) == 1
    finally:
        assert cpu.level(4) == best


@pytest.mark.skipif(not BUILT, reason="the native library is missing")
def test_spawned_workers_and_denormals(tmp_path):
    """A worker process computes after its parent has; denormal numbers stay what they are."""
    program = """
import torch, torch.multiprocessing as mp
from nanobrag_torch.kernels.lattice_sum import lattice_sum
from nanobrag_torch.kernels.structure_factors import StructureFactors

def total(_=0):
    S = torch.linspace(0, 1, 3000, dtype=torch.float64).reshape(-1, 3)
    A, one = torch.eye(3, dtype=torch.float64)[None] * 7, torch.ones(3, dtype=torch.float64)
    table = StructureFactors.constant(1.0)
    options = dict(shape="square", reciprocal=A[0], fudge=one[0], interpolation=False, backend="cpu")
    return lattice_sum(S, A, 3 * one, table, **options).sum().item()

if __name__ == "__main__":
    mine = total()
    with mp.get_context("spawn").Pool(1) as pool:
        assert pool.map(total, [0]) == [mine]
    assert (torch.tensor(1e-310, dtype=torch.float64) * 1.0).item() == 1e-310
    print("well")
"""
    path = tmp_path / "spawned.py"
    path.write_text(program)
    run = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert run.stdout.strip() == "well", run.stderr
