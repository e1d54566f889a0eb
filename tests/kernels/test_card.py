"""The code for cards, run on a processor: values, gradients and directional derivatives against the plain pipeline."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path

import pytest
import torch

from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import BackendUnavailable, NanobragWarning
from nanobrag_torch.kernels import card, cpu
from nanobrag_torch.kernels.packing import pack_scene
from nanobrag_torch.pipeline.render import pixel_scene
from nanobrag_torch.settling import settle

_SPEC = importlib.util.spec_from_file_location("emulated", Path(__file__).parent / "emulated.py")
emulated = importlib.util.module_from_spec(_SPEC)
sys.modules["emulated"] = emulated
_SPEC.loader.exec_module(emulated)

pytestmark = [
    pytest.mark.skipif(emulated.COMPILER is None, reason="there is no C compiler"),
    pytest.mark.skipif(
        cpu.why_not(torch.device("cpu"), torch.float64, "square", False) is not None, reason="not built"
    ),
]

PIXELS = torch.arange(0, 320, 13)
ONE_TERM = {"oversample": 1, "layers": 1, "sources": 1, "has_sensor": False}
CASES = {
    "cached factors": {"background": "nanobragg"},
    "own everything": {
        "per_term_omega": True, "per_term_polar": True, "per_term_thick": True, "background": "exact", "dmin": 3.0,
    },
    "interpolated": {"interpolate": True},
    "gaussian": {"shape": "gauss", "radius": "exact"},
    "round": {"shape": "round"},
    "diffuse": {"shape": "diffuse", "fudge": torch.tensor(310.0, dtype=torch.float64)},
    "one term": ONE_TERM,
    "curved": {"curved": "nanobragg"},
    "curved on a sphere": {"curved": "exact", "background": "exact"},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("card")


@pytest.fixture(scope="module")
def launcher(folder):
    return emulated.build(folder)


@pytest.fixture(params=CASES)
def scene(request, make_scene):
    return make_scene(**CASES[request.param])


def both(launcher, name, *arguments):
    return getattr(card, name)(launcher, *arguments), getattr(cpu, name)(*arguments)


def close(found, expected, limit, floor=0.0):
    """Within a fraction of the norm, and of what is no more than rounding where a derivative is 0."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert (a - b).norm() <= limit * b.norm() + floor


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values(launcher, scene, dtype):
    tensors, config, background = pack_scene(scene, dtype)
    scales = torch.tensor([1.0, 3.0], dtype=torch.float64)
    alone = tuple(t[None] for t in tensors)
    turned = (alone[0], alone[1], torch.cat([alone[2], 1.01 * alone[2]]), alone[3], alone[4])
    output = (scales, dtype == torch.float32, background, True)
    limit = 1e-13 if dtype == torch.float64 else 2e-6
    close(*both(launcher, "pixel_sum", PIXELS, (0, len(PIXELS)), turned, config, output), limit)
    close(*both(launcher, "pixel_sum", None, (37, 50), turned, config, output), limit)


def test_gradients(launcher, scene):
    tensors, config, background = pack_scene(scene, torch.float64)
    weights = torch.linspace(-1.0, 1.7, len(PIXELS), dtype=torch.float64)
    grads = (weights, weights.flip(0) if background else None, 2.0)
    arguments = (grads, PIXELS, (0, len(PIXELS)), tensors, config)
    close(*both(launcher, "pixel_sum_vjp", *arguments, (True, True)), 1e-11)
    close(*both(launcher, "pixel_sum_vjp", *arguments, (False, False)), 1e-11)


@pytest.fixture
def deterministic():
    """Sets what torch was told of deterministic algorithms, and takes it back."""
    yield torch.use_deterministic_algorithms
    torch.use_deterministic_algorithms(False)


def test_a_table_gradient_that_may_not_depend_on_order_is_refused(launcher, make_scene, deterministic):
    tensors, config, _ = pack_scene(make_scene(), torch.float64)
    grads = (torch.ones(len(PIXELS), dtype=torch.float64), None, 1.0)
    arguments = (launcher, grads, PIXELS, (0, len(PIXELS)), tensors, config)
    expected = card.pixel_sum_vjp(*arguments, (True, True))
    deterministic(True)
    with pytest.raises(BackendUnavailable, match="any order"):
        card.pixel_sum_vjp(*arguments, (True, True))
    assert torch.equal(card.pixel_sum_vjp(*arguments, (True, False))[2], expected[2])
    deterministic(True, warn_only=True)
    with pytest.warns(UserWarning, match="any order"):
        found = card.pixel_sum_vjp(*arguments, (True, True))
    assert torch.equal(found[4], expected[4])


def test_directional_derivatives(launcher, scene):
    tensors, config, background = pack_scene(scene, torch.float64)
    generator = torch.Generator().manual_seed(3)
    tangents = tuple(torch.randn(5, *t.shape, generator=generator, dtype=torch.float64) for t in tensors)
    arguments = (tangents, PIXELS, (0, len(PIXELS)), tensors, config, background)
    close(*both(launcher, "pixel_sum_jvp", *arguments), 1e-11)


@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_the_lattice_sum_by_itself(launcher, lattice_case, shape):
    from nanobrag_torch.kernels import packing
    from nanobrag_torch.kernels.problem import LatticeProblem
    from nanobrag_torch.kernels.structure_factors import StructureFactors

    v = lattice_case(shape, "nearest", points=50, orientations=3).leaves
    table = StructureFactors(v["F"], (-4, -5, -4), v["default_F"])
    problem = LatticeProblem(table, shape, v["reciprocal"], v["fudge"], False, "nanobragg", torch.float64)
    lattice, config = packing.lattice_parameters(v["N"], problem).detach(), packing.lattice_config(problem, len(v["A"]))
    tensors = (v["S"].detach(), v["A"].detach(), lattice, table.flat().detach())
    found, expected = both(launcher, "lattice_sum", *tensors, config)
    close([found], [expected], 1e-13)
    weights = torch.linspace(-1.0, 1.7, 50, dtype=torch.float64)
    close(*both(launcher, "lattice_sum_vjp", weights, *tensors, config, (True, True)), 1e-11)


@pytest.mark.parametrize("N", [5.0, 1000.0])
def test_indices_in_pairs_of_singles_are_as_good_as_double_ones(folder, make_scene, N):
    """At h near 100 and a thousand cells, an index to single precision would be worthless."""
    scene = make_scene(oversample=1, layers=1)
    tensors, config, background = pack_scene(scene, torch.float32)
    lattice = tensors[3].clone()
    lattice[:3] = N
    scaled = (tensors[0], tensors[1], 20.0 * tensors[2], lattice, tensors[4])
    alone = tuple(t[None] for t in scaled)
    output = (torch.ones(1, dtype=torch.float64), False, background, False)
    in_double, in_pairs = emulated.build(folder), emulated.build(folder, pairs=True)
    arguments = (None, (0, 320), alone, config, output)
    expected, found = (card.pixel_sum(x, *arguments)[0] for x in (in_double, in_pairs))
    assert (found - expected).norm() <= (2e-6 if N == 5.0 else 1e-4) * expected.norm()


def test_every_golden_scene(launcher, golden_case):
    """Values, gradients and directional derivatives of some of its pixels, by the card's code and the processor's."""
    if golden_case.verdict == "none":
        pytest.skip("there is no image")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        experiment = settle(parse([*golden_case.command(), "-nonoise"]), physics="nanobragg")
    if not experiment.is_simple:
        pytest.skip("it is a sum of several scenes")
    scene, panel = pixel_scene(experiment, 0), experiment.detector.panels[0]
    tensors, config, background = pack_scene(scene, torch.float64)
    most = max(2, 40_000 // scene.terms)
    pixels = torch.linspace(0, panel.pixels_s * panel.pixels_f - 1, min(most, 24)).to(torch.int64)
    if most == 2:
        pixels = pixels[:1]
    span, count = (0, len(pixels)), len(pixels)
    output = (torch.ones(1, dtype=torch.float64), False, background, True)
    found, expected = both(launcher, "pixel_sum", pixels, span, tuple(t[None] for t in tensors), config, output)
    close(found, expected, 1e-10)
    floor = 1e-9 * float(expected[0].norm())
    wants_table = len(tensors[4]) < 10_000
    grads = (torch.linspace(-1.0, 1.7, count, dtype=torch.float64), None, 1.0)
    found, expected = both(launcher, "pixel_sum_vjp", grads, pixels, span, tensors, config, (True, wants_table))
    close(found, expected, 1e-8, floor)
    generator = torch.Generator().manual_seed(3)
    tangents = [torch.randn(2, *t.shape, generator=generator, dtype=torch.float64) for t in tensors]
    if not wants_table:
        tangents[4] = torch.zeros_like(tangents[4])
    arguments = (tuple(tangents), pixels, span, tensors, config, background)
    close(*both(launcher, "pixel_sum_jvp", *arguments), 1e-8, floor)
