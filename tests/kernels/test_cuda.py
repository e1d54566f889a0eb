import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from nanobrag_torch.errors import BackendUnavailable
from nanobrag_torch.kernels import cuda

PROGRAM = """
import importlib.util, sys
import torch
from nanobrag_torch.kernels import cuda, packing
from nanobrag_torch.kernels.problem import LatticeProblem
from nanobrag_torch.kernels.structure_factors import StructureFactors

spec = importlib.util.spec_from_file_location("cases", sys.argv[1])
cases = importlib.util.module_from_spec(spec)
sys.modules["cases"] = cases
spec.loader.exec_module(cases)

worst = {"value": 0.0, "single": 0.0, "gradient": 0.0}
for shape in ("square", "round", "gauss", "tophat"):
    for lookup in ("constant", "nearest", "tricubic") if shape == "square" else ("nearest",):
        for radius in ("nanobragg", "exact") if shape in ("gauss", "tophat") else ("nanobragg",):
            case = cases.build_lattice_case(shape, lookup, radius, points=9, orientations=2).tracked()
            v = case.leaves
            table = StructureFactors(None if lookup == "constant" else v["F"], (-4, -5, -4), v["default_F"])
            lattices = [LatticeProblem(table, shape, v["reciprocal"], v["fudge"], lookup == "tricubic", radius, dtype)
                        for dtype in (torch.float64, torch.float32)]
            packed = [packing.lattice_parameters(v["N"], lattices[0]), table.flat()]
            tensors = [v["S"].detach(), v["A"].detach(), packed[0].detach(), packed[1].detach()]
            configs = [packing.lattice_config(p, 2) for p in lattices]
            reference = case("reference")
            size = reference.detach().norm()
            found = cuda.lattice_sum(*tensors, configs[0])
            worst["value"] = max(worst["value"], ((found - reference).norm() / size).item())
            found = cuda.lattice_sum(*tensors, configs[1])
            worst["single"] = max(worst["single"], ((found - reference).norm() / size).item())
            weight = torch.linspace(-1, 1.7, 9, dtype=torch.float64)
            leaves = (v["S"], v["A"], *packed)
            expected = torch.autograd.grad((case("reference") * weight).sum(),
                                           [v[n] for n in ("S", "A", "N", "fudge", "reciprocal", "F", "default_F")],
                                           allow_unused=True)
            by = cuda.lattice_sum_vjp(weight, *tensors, configs[0], (True, True))
            chained = torch.autograd.grad(packed, [v[n] for n in ("N", "fudge", "reciprocal", "F", "default_F")],
                                          by[2:], allow_unused=True)
            for a, b in zip((*by[:2], *chained), expected, strict=True):
                if b is None or not b.any():
                    assert a is None or not a.any()
                else:
                    worst["gradient"] = max(worst["gradient"], ((a - b).norm() / b.norm()).item())
print(worst)
assert worst["value"] < 1e-10 and worst["single"] < 2e-6 and worst["gradient"] < 1e-8
"""


def test_it_says_why_it_cannot_serve(lattice_case):
    assert "cpu" in cuda.why_not(torch.device("cpu"), torch.float64, "square", False)
    with pytest.raises(BackendUnavailable, match="CUDA"):
        lattice_case("square", "constant")("cuda")


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_programs_agree_with_the_reference_in_the_interpreter(tmp_path, request):
    """Every shape, lookup and radius, values and gradients, without a card."""
    path = tmp_path / "interpreted.py"
    path.write_text(PROGRAM)
    cases = request.path.parent / "conftest.py"
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    run = subprocess.run(
        [sys.executable, str(path), str(cases)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("lookup", ["constant", "nearest", "tricubic"])
@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_a_card_agrees_with_the_reference(lattice_case, shape, lookup):
    case = lattice_case(shape, lookup, points=2000).tracked()
    card = {name: value.detach().cuda().requires_grad_() for name, value in case.leaves.items()}
    weight = torch.linspace(-1.0, 1.7, 2000, dtype=torch.float64)
    expected, found = case("reference"), case("cuda", **card)
    assert ((found.cpu() - expected).norm() / expected.norm()).item() < 1e-10
    slopes = torch.autograd.grad((expected * weight).sum(), list(case.leaves.values()), allow_unused=True)
    turned = torch.autograd.grad((found * weight.cuda()).sum(), list(card.values()), allow_unused=True)
    for a, b in zip(turned, slopes, strict=True):
        assert (a is None and b is None) or (a.cpu() - b).norm() <= 1e-8 * b.norm()
