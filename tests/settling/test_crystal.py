"""Cell, orientation, size, shape, mosaicity and lookup (specs: crystal; rng 4, 8; sources 5; structure_factors 4)."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, Experiment, StructureFactors, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import LegacyDefectWarning, NanobragWarning
from nanobrag_torch.geometry.rotation import rotation_matrices
from nanobrag_torch.legacy_random import LegacyRandom, Stream, random_misset
from nanobrag_torch.numerics import norm
from nanobrag_torch.pipeline.render import lattice_of

COMMON = "-default_F 1 -oversample 1 -detpixels 4 -dump none.bin "
DETECTOR = DetectorConfig(pixels_f=4, pixels_s=4)


def experiment(line: str, physics: str = "nanobragg") -> Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(parse((COMMON + line).split()), physics)


def crystal(line: str, physics: str = "nanobragg"):
    return experiment(line, physics).crystal


def said(physics: str = "nanobragg", **fields):
    fields = {"default_F": 1.0, **fields}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(Config(crystal=CrystalConfig(**fields), detector=DETECTOR), physics).crystal


# -- cell


@pytest.mark.parametrize(
    ("line", "cell"),
    [
        ("-cell 74", (74, 74, 74, 90, 90, 90)),
        ("-cell 40 45", (40, 45, 40, 90, 90, 90)),
        ("-cell 40 45 50 80 85 95", (40, 45, 50, 80, 85, 95)),
        ("-cell 40 45 50 80", (40, 45, 50, 80, 90, 90)),
        ("-cell 40 0 0 0 100 0", (40, 40, 40, 90, 100, 90)),
    ],
)
def test_what_a_cell_leaves_out(line, cell):
    """specs: crystal 1."""
    found = crystal(line).cell
    assert found[:3].tolist() == pytest.approx(cell[:3])
    assert [math.degrees(x) for x in found[3:]] == pytest.approx(cell[3:])


def matrix_file(folder, text: str) -> str:
    (folder / "a.mat").write_text(text)
    return f"-mat {folder / 'a.mat'} "


MATRIX = "0.02 0.001 0.002  0.0005 0.018 -0.001  0.001 -0.002 0.015"


def test_a_matrix_has_the_vectors_as_columns_times_the_wavelength(tmp_path):
    """specs: crystal 3: rows x, y, z; divided by the final wavelength, wherever it stands on the line."""
    mat = matrix_file(tmp_path, MATRIX)
    rows = torch.tensor([float(x) for x in MATRIX.split()], dtype=torch.float64).reshape(3, 3)
    for line in (mat + "-lambda 1.3", "-lambda 1.3 " + mat):
        found = crystal(line)
        assert found.cell is None
        torch.testing.assert_close(found.reciprocal, rows.T / 1.3)
        expected = torch.linalg.inv(rows.T / 1.3).T
        torch.testing.assert_close(lattice_of(found, False).direct, expected, rtol=1e-12, atol=1e-12)


def test_a_matrix_may_be_given_in_python():
    rows = tuple(tuple(float(x) for x in MATRIX.split()[3 * i : 3 * i + 3]) for i in range(3))
    found = said(orientation_matrix=rows)
    torch.testing.assert_close(found.reciprocal, torch.tensor(rows, dtype=torch.float64).T)


def test_matrix_and_cell_together(tmp_path):
    found = crystal(matrix_file(tmp_path, MATRIX) + "-cell 42 47 52 70 95 95")
    lattice = lattice_of(found, False)
    assert norm(lattice.direct).tolist() == pytest.approx([42.0, 47.0, 52.0])
    assert f"{float(lattice.volume):.0f}" == "95910"


# -- misset


def test_misset_angles_are_degrees():
    assert crystal("-cell 40 -misset 10 20 30").misset.tolist() == pytest.approx(
        [math.radians(x) for x in (10, 20, 30)]
    )


def test_the_last_form_of_misset_wins():
    explicit = crystal("-cell 40 -misset_seed 5 -misset random -misset 1 2 3").misset
    assert explicit.tolist() == pytest.approx([math.radians(x) for x in (1, 2, 3)])
    drawn = crystal("-cell 40 -misset 1 2 3 -misset_seed 5 -misset random").misset
    assert not torch.allclose(drawn, explicit)


VECTORS = """
1         4.662957 -11.844979 17.622548
0         4.662957 -11.844979 17.622548
-5        4.662957 -11.844979 17.622548
2         165.848236 -34.156852 -62.087177
3         -59.080957 44.294830 -35.125620
5         142.144470 55.074207 35.266329
12        -22.120634 -32.614197 177.638564
99        88.353367 -12.878428 -74.666044
12345678  16.218323 6.887913 -57.307648
"""


@pytest.mark.parametrize("row", [row.split() for row in VECTORS.strip().splitlines()], ids=lambda row: row[0])
def test_random_misset_angles_are_those_of_the_seed(row):
    """specs: rng 8. The seed does its work wherever it stands (deviations, D04)."""
    for line in (f"-misset_seed {row[0]} -misset random", f"-misset random -misset_seed {row[0]}"):
        scene = experiment(f"-cell 40 {line}")
        assert [f"{x:.6f}" for x in scene.facts["misset_deg"]] == row[1:]
        assert [f"{math.degrees(x):.6f}" for x in scene.crystal.misset] == row[1:]
        assert scene.facts["misset_seed"] == int(row[0])


def test_the_exact_mode_draws_uniform_rotations_from_the_same_seed():
    """Deviations F, D25."""
    found = crystal("-cell 40 -misset_seed 3 -misset random", "exact").misset
    expected = random_misset(LegacyRandom(), Stream.from_seed(3), uniform=True)
    assert found.tolist() == expected.tolist()
    assert not torch.allclose(found, crystal("-cell 40 -misset_seed 3 -misset random").misset)


def test_the_defect_of_the_random_misset_is_announced():
    config = Config(
        crystal=CrystalConfig(cell_a=40.0, default_F=1.0, misset_random=True, misset_seed=3), detector=DETECTOR
    )
    with pytest.warns(LegacyDefectWarning, match="D25"):
        settle(config, "nanobragg")
    settle(config, "exact")


# -- size


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("", (1, 1, 1)),
        ("-N 5", (5, 5, 5)),
        ("-N 5 -Nb 7", (5, 7, 5)),
        ("-Nb 7 -N 5", (5, 5, 5)),
        ("-Na 3 -Nc 4", (3, 1, 4)),
        ("-N 0", (1, 1, 1)),
        ("-N -3", (1, 1, 1)),
        ("-samplesize 0.2", (20000, 10000, 10000)),
        ("-samplesize 0.2 -beamsize 1", (20000, 20000, 20000)),
        ("-samplesize 0.2 -beamsize -1", (20000, 20000, 20000)),
        ("-samplesize 0.2 -beamsize 0.05", (20000, 5000, 5000)),
        ("-samplesize 0.001 -N 5", (100, 100, 100)),
        ("-N 5 -sample_y 0.001", (5, 100, 5)),
        ("-xtal_x 0.00101 -xtal_z 0.00099", (101, 1, 99)),
    ],
)
def test_counts(line, counts):
    """specs: crystal 7; deviations, D31 and D32."""
    assert tuple(crystal("-cell 100 " + line).N.tolist()) == counts


def test_clipping_is_announced_for_y_and_z_only():
    notes = [note.text for note in experiment("-cell 100 -samplesize 0.2").notes]
    assert notes[:2] == [
        "WARNING: clipping sample (0.0002 m high) with beam (0.0001 m)",
        "WARNING: clipping sample (0.0002 m wide) with beam (0.0001 m)",
    ]
    assert not [note for note in experiment("-cell 100 -sample_x 0.2").notes if "clipping" in note.text]


def test_sizes_are_along_the_edges_of_the_cell_in_its_orientation(tmp_path):
    found = experiment(matrix_file(tmp_path, MATRIX) + "-samplesize 0.001")
    edges = norm(lattice_of(found.crystal, False).direct)
    assert found.crystal.N.tolist() == [math.ceil(1e4 / float(x)) for x in edges]
    assert found.facts["extents"].tolist() == pytest.approx((edges * found.crystal.N).tolist())


# -- shape and mosaicity


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        ("", "square"),
        ("-square_xtal", "square"),
        ("-round_xtal", "round"),
        ("-gauss_xtal", "gauss"),
        ("-tophat_spots", "tophat"),
        ("-binary_spots", "tophat"),
        ("-tophat_spots -round_xtal", "round"),
        ("-round_xtal -square_xtal", "square"),
    ],
)
def test_shapes(line, shape):
    assert crystal("-cell 40 " + line).shape == shape
    assert float(crystal(f"-cell 40 {line} -fudge 0.3").fudge) == 0.3
    assert float(crystal(f"-cell 40 {line}").fudge) == 1.0


U1 = """0.99985456598 -0.014740457268 0.008577051259
        0.014754309558 0.999889941645 -0.00155400976
        -0.008553200469 0.001680332224 0.999962008901"""
U2 = """0.999890787524 0.014060801904 0.004550480711
        -0.014030150277 0.999879130798 -0.006699155042
        -0.00464412619 0.006634579483 0.999967206686"""


def domains(found) -> torch.Tensor:
    mosaic = found.mosaic
    return rotation_matrices(mosaic.axes, mosaic.spread * mosaic.relative_angles)


def test_the_domains_are_those_of_the_seed_and_the_first_is_the_identity():
    """specs: rng 8, cap 1 degree, N = 1."""
    U = domains(crystal("-cell 40 -mosaic 1 -mosaic_domains 3 -mosaic_seed 1"))
    assert torch.equal(U[0], torch.eye(3, dtype=torch.float64))
    for found, expected in ((U[1], U1), (U[2], U2)):
        assert found.flatten().tolist() == pytest.approx([float(x) for x in expected.split()], abs=1e-12)


def test_the_mosaic_seed_has_a_default():
    default = domains(crystal("-cell 40 -mosaic 1 -mosaic_domains 3"))
    assert torch.equal(default, domains(crystal("-cell 40 -mosaic 1 -mosaic_domains 3 -mosaic_seed 12345678")))
    assert not torch.equal(default, domains(crystal("-cell 40 -mosaic 1 -mosaic_domains 3 -mosaic_seed 2")))


@pytest.mark.parametrize(
    ("line", "count", "spread"),
    [
        ("", 1, 0.0),
        ("-mosaic 2", 10, 2.0),
        ("-mosaic 2 -mosaic_domains 4", 4, 2.0),
        ("-mosaic_domains 4", 1, 0.0),
        ("-mosaic 0 -mosaic_domains 4", 1, 0.0),
        ("-mosaic 2 -mosaic_domains 0", 10, 2.0),
        ("-mosaic 2 -mosaic_domains 1", 1, 2.0),
    ],
)
def test_mosaic_domains(line, count, spread):
    found = crystal("-cell 40 " + line).mosaic
    assert found.domains == count
    assert math.degrees(found.spread) == pytest.approx(spread)
    assert (found.relative_angles >= 0).all()
    assert (found.relative_angles <= 1 + 1e-6).all()


def test_misset_is_drawn_before_the_mosaic_and_leaves_its_table_behind():
    """A negative mosaic seed continues with the table that the misset has left (specs: rng 2, 3)."""
    line = "-cell 40 -mosaic 1 -mosaic_domains 3 -mosaic_seed -7"
    fresh = domains(crystal(line))
    assert torch.equal(fresh, domains(crystal("-cell 40 -mosaic 1 -mosaic_domains 3 -mosaic_seed 1")))
    behind = domains(crystal(line + " -misset_seed 5 -misset random"))
    assert not torch.allclose(fresh, behind)


def test_the_mosaic_takes_three_draws_per_domain_whatever_the_spread():
    """So that the noise that follows is the same (specs: crystal 10, rng 3)."""
    states = [experiment("-cell 40 " + line).facts["generator"].table for line in ("", "-mosaic 2 -mosaic_domains 1")]
    assert states[0] == states[1]
    assert states[0] != experiment("-cell 40 -mosaic 2 -mosaic_domains 2").facts["generator"].table


# -- structure factors


@pytest.fixture
def table(tmp_path) -> str:
    rows = (f"{h} {k} {l} {10 + h + k + l}" for h in range(-3, 4) for k in range(-3, 4) for l in range(-3, 4))
    (tmp_path / "t.hkl").write_text("\n".join(rows))
    return f"-hkl {tmp_path / 't.hkl'} -cell 100 "


@pytest.mark.parametrize(
    ("line", "on"),
    [
        ("-N 2", True),
        ("-N 3", False),
        ("-N 5 -Nc 2", True),
        ("-N 5 -Nc 2 -nointerpolate", False),
        ("-N 5 -interpolate", True),
        ("-N 5 -interpolate -nointerpolate", False),
        ("-N 2 -nointerpolate -interpolate", True),
        ("-samplesize 0.0025", True),
        ("-samplesize 0.0025 -N 3", False),
    ],
)
def test_automatic_interpolation_looks_at_counts_before_sizes(table, line, on):
    """specs: structure_factors 4; deviations, D33."""
    assert crystal(table + line).interpolate is on


def test_without_a_table_there_is_nothing_to_interpolate():
    assert not crystal("-cell 40 -N 2").interpolate
    assert not crystal("-cell 40 -N 2 -interpolate").interpolate


def test_a_table_made_in_python_is_taken_as_it_is():
    own = StructureFactors(torch.ones(3, 3, 3, dtype=torch.float64), (-1, -1, -1), torch.tensor(7.0), 27)
    assert said(cell_a=40.0, Na=5, Nb=5, Nc=5, structure_factors=own).structure_factors is own


# -- gradients through what is settled


def test_a_count_of_one_is_still_the_tensor_that_was_given():
    counts = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64, requires_grad=True)
    N = said(cell_a=40.0, Na=counts[0], Nb=counts[1], Nc=counts[2]).N
    assert N.tolist() == [1.0, 2.0, 1.0]
    (gradient,) = torch.autograd.grad(N.sum(), counts)
    assert gradient.tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "name", ["cell_a", "cell_gamma", "fudge", "water_um", "default_F", "mosaic_spread_deg", "misset_deg"]
)
def test_nothing_is_detached(name):
    leaf = torch.tensor(1.5 if name != "cell_gamma" else 95.0, dtype=torch.float64, requires_grad=True)
    fields = {"cell_a": 40.0, "mosaic_domains": 3, "mosaic_spread_deg": 1.0, "misset_deg": (1.0, 2.0, 3.0)}
    fields[name] = leaf if name != "misset_deg" else (0.0, leaf, 0.0)
    found = said(**fields)
    home = {
        "cell_a": found.cell, "cell_gamma": found.cell, "fudge": found.fudge, "water_um": found.water,
        "default_F": found.structure_factors.default_F, "mosaic_spread_deg": found.mosaic.spread,
        "misset_deg": found.misset,
    }[name]  # fmt: skip
    assert torch.autograd.grad(home.sum(), leaf)[0].item() != 0.0


def test_a_wavelength_reaches_the_matrix_it_divides():
    wavelength = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    rows = tuple(tuple(float(x) for x in MATRIX.split()[3 * i : 3 * i + 3]) for i in range(3))
    config = Config(
        crystal=CrystalConfig(orientation_matrix=rows, default_F=1.0),
        beam=BeamConfig(wavelength_A=wavelength),
        detector=DETECTOR,
    )
    scene = settle(config)
    assert torch.autograd.grad(scene.crystal.reciprocal.sum(), wavelength)[0].item() < 0.0
