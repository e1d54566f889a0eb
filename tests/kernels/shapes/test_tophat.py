import torch

from nanobrag_torch.kernels.shapes import tophat


def test_all_or_nothing():
    d = (torch.tensor([0.0, 0.2, 0.22]).double(), torch.zeros(3).double(), torch.zeros(3).double())
    N = torch.tensor([3.0, 1.0, 1.0]).double()
    one = torch.ones(()).double()
    L = tophat.amplitude(d, N, one, torch.eye(3).double(), "exact")
    assert L.tolist() == [3.0, 3.0, 0.0]
    assert tophat.amplitude(d, N, one, torch.eye(3).double(), "nanobragg").tolist() == [3.0, 3.0, 0.0]


def test_only_the_counts_pass_a_gradient():
    d = tuple(torch.full((2,), x, dtype=torch.float64, requires_grad=True) for x in (0.01, 0.0, 0.0))
    N = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64, requires_grad=True)
    L = tophat.amplitude(d, N, torch.ones(()).double(), torch.eye(3).double(), "nanobragg")
    grads = torch.autograd.grad(L.sum(), (N, *d), allow_unused=True)
    assert grads[0].tolist() == [4.0, 6.0, 12.0]
    assert all(g is None or not g.any() for g in grads[1:])
