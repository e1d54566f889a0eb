from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch.geometry.cell import cell_parameters, cell_volume, direct_lattice, reciprocal_vectors
from nanobrag_torch.geometry.rotation import rotate_xyz
from nanobrag_torch.geometry.vectors import vector
from nanobrag_torch.numerics import norm

CELLS = {
    "cubic": (74, 74, 74, 90, 90, 90),
    "orthorhombic": (40, 45, 50, 90, 90, 90),
    "monoclinic": (40, 45, 50, 90, 110, 90),
    "hexagonal": (50, 50, 80, 90, 90, 120),
    "rhombohedral": (40, 45, 50, 75, 75, 75),
    "triclinic": (50, 60, 70, 80, 95, 105),
    "steep": (50, 60, 70, 70, 80, 110),
}
TWO_RIGHT_ANGLES = ("cubic", "orthorhombic", "monoclinic", "hexagonal")


def cell(name: str) -> torch.Tensor:
    values = CELLS[name]
    return vector([*map(float, values[:3]), *map(math.radians, values[3:])])


def degrees(parameters: torch.Tensor) -> list[float]:
    return [math.degrees(x) for x in parameters[3:].tolist()]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_the_two_bases_are_dual(name, exact):
    """a_i* · a_j = 1 or 0 for the vectors that are left at the end, whatever the law of the orientation."""
    lattice = direct_lattice(reciprocal_vectors(cell(name), exact), cell(name))
    product = lattice.reciprocal @ lattice.direct.T
    if exact or name in TWO_RIGHT_ANGLES:
        torch.testing.assert_close(product, torch.eye(3, dtype=torch.float64), atol=1e-12, rtol=0)
        torch.testing.assert_close(torch.linalg.det(lattice.direct), lattice.volume, rtol=1e-12, atol=0)
    else:
        off_diagonal = product - torch.diag(product.diagonal())
        assert off_diagonal.abs().max() < 1e-12
    if exact:
        torch.testing.assert_close(lattice.reciprocal, reciprocal_vectors(cell(name), True), rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_lengths_and_volume_are_the_cells(name, exact):
    wanted = cell(name)
    lattice = direct_lattice(reciprocal_vectors(wanted, exact), wanted)
    torch.testing.assert_close(norm(lattice.direct), wanted[:3], rtol=1e-13, atol=0)
    torch.testing.assert_close(lattice.volume, cell_volume(wanted), rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", CELLS)
def test_volume_is_that_of_the_metric(name):
    lengths, cos = CELLS[name][:3], [math.cos(math.radians(x)) for x in CELLS[name][3:]]
    root = 1 - sum(c * c for c in cos) + 2 * math.prod(cos)
    assert float(cell_volume(cell(name))) == pytest.approx(math.prod(lengths) * math.sqrt(root), rel=1e-13)


@pytest.mark.parametrize("name", CELLS)
def test_default_orientation_has_a_star_along_x_and_b_star_in_the_xy_plane(name):
    a, b, c = reciprocal_vectors(cell(name), exact=False)
    assert a[0] > 0
    assert not a[1:].any()
    assert b[1] > 0
    assert b[2] == 0
    assert c[2] > 0


@pytest.mark.parametrize("name", CELLS)
def test_exact_orientation_gives_the_angles_asked_for(name):
    lattice = direct_lattice(reciprocal_vectors(cell(name), True), cell(name))
    found = cell_parameters(lattice.direct, lattice.reciprocal, lattice.volume)
    torch.testing.assert_close(found, cell(name), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", TWO_RIGHT_ANGLES)
def test_with_two_right_angles_both_laws_agree(name):
    torch.testing.assert_close(
        reciprocal_vectors(cell(name), True), reciprocal_vectors(cell(name), False), rtol=1e-13, atol=1e-17
    )


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("triclinic", "79.9723 95.0141 105.003"),
        ("steep", "70.7613 80.4037 110.419"),
        ("rhombohedral", "74.8117 74.8117 74.9221"),
    ],
)
def test_faithful_orientation_moves_the_angles_as_measured(name, printed):
    """Deviation D26."""
    lattice = direct_lattice(reciprocal_vectors(cell(name), False), cell(name))
    parameters = cell_parameters(lattice.direct, lattice.reciprocal, lattice.volume)
    assert " ".join(f"{x:g}" for x in degrees(parameters)) == printed


def test_reciprocal_parameters_are_the_dual_of_the_cell():
    wanted = cell("triclinic")
    lattice = direct_lattice(reciprocal_vectors(wanted, True), wanted)
    found = cell_parameters(lattice.reciprocal, lattice.direct, 1.0 / lattice.volume)
    lengths = torch.linalg.cross(lattice.direct.roll(-1, 0), lattice.direct.roll(-2, 0)).norm(dim=1) / lattice.volume
    torch.testing.assert_close(found[:3], lengths, rtol=1e-12, atol=0)
    a, b, c = lattice.reciprocal
    assert float(torch.cos(found[5])) == pytest.approx(float(a @ b / (a.norm() * b.norm())), abs=1e-12)


MATRIX = rotate_xyz(reciprocal_vectors(cell("triclinic"), True), vector((0.3, 0.5, -0.2)))


def test_a_matrix_alone_gives_its_own_inverse():
    lattice = direct_lattice(MATRIX, None)
    torch.testing.assert_close(lattice.direct, torch.linalg.inv(MATRIX).T, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(lattice.reciprocal, MATRIX, rtol=1e-11, atol=1e-15)


def test_a_left_handed_matrix_alone_stays_consistent_with_a_negative_volume():
    lattice = direct_lattice(MATRIX.flip(0), None)
    assert lattice.volume < 0
    torch.testing.assert_close(lattice.direct @ MATRIX.flip(0).T, torch.eye(3, dtype=torch.float64), atol=1e-11, rtol=0)


def test_a_left_handed_matrix_with_a_cell_reverses_the_vectors():
    """Deviation D55: Friedel mates."""
    left = MATRIX * vector((1.0, 1.0, -1.0))
    alone, both = direct_lattice(left, None), direct_lattice(left, cell("triclinic"))
    assert alone.volume < 0 < both.volume
    torch.testing.assert_close(both.direct, -alone.direct, rtol=1e-9, atol=1e-9)


def test_with_matrix_and_cell_lengths_are_the_cells_and_directions_the_matrix():
    """Deviation D56: matrix 80/95/105 with a cell 42 47 52 70 95 95: angles stay, lengths and volume are the cell's."""
    other = vector([42.0, 47.0, 52.0, *map(math.radians, (70.0, 95.0, 95.0))])
    lattice = direct_lattice(MATRIX, other)
    torch.testing.assert_close(norm(lattice.direct), other[:3], rtol=1e-13, atol=0)
    torch.testing.assert_close(lattice.volume, cell_volume(other), rtol=1e-13, atol=0)
    own = torch.nn.functional.normalize(direct_lattice(MATRIX, None).direct, dim=1)
    torch.testing.assert_close(torch.nn.functional.normalize(lattice.direct, dim=1), own, rtol=1e-12, atol=1e-12)


def test_turning_the_reciprocal_vectors_turns_the_direct_ones():
    wanted, angles = cell("triclinic"), vector((1.0, -0.4, 2.2))
    rest = reciprocal_vectors(wanted, False)
    turned = direct_lattice(rotate_xyz(rest, angles), wanted).direct
    torch.testing.assert_close(turned, rotate_xyz(direct_lattice(rest, wanted).direct, angles), rtol=1e-12, atol=1e-12)
