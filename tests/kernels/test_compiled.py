import torch

from nanobrag_torch.kernels import cpu, cuda
from nanobrag_torch.kernels.backends import BACKENDS


def test_the_backends_are_those_of_the_devices():
    assert BACKENDS["cpu"].reason is cpu.why_not
    assert BACKENDS["cuda"].reason is cuda.why_not


def test_a_backend_serves_its_own_device():
    device = torch.device("cpu")
    assert "cpu" in BACKENDS["cuda"].why_not(device, torch.float64, "square", False)
    assert "cuda" in BACKENDS["cpu"].why_not(torch.device("cuda"), torch.float64, "square", False)
