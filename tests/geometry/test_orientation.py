from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch.geometry.orientation import domain_cells, lattice_at_rest, phi_angles
from nanobrag_torch.geometry.rotation import rotate_about, rotation_matrices
from nanobrag_torch.geometry.vectors import real, vector

CELL = vector([50.0, 60.0, 70.0, *map(math.radians, (80.0, 95.0, 105.0))])
STILL = torch.zeros(3, dtype=torch.float64)


def test_a_lattice_needs_a_cell_or_a_matrix():
    with pytest.raises(ValueError, match="cell or a matrix"):
        lattice_at_rest(None, None, STILL, True)


def test_misset_turns_cell_and_matrix_alike():
    misset = vector((0.1, 0.2, 0.3))
    rest = lattice_at_rest(CELL, None, STILL, True)
    from_cell = lattice_at_rest(CELL, None, misset, True)
    from_matrix = lattice_at_rest(None, rest.reciprocal, misset, True)
    torch.testing.assert_close(from_cell.direct, from_matrix.direct, rtol=1e-11, atol=1e-11)
    c, s = torch.cos(misset), torch.sin(misset)
    about_x = torch.stack([rest.direct[:, 0], c[0] * rest.direct[:, 1] - s[0] * rest.direct[:, 2],
                           s[0] * rest.direct[:, 1] + c[0] * rest.direct[:, 2]], dim=1)  # fmt: skip
    only_x = lattice_at_rest(CELL, None, misset * vector((1.0, 0.0, 0.0)), True)
    torch.testing.assert_close(only_x.direct, about_x, rtol=1e-12, atol=1e-12)


def test_the_matrix_wins_over_the_cells_orientation():
    matrix = torch.eye(3, dtype=torch.float64) / 50
    torch.testing.assert_close(
        lattice_at_rest(CELL, matrix, STILL, True).direct, torch.diag(CELL[:3]), rtol=1e-13, atol=1e-13
    )


def test_phi_is_the_start_of_each_step():
    assert phi_angles(real(0.5), real(0.25), 4).tolist() == [0.5, 0.75, 1.0, 1.25]


AXIS = vector((0.0, 0.6, 0.8))
PHI = vector((0.0, 0.3, 0.9))
DOMAIN_AXES = torch.nn.functional.normalize(vector((1.0, 2.0, 3.0, 0.0, 1.0, -1.0)).reshape(2, 3), dim=1)
DOMAIN_ANGLES = vector((0.0, 0.02))


def test_phi_is_outermost_and_the_mosaic_rotation_comes_after_the_spindle():
    direct = lattice_at_rest(CELL, None, STILL, True).direct
    cells = domain_cells(direct, AXIS, PHI, DOMAIN_AXES, DOMAIN_ANGLES)
    assert cells.shape == (6, 3, 3)
    for t, phi in enumerate(PHI):
        spun = torch.stack([rotate_about(v, AXIS, phi) for v in direct])
        for m in range(2):
            U = rotation_matrices(DOMAIN_AXES, DOMAIN_ANGLES)[m]
            torch.testing.assert_close(cells[2 * t + m], spun @ U.T, rtol=1e-13, atol=1e-13)


def test_a_step_of_exactly_zero_is_the_cell_at_rest_wherever_it_stands_in_the_sweep():
    """Deviation D01: never what the step before has left behind."""
    direct = lattice_at_rest(CELL, None, STILL, True).direct
    cells = domain_cells(direct, AXIS, vector((-0.1, 0.0, 0.1)), DOMAIN_AXES[:1], DOMAIN_ANGLES[:1])
    assert torch.equal(cells[1], direct)
    assert not torch.allclose(cells[0], direct)


def test_every_orientation_has_the_same_metric():
    direct = lattice_at_rest(CELL, None, STILL, True).direct
    cells = domain_cells(direct, AXIS, PHI, DOMAIN_AXES, DOMAIN_ANGLES)
    metric = direct @ direct.T
    torch.testing.assert_close(cells @ cells.mT, metric.expand(6, 3, 3), rtol=1e-12, atol=1e-10)
