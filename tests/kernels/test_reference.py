import pytest
import torch
from torch.autograd import gradcheck

from nanobrag_torch.kernels import reference


@pytest.mark.parametrize("lookup", ["constant", "nearest", "tricubic"])
@pytest.mark.parametrize("shape", ["square", "round", "gauss"])
def test_gradients_of_the_definition(lattice_case, shape, lookup):
    case = lattice_case(shape, lookup, points=5, orientations=2).tracked()
    names = list(case.leaves)

    def sums(*values):
        return case("reference", **dict(zip(names, values, strict=True)))

    assert gradcheck(sums, tuple(case.leaves.values()), fast_mode=True)


@pytest.mark.parametrize("count", [1.0, 4.0])
def test_gradients_exactly_at_lattice_points(lattice_case, count):
    case = lattice_case("square", "nearest", points=2, orientations=1).tracked()

    def sums(S, N):
        return case("reference", S=S, N=N)

    N = torch.full((3,), count, dtype=torch.float64, requires_grad=True)
    assert gradcheck(sums, (case.leaves["S"], N))


def test_second_derivatives_exist(lattice_case):
    case = lattice_case("square", "constant", points=3, orientations=1).tracked()
    (slope,) = torch.autograd.grad(case("reference").sum(), case.leaves["A"], create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), case.leaves["A"])
    assert torch.isfinite(curvature).all()


def test_it_serves_everything():
    assert reference.why_not(torch.device("meta"), torch.float32, "gauss", True) is None
