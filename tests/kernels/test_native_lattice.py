import pytest
import torch

from nanobrag_torch.kernels import cpu, native_lattice
from nanobrag_torch.kernels.backends import BACKENDS


def test_it_is_the_backend_called_cpu():
    assert BACKENDS["cpu"] is native_lattice
    assert native_lattice.why_not is cpu.why_not


def test_a_full_graph_compiles(lattice_case):
    """The operator is one node: tracing does not look inside, and finds no break."""
    if native_lattice.why_not(torch.device("cpu"), torch.float64, "square", False) is not None:
        pytest.skip("the native library is missing")
    case = lattice_case("square", "nearest", points=5)
    compiled = torch.compile(lambda S: case("cpu", S=S), fullgraph=True, backend="eager")
    assert torch.equal(compiled(case.leaves["S"]), case("cpu"))
