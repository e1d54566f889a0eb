"""specs: deviations F, D26: the cell that is drawn is the cell that was asked for."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from nanobrag_torch.pipeline.render import lattice_of


def random_cells(count):
    """Cells [count, 6] (Å, degrees) of every kind, flat ones included."""
    generator = np.random.default_rng(26)
    cells = []
    while len(cells) < count:
        cell = [*generator.uniform(20, 300, 3), *generator.uniform(35, 145, 3)]
        a, b, c = np.cos(np.radians(cell[3:]))
        if 1 - a * a - b * b - c * c + 2 * a * b * c > 0.01:
            cells.append(cell)
    return np.array(cells)


def angle(u, v):
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v))


def angles_of(vectors):
    return np.array([angle(vectors[(i + 1) % 3], vectors[(i + 2) % 3]) for i in range(3)])


def fields_of(cell):
    return dict(zip(("cell_a", "cell_b", "cell_c", "cell_alpha", "cell_beta", "cell_gamma"), cell, strict=True))


def test_requested_cell_is_obtained(scene):
    worst = 0.0
    for cell in random_cells(100):
        experiment = scene("exact", misset_deg=(11.0, -23.0, 37.0), **fields_of(cell))
        lattice = lattice_of(experiment.crystal, exact=True)
        direct, reciprocal = lattice.direct.numpy(), lattice.reciprocal.numpy()
        asked = gemmi.UnitCell(*cell)
        worst = max(worst, np.abs(angles_of(direct) - cell[3:]).max())
        np.testing.assert_allclose(np.linalg.norm(direct, axis=1), cell[:3], rtol=1e-12)
        assert float(lattice.volume) == pytest.approx(asked.volume, rel=1e-11)
        star = asked.reciprocal()
        np.testing.assert_allclose(np.linalg.norm(reciprocal, axis=1), [star.a, star.b, star.c], rtol=1e-10)
        np.testing.assert_allclose(angles_of(reciprocal), [star.alpha, star.beta, star.gamma], atol=1e-8)
        np.testing.assert_allclose(direct @ reciprocal.T, np.eye(3), atol=1e-11)
    assert worst < 1e-10


def test_spacings_are_those_of_the_cell(scene):
    """|h a* + k b* + l c*| against gemmi, whatever the reflection."""
    for cell in random_cells(20):
        reciprocal = lattice_of(scene("exact", **fields_of(cell)).crystal, exact=True).reciprocal.numpy()
        for hkl in ((1, 2, 3), (-4, 5, 1), (7, -1, -6)):
            spacing = 1.0 / np.linalg.norm(np.array(hkl) @ reciprocal)
            assert spacing == pytest.approx(gemmi.UnitCell(*cell).calculate_d(hkl), rel=1e-10)


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ((50, 60, 70, 80, 95, 105), (79.9723, 95.0141, 105.003)),
        ((50, 60, 70, 70, 80, 110), (70.7613, 80.4037, 110.419)),
        ((40, 45, 50, 75, 75, 75), (74.8117, 74.8117, 74.9221)),
    ],
)
def test_faithful_mode_draws_other_angles(scene, asked, drawn):
    direct = lattice_of(scene("nanobragg", **fields_of(map(float, asked))).crystal, exact=False).direct.numpy()
    np.testing.assert_allclose(angles_of(direct), drawn, rtol=5e-6)
