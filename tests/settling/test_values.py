from __future__ import annotations

import torch

from nanobrag_torch.settling.values import number, optional, tensor
from nanobrag_torch.units import metres_from_mm

LENGTH = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)


def test_what_was_not_said_has_the_default():
    assert number(None, 2.0) == 2.0
    assert optional(None) is None
    assert float(tensor(None, 2.0)) == 2.0
    assert float(tensor(None, 2.0, metres_from_mm)) == 0.002


def test_numbers_for_decisions_are_plain():
    assert type(number(LENGTH, 0.0)) is float
    assert optional(LENGTH) == 3.0
    assert optional(0) == 0.0


def test_tensors_stay_in_their_graph():
    settled = tensor(LENGTH, 0.0, metres_from_mm)
    assert settled.requires_grad
    assert settled.dtype == torch.float64
    assert float(settled.detach()) == 0.003
