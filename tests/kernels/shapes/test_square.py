import torch

from nanobrag_torch.kernels.shapes import AMPLITUDES, CODES


def L(*delta, N=(5.0, 7.0, 10.0)):
    d = tuple(torch.tensor([x], dtype=torch.float64) for x in delta)
    one = torch.ones((), dtype=torch.float64)
    return AMPLITUDES["square"](d, torch.tensor(N).double(), one, torch.eye(3).double(), "nanobragg").item()


def test_all_cells_at_a_lattice_point():
    """Exactly N at whole indices (specs: deviations, D47)."""
    assert L(0.0, 0.0, 0.0) == 350.0


def test_first_zero_of_the_fringes():
    assert abs(L(0.2, 0.0, 0.0)) < 1e-12


def test_an_axis_with_one_cell_contributes_one():
    assert abs(L(0.37, 0.0, 0.0, N=(1.0, 2.0, 3.0)) - 6.0) < 1e-12


def test_every_shape_has_its_own_code():
    assert sorted(CODES.values()) == [0, 1, 2, 3, 4]
    assert set(CODES) == {*AMPLITUDES, "diffuse"}
