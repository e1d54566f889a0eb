import pytest
import torch

from nanobrag_torch.kernels.shapes import round as shape


def L(delta, fudge=1.0):
    d = tuple(torch.tensor([x], dtype=torch.float64) for x in delta)
    N = torch.tensor([4.0, 4.0, 4.0]).double()
    return shape.amplitude(d, N, torch.tensor(fudge).double(), torch.eye(3).double(), "nanobragg").item()


def test_peak_and_its_neighbourhood():
    """The series near 0 gives the limit, not rounding noise (specs: deviations, D65)."""
    peak = 64 * 0.723601254558268
    assert L((0.0, 0.0, 0.0)) == pytest.approx(peak, rel=1e-15)
    assert L((1e-7, 0.0, 1e-8)) == pytest.approx(peak, rel=1e-11)


def test_first_zero_is_where_tan_x_is_x():
    x = 4.493409457909064
    assert abs(L((x / (4 * 3.141592653589793), 0.0, 0.0))) < 1e-12


def test_fudge_multiplies_the_squared_radius():
    assert L((0.05, 0.0, 0.0), fudge=4.0) == pytest.approx(L((0.1, 0.0, 0.0)), rel=1e-13)
