import io
from importlib.util import find_spec

import pytest
import torch

from nanobrag_torch.errors import BackendUnavailable
from nanobrag_torch.kernels import cuda
from nanobrag_torch.kernels.card import Question

PLAIN = (0, 1, 0, 0, 9, 9, 9, -4, -4, -4, 1, 1, 1, 1, 1, 64, 0, 0, 0, 1, 0, 0, 0, 0, 0)

has_compiler = find_spec("cuda") is not None and find_spec("cuda.core") is not None
needs_compiler = pytest.mark.skipif(not has_compiler, reason="cuda-core is not installed")


def test_it_says_why_it_cannot_serve(lattice_case):
    assert "cpu" in cuda.why_not(torch.device("cpu"), torch.float64, "square", False)
    assert "shape" in cuda.why_not(torch.device("cuda"), torch.float64, "cube", False)
    with pytest.raises(BackendUnavailable, match="CUDA"):
        lattice_case("square", "constant")("cuda")


@pytest.mark.skipif(has_compiler, reason="cuda-core is installed")
def test_it_says_what_is_missing():
    assert "nanobrag_torch[cuda]" in cuda.why_not(torch.device("cuda"), torch.float64, "square", False)


def test_a_program_is_specialised_to_its_scene():
    plain = dict(cuda.macros(Question("SUM", PLAIN), (9, 0)))
    assert plain["FIXED_SIMPLE"] == plain["FIXED_ONE_TERM"] == "1"
    assert "PAIRS" not in plain
    assert dict(cuda.macros(Question("SUM", PLAIN), (8, 9)))["PAIRS"] == "1"
    sensor = dict(cuda.macros(Question("SUM", (*PLAIN[:18], 1, *PLAIN[19:])), (9, 0)))
    assert (sensor["FIXED_SIMPLE"], sensor["FIXED_ONE_TERM"], sensor["FIXED_HAS_SENSOR"]) == ("0", "1", "1")
    two_sources = dict(cuda.macros(Question("SUM", (*PLAIN[:12], 2, *PLAIN[13:])), (9, 0)))
    assert two_sources["FIXED_ONE_TERM"] == "0"
    alone = dict(cuda.macros(Question("LATTICE_SUM", PLAIN[:12]), (9, 0)))
    assert (alone["FIXED_SIMPLE"], alone["FIXED_BACKGROUND"]) == ("0", "0")


@needs_compiler
@pytest.mark.slow
def test_a_program_compiles_without_a_card_and_spills_nothing():
    log = io.StringIO()
    program = cuda.compiled(Question("LATTICE_SUM", PLAIN[:12]), (9, 0), log=log)
    assert program[:4] == b"\x7fELF"
    assert "0 bytes spill stores, 0 bytes spill loads" in log.getvalue()


@needs_compiler
def test_a_refusal_of_the_compiler_is_one_sentence():
    with pytest.raises(BackendUnavailable, match="NVRTC did not compile the kernels") as caught:
        cuda.compiled(Question("LATTICE_SUM", PLAIN[:12]), (3, 0))
    assert "\n" not in str(caught.value)


@needs_compiler
def test_programs_are_kept_by_what_they_were_compiled_from(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []
    monkeypatch.setattr(cuda, "compiled", lambda question, capability, say: made.append(question) or b"program")
    question = Question("SUM", PLAIN)
    assert cuda._from_cache(question, (9, 0)) == cuda._from_cache(question, (9, 0)) == b"program"
    assert len(made) == 1
    cuda._from_cache(question, (8, 0))
    cuda._from_cache(Question("SUM", (*PLAIN[:10], 50, *PLAIN[11:])), (9, 0))  # more orientations: the same program
    assert len(made) == 2
    assert [path.suffix for path in cuda.cache_folder().iterdir()] == [".cubin", ".cubin"]


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
