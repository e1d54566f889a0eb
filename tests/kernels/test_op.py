import pytest
import torch
from torch.autograd import gradcheck

from nanobrag_torch.kernels import cpu, op, packing
from nanobrag_torch.kernels.problem import LatticeProblem
from nanobrag_torch.kernels.structure_factors import StructureFactors

pytestmark = pytest.mark.skipif(
    cpu.why_not(torch.device("cpu"), torch.float64, "square", False) is not None, reason="the native library is missing"
)


def lattice_arguments(case):
    v = case.leaves
    table = StructureFactors(None if case.lookup == "constant" else v["F"], (-4, -5, -4), v["default_F"])
    interpolate = case.lookup == "tricubic"
    problem = LatticeProblem(table, case.shape, v["reciprocal"], v["fudge"], interpolate, case.radius, torch.float64)
    tensors = (v["S"], v["A"], packing.lattice_parameters(v["N"], problem), table.flat())
    return [t.detach().clone().requires_grad_() for t in tensors], packing.lattice_config(problem, len(v["A"]))


def scene_arguments(scene, count=7):
    problem = packing.scene_problem(scene, torch.float64)
    tensors = (
        packing.scene_geometry(scene),
        packing.scene_sources(scene),
        scene.A,
        packing.lattice_parameters(scene.N, problem),
        scene.structure_factors.flat(),
    )
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    return leaves, (torch.arange(count) * 31, [0, count], packing.scene_config(scene, torch.float64))


@pytest.mark.parametrize("lookup", ["constant", "nearest", "tricubic"])
@pytest.mark.parametrize("shape", ["square", "round", "gauss"])
def test_gradcheck_of_the_lattice_sum(lattice_case, shape, lookup):
    tensors, config = lattice_arguments(lattice_case(shape, lookup, points=5, orientations=2))
    assert gradcheck(lambda *t: op.lattice_sum(*t, config), tensors, fast_mode=True)


@pytest.mark.parametrize("count", [1.0, 4.0])
def test_gradcheck_exactly_at_lattice_points(lattice_case, count):
    (S, A, lattice, table), config = lattice_arguments(lattice_case("square", "nearest", points=2, orientations=1))
    lattice.data[:3] = count
    assert gradcheck(lambda S, lattice: op.lattice_sum(S, A, lattice, table, config), (S, lattice))


@pytest.mark.parametrize("background", ["nanobragg", "exact"])
def test_gradcheck_of_the_pixel_sum(make_scene, background):
    leaves, where = scene_arguments(make_scene(background=background))
    A, lattice, table = leaves[2:]
    limits = leaves[0][-2:].detach()  # what may be left out is not differentiated
    numbers = leaves[0][:-2].detach().clone().requires_grad_()

    def sums(numbers, sources):
        geometry = torch.cat([numbers, limits])
        total, background, _ = op.pixel_sum(geometry, sources, A, lattice, table, *where, 1.0, False, True, False)
        return total, background

    assert gradcheck(sums, (numbers, leaves[1]), fast_mode=True, eps=1e-8, atol=1e-3, rtol=1e-3)


def test_gradcheck_with_the_beam_through_a_pixel_centre(make_scene):
    scene = make_scene(
        origin=torch.tensor([0.06, -0.0002, -0.0002], dtype=torch.float64),
        fast=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64),
        slow=torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64),
        normal=torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64),
        incident=torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64),
        sources=1,
        oversample=1,
        layers=1,
    )
    leaves, (_, _, config) = scene_arguments(scene)
    geometry, sources, A, lattice, table = leaves
    where = (torch.zeros(1, dtype=torch.int64), [0, 1], config)

    def total(geometry, A):
        return op.pixel_sum(geometry, sources, A, lattice, table, *where, 1.0, False, False, False)[0]

    assert total(geometry, A).isfinite().all()
    (by_geometry,) = torch.autograd.grad(total(geometry, A).sum(), geometry)
    assert by_geometry.isfinite().all()
    assert gradcheck(lambda A: 1e6 * total(geometry, A), (A,), fast_mode=True, atol=1e-4)


def test_operators_keep_their_promises(lattice_case, make_scene):
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    tensors, config = lattice_arguments(lattice_case("square", "nearest", points=5))
    torch.library.opcheck(op.lattice_sum, (*tensors, config), test_utils=tests)
    grad = torch.ones(5, dtype=torch.float64)
    plain = [t.detach() for t in tensors]
    torch.library.opcheck(op.lattice_sum_vjp, (grad, *plain, config, [True, True]), test_utils=tests[:3:2])
    leaves, where = scene_arguments(make_scene(background="nanobragg"))
    torch.library.opcheck(op.pixel_sum, (*leaves, *where, 1.0, False, True, True), test_utils=tests)
    grad = torch.ones(7, dtype=torch.float64)
    plain = [t.detach() for t in leaves]
    torch.library.opcheck(op.pixel_sum_vjp, (grad, grad, *plain, *where, 2.0, [True, True]), test_utils=tests[:3:2])


def test_a_second_derivative_raises(lattice_case):
    (S, A, lattice, table), config = lattice_arguments(lattice_case("square", "constant", points=3))
    (slope,) = torch.autograd.grad(op.lattice_sum(S, A, lattice, table, config).sum(), A, create_graph=True)
    with pytest.raises(RuntimeError):
        slope.sum().backward()


def test_a_full_graph_compiles(lattice_case):
    """The operator is one node: tracing does not look inside, and finds no break."""
    (S, A, lattice, table), config = lattice_arguments(lattice_case("square", "nearest", points=5))

    def sums(S):
        return op.lattice_sum(S, A, lattice, table, config)

    compiled = torch.compile(sums, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(S), sums(S))
    grads = [torch.autograd.grad(f(S).sum(), S)[0] for f in (compiled, sums)]
    assert torch.equal(*grads)
