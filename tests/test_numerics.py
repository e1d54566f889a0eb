import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from nanobrag_torch.numerics import (
    fraction,
    norm,
    normalise,
    safe_divide,
    safe_sqrt,
    sinc3,
    sinc3_of_square,
    sincg,
)


def points(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_exact_halves_go_down():
    nearest, rest = fraction(torch.tensor([0.5, -0.5, 1.5, 2.0, -0.2], dtype=torch.float64))
    assert nearest.tolist() == [0.0, -1.0, 1.0, 2.0, 0.0]
    assert rest.tolist() == [0.5, 0.5, 0.5, 0.0, -0.2]


@pytest.mark.parametrize("count", [1.0, 2.0, 7.0, 1000.0])
def test_sincg_is_the_count_at_every_whole_number(count):
    x = torch.tensor([0.0, 1.0, -3.0, 40.0], dtype=torch.float64)
    assert sincg(x, count).tolist() == [count] * 4


@pytest.mark.parametrize("count", [2.0, 5.0, 12.0])
def test_sincg_is_the_ratio_of_sines_up_to_sign(count):
    x = torch.linspace(-2.3, 2.3, 1001, dtype=torch.float64)
    ratios = [math.sin(math.pi * count * v) / math.sin(math.pi * v) if v else count for v in x.tolist()]
    expected = torch.tensor(ratios, dtype=torch.float64)
    torch.testing.assert_close(sincg(x, count).abs(), expected.abs(), rtol=1e-9, atol=1e-11)


def test_sincg_has_no_step_where_its_series_begins():
    count = 50.0
    x = torch.linspace(0.9, 1.1, 2001, dtype=torch.float64) * 0.05 / (math.pi * count)
    exact = torch.sin(math.pi * count * x) / torch.sin(math.pi * x)
    torch.testing.assert_close(sincg(x, count), exact, rtol=1e-14, atol=0)


def test_sincg_derivatives_at_the_limits():
    x, count = points(0.0, 1e-9, 1.0, -2.0, 0.31), points(7.0)
    assert gradcheck(sincg, (x, count))
    assert gradgradcheck(sincg, (x, count), atol=1e-3)
    assert gradcheck(sincg, (x, points(1.0)))
    second = torch.autograd.functional.hessian(lambda v: sincg(v, 7.0), torch.zeros((), dtype=torch.float64))
    assert second.item() == pytest.approx(7 * (1 - 49) * math.pi**2 / 3, rel=1e-12)


def test_sphere_form_factor_at_and_around_zero():
    x = points(0.0, 1e-6, 1e-3, 0.5, 0.999999, 1.000001, 4.0)
    assert sinc3(x)[0].item() == 1.0
    expected = [1 - v * v / 10 + v**4 / 280 - v**6 / 15120 + v**8 / 1330560 for v in x.tolist()[:4]]
    torch.testing.assert_close(sinc3(x)[:4], torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=0)
    assert abs((sinc3(x)[5] - sinc3(x)[4]).item()) < 1e-6
    assert gradcheck(sinc3, (x,))
    assert gradgradcheck(sinc3, (x,))
    assert gradcheck(sinc3_of_square, (points(1e-3, 0.5, 2.0),))


def test_zero_vector_stays_zero_with_derivatives_zero():
    v = torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]], dtype=torch.float64, requires_grad=True)
    unit, length = normalise(v), norm(v)
    assert unit.tolist() == [[0.0, 0.0, 0.0], [0.6, 0.0, 0.8]]
    assert length.tolist() == [0.0, 5.0]
    (grad,) = torch.autograd.grad(unit.sum() + length.sum(), v)
    assert grad[0].tolist() == [0.0, 0.0, 0.0]
    assert gradcheck(normalise, (v[1:].detach().requires_grad_(),))
    assert gradgradcheck(normalise, (v[1:].detach().requires_grad_(),))


def test_divide_and_root_at_zero():
    a, b = points(1.0, 2.0), points(0.0, 4.0)
    assert safe_divide(a, b).tolist() == [0.0, 0.5]
    assert safe_sqrt(b).tolist() == [0.0, 2.0]
    for grad in torch.autograd.grad((safe_divide(a, b) + safe_sqrt(b)).sum(), (a, b)):
        assert torch.isfinite(grad).all()
        assert grad[0] == 0.0
