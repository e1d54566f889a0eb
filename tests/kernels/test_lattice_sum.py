import math

import numpy as np
import pytest
import torch

from nanobrag_torch.errors import BackendUnavailable, InputError
from nanobrag_torch.kernels.backends import BACKENDS
from nanobrag_torch.kernels.lattice_sum import lattice_sum
from nanobrag_torch.kernels.structure_factors import StructureFactors

SHAPES = ("square", "round", "gauss", "tophat")
LOOKUPS = ("constant", "nearest", "tricubic")
COMPILED = [name for name in BACKENDS if name != "reference"]
CPU = torch.device("cpu")


def need(backend, dtype=torch.float64, shape="square", interpolation=False):
    reason = BACKENDS[backend].why_not(CPU, dtype, shape, interpolation)
    if reason is not None:
        pytest.skip(reason)


def relative(a, b):
    return ((a - b).norm() / b.norm().clamp_min(1e-300)).item()


def by_hand(case):
    """The specification read aloud: loops over points and orientations, one number at a time."""
    v = {name: value.numpy() for name, value in case.leaves.items()}
    origin, F, G = (-4, -5, -4), v["F"], float(v["fudge"])
    cells = float(np.prod(v["N"]))

    def nearest(index):
        place = [int(i) - o for i, o in zip(index, origin, strict=True)]
        inside = all(0 <= p < n for p, n in zip(place, F.shape, strict=True))
        return F[tuple(place)] if inside else float(v["default_F"])

    def tricubic(h):
        weights, starts = [], []
        for x, first, size in zip(h, origin, F.shape, strict=True):
            if not first + 2 <= x <= first + size - 3:
                return float(v["default_F"])
            nodes = [math.floor(x) + n for n in (-1, 0, 1, 2)]
            others = [[m for m in nodes if m != n] for n in nodes]
            weights.append([np.prod([(x - m) / (n - m) for m in o]) for n, o in zip(nodes, others, strict=True)])
            starts.append(nodes[0] - first)
        block = F[tuple(slice(s, s + 4) for s in starts)]
        return np.einsum("i,j,k,ijk", *weights, block)

    def amplitude(h, d):
        if case.shape == "square":
            ratios = [
                n if x == round(x) else math.sin(math.pi * n * x) / math.sin(math.pi * x)
                for n, x in zip(v["N"], h, strict=True)
            ]
            return float(np.prod(ratios))
        if case.shape == "round" or case.radius == "exact":
            square = sum((n * x) ** 2 for n, x in zip(v["N"], d, strict=True))
        else:
            square = float(((d @ v["reciprocal"]) ** 2).sum()) * cells**2
        if case.shape == "round":
            x = math.pi * math.sqrt(G * square)
            sphere = 3 * (math.sin(x) / x - math.cos(x)) / x**2 if x > 1e-3 else 1 - x * x / 10
            return cells * 0.723601254558268 * sphere
        if case.shape == "gauss":
            return cells * math.exp(-G * square / 0.63)
        return cells if G * square < 0.3969 else 0.0

    sums = []
    for S in v["S"]:
        total = 0.0
        for A in v["A"]:
            h = A @ S
            whole = np.ceil(h - 0.5)
            value = {
                "constant": lambda: float(v["default_F"]),
                "nearest": lambda w=whole: nearest(w),
                "tricubic": lambda x=h: tricubic(x),
            }[case.lookup]()
            total += (value * amplitude(h, h - whole)) ** 2
        sums.append(total)
    return torch.tensor(sums, dtype=torch.float64)


@pytest.mark.parametrize("radius", ["nanobragg", "exact"])
@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_value_is_what_the_specification_says(lattice_case, backend, shape, lookup, radius):
    need(backend)
    case = lattice_case(shape, lookup, radius)
    torch.testing.assert_close(case(backend), by_hand(case), rtol=2e-11, atol=1e-12)


@pytest.mark.parametrize("radius", ["nanobragg", "exact"])
@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", COMPILED)
def test_every_gradient_agrees_with_the_reference(lattice_case, backend, shape, lookup, radius):
    need(backend)
    case = lattice_case(shape, lookup, radius).tracked()
    weight = torch.linspace(-1.0, 1.7, len(case.leaves["S"]), dtype=torch.float64)
    leaves = list(case.leaves.values())
    expected = torch.autograd.grad((case("reference") * weight).sum(), leaves, allow_unused=True)
    found = torch.autograd.grad((case(backend) * weight).sum(), leaves, allow_unused=True)
    for name, a, b in zip(case.leaves, found, expected, strict=True):
        a = torch.zeros_like(case.leaves[name]) if a is None else a
        b = torch.zeros_like(case.leaves[name]) if b is None else b
        assert relative(a, b) < 1e-10 if b.norm() > 0 else a.norm() == 0, name


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_single_precision_keeps_the_phase(lattice_case, backend, shape, lookup):
    need(backend, torch.float32)
    case = lattice_case(shape, lookup)
    assert relative(case(backend, torch.float32), case("reference")) < 2e-6


@pytest.mark.parametrize("backend", BACKENDS)
def test_single_precision_with_a_thousand_cells_at_index_one_hundred(backend):
    need(backend, torch.float32)
    g = torch.Generator().manual_seed(3)
    S = 2.0 + 0.002 * torch.rand(4000, 3, generator=g, dtype=torch.float64)
    A = torch.diag(torch.tensor([50.0, 51.0, 49.0], dtype=torch.float64))[None]
    N = torch.full((3,), 1000.0, dtype=torch.float64)
    images = [
        lattice_sum(
            S,
            A,
            N,
            StructureFactors.constant(2.0),
            shape="square",
            reciprocal=A[0],
            fudge=torch.ones(()),
            interpolation=False,
            backend=backend,
            dtype=dtype,
        )
        for dtype in (torch.float64, torch.float32)
    ]
    assert torch.corrcoef(torch.stack(images))[0, 1] > 0.9999999
    assert images[1].sum() / images[0].sum() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("backend", BACKENDS)
def test_bits_do_not_depend_on_chunks_or_threads(lattice_case, backend, dtype):
    need(backend, dtype)
    case = lattice_case("square", "nearest", points=70001 if backend == "cpu" else 40001)
    whole, S = case(backend, dtype), case.leaves["S"]
    for size in (16384, 9999, 1777):
        parts = [case(backend, dtype, S=part) for part in S[:20000].split(size)]
        assert torch.equal(torch.cat(parts), whole[:20000])
    single = torch.stack([case(backend, dtype, S=S[i : i + 1])[0] for i in range(0, 400, 7)])
    assert torch.equal(single, whole[:400:7])
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(case(backend, dtype), whole)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("backend", COMPILED)
def test_gradients_do_not_depend_on_threads(lattice_case, backend):
    need(backend)
    case = lattice_case("square", "nearest", points=5000).tracked()
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(torch.autograd.grad(case(backend).sum(), list(case.leaves.values()), allow_unused=True))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            assert (a is None and b is None) or relative(a, b) < 1e-12


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_points_and_no_warning(lattice_case, backend):
    need(backend)
    case = lattice_case("round", "nearest")
    assert case(backend, S=torch.empty(0, 3, dtype=torch.float64)).shape == (0,)


def test_a_named_backend_is_never_replaced(lattice_case):
    case = lattice_case("square", "constant")
    with pytest.raises(BackendUnavailable, match="no such backend"):
        case("abacus")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"S": torch.zeros(3, 2, dtype=torch.float64)}, "S"),
        ({"S": torch.zeros(3, 3)}, "S"),
        ({"A": torch.zeros(3, 3, dtype=torch.float64)}, "A"),
        ({"N": torch.zeros(2, dtype=torch.float64)}, "N"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(lattice_case, change, field):
    with pytest.raises(InputError) as caught:
        lattice_case("square", "constant")(**change)
    assert caught.value.field == field


def test_unknown_choices_are_refused(lattice_case):
    with pytest.raises(InputError, match="shape"):
        lattice_case("cube", "constant")()
    with pytest.raises(InputError, match="radius"):
        lattice_case("gauss", "constant", "half")()
    with pytest.raises(InputError, match="dtype"):
        lattice_case("gauss", "constant")(dtype=torch.float16)
