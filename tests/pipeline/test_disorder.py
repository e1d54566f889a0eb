"""Crystals that are not perfect, each against its own definition by brute force."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nanobrag_torch import (
    InputError,
    SamplingConfig,
    Simulator,
    settle,
)
from nanobrag_torch.config import OtherLattice, PathConfig
from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.pipeline.render import pixel_scene


def rotation_of(vector: np.ndarray) -> np.ndarray:
    """exp of the skew matrix of a vector, by its power series of scaled squarings."""
    x, y, z = vector / 1024.0
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    result, power = np.eye(3), np.eye(3)
    for k in range(1, 8):
        power = power @ skew / k
        result = result + power
    for _ in range(10):
        result = result @ result
    return result


# Mosaic spread ---------------------------------------------------------------------------------------------------


def test_domains_are_turned_about_the_axes_of_the_crystal(imperfect):
    """Every domain against a matrix exponential, at two spindle angles."""
    spread = np.radians([3.0, 0.5, 1.0])
    config = replace(
        imperfect.crystal(mosaic_abc_deg=(3.0, 0.5, 1.0), mosaic_domains=12),
        sampling=SamplingConfig(oversample=1, osc_deg=40.0, phi_steps=2),
    )
    scene = settle(config)
    still = replace(imperfect.crystal(), sampling=SamplingConfig(oversample=1, osc_deg=40.0, phi_steps=2))
    ideal = pixel_scene(settle(still), 0).A.numpy()
    found = pixel_scene(scene, 0).A.numpy().reshape(2, 12, 3, 3)
    vectors = scene.crystal.mosaic.vectors.numpy()
    frame = imperfect.frame_of(imperfect.crystal())
    spindle = rotation_of(np.radians(20.0) * scene.scan.axis.numpy())
    for m, vector in enumerate(vectors):
        own = rotation_of((spread * vector) @ frame)
        assert np.abs(found[0, m] - ideal[0] @ own.T).max() < 1e-12 * 61
        assert np.abs(found[1, m] - ideal[0] @ own.T @ spindle.T).max() < 1e-10


def test_anisotropic_spread_is_the_mean_over_thousands_of_random_domains(imperfect):
    spread = (1.5, 0.3, 0.8)
    generator = np.random.default_rng(11)
    frame = imperfect.frame_of(imperfect.crystal())
    vectors = np.radians(spread) * generator.normal(size=(12000, 3)) @ frame
    truth = imperfect.values(imperfect.crystal(orientations=np.degrees(vectors)))
    wrong = imperfect.values(
        imperfect.crystal(mosaic_law="gauss", mosaic_spread_deg=np.mean(spread), mosaic_domains=250)
    )
    errors = [
        np.linalg.norm(imperfect.values(imperfect.crystal(mosaic_abc_deg=spread, mosaic_domains=n)) - truth)
        / np.linalg.norm(truth)
        for n in (20, 250)
    ]
    assert errors[1] < 0.06
    assert errors[0] < 0.3
    assert np.linalg.norm(wrong - truth) / np.linalg.norm(truth) > 0.1


def test_twenty_even_domains_are_smoother_than_two_hundred_random_ones(imperfect):
    """Spots about as wide as the spread: relative error to the distribution, even against the best of five sets."""
    config = imperfect.crystal(shape="gauss")
    truth = imperfect.values(
        replace(config, crystal=replace(config.crystal, mosaic_abc_deg=(0.3,) * 3, mosaic_domains=256))
    )
    even = imperfect.values(
        replace(config, crystal=replace(config.crystal, mosaic_abc_deg=(0.3,) * 3, mosaic_domains=20))
    )

    def error(image):
        return np.linalg.norm(image - truth) / np.linalg.norm(truth)

    generator = np.random.default_rng(4)
    sets = 0.3 * generator.normal(size=(5, 200, 3))
    random = [error(imperfect.values(replace(config, crystal=replace(config.crystal, orientations=s)))) for s in sets]
    assert error(even) < min(random)


def test_equal_spreads_are_the_isotropic_law_and_no_spread_the_ideal_crystal(imperfect):
    three = imperfect.values(imperfect.crystal(mosaic_abc_deg=(0.7, 0.7, 0.7)))
    one = imperfect.values(imperfect.crystal(mosaic_law="gauss", mosaic_spread_deg=0.7))
    assert np.array_equal(three, one)
    assert np.array_equal(
        imperfect.values(imperfect.crystal(mosaic_abc_deg=(0.0, 0.0, 0.0))), imperfect.values(imperfect.crystal())
    )
    assert np.array_equal(
        imperfect.values(imperfect.crystal(mosaic_law="lorentz", mosaic_spread_deg=0.0)),
        imperfect.values(imperfect.crystal()),
    )


def test_lorentzian_tails(imperfect):
    """The same half width, but more of the rocking curve far out."""
    gauss, lorentz = (
        settle(
            imperfect.crystal(mosaic_law=law, mosaic_spread_deg=0.1, mosaic_domains=200)
        ).crystal.mosaic.vectors.numpy()
        for law in ("gauss", "lorentz")
    )
    assert (np.abs(lorentz[:, 0]) > 4).mean() == pytest.approx(1 - 2 / math.pi * math.atan(4), abs=0.04)
    assert (np.abs(gauss[:, 0]) > 4).mean() == 0


def test_listed_orientations(tmp_path, imperfect):
    """Vectors, matrices and files of them are the same; weights are those of a mean."""
    vectors = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [0.3, 0.2, -0.7]])
    weights = np.array([[1.0], [2.0], [5.0]])
    singles = [imperfect.values(imperfect.crystal(orientations=v[None])) for v in vectors]
    expected = sum(w * s for w, s in zip(weights[:, 0], singles, strict=True)) / 8
    matrices = np.stack([rotation_of(np.radians(v)) for v in vectors])
    given = [
        np.hstack([vectors, weights]),
        np.hstack([matrices.reshape(3, 9), weights]),
    ]
    for n, table in enumerate(given):
        assert np.abs(imperfect.values(imperfect.crystal(orientations=table)) - expected).max() < 1e-11 * expected.max()
        np.savetxt(tmp_path / f"{n}.txt", table, fmt="%.17g")
        found = imperfect.values(imperfect.crystal(orientation_file=str(tmp_path / f"{n}.txt")))
        assert np.abs(found - expected).max() < 1e-11 * expected.max()
    equal = imperfect.values(imperfect.crystal(orientations=matrices))
    assert np.abs(equal - sum(singles) / 3).max() < 1e-11 * equal.max()


# Size ------------------------------------------------------------------------------------------------------------


def test_a_matrix_of_sizes_is_the_sum_over_a_gaussian_crystal_of_cells(imperfect):
    """Brute force: cells at whole n with weights exp(-nᵀ C⁻¹ n/2), C = G N²/(0.63 · 2π²), scaled to det N."""
    scene = settle(imperfect.crystal(shape="gauss", Na=4, Nb=5, Nc=6, N_off=(1.0, -0.5, 1.5), default_F=1.0))
    N = np.array([[4.0, 1.0, -0.5], [1.0, 5.0, 1.5], [-0.5, 1.5, 6.0]])
    core = pixel_scene(scene, 0)
    generator = np.random.default_rng(2)
    A = core.A[0].numpy()
    h = np.array([2.0, -1.0, 3.0]) + generator.uniform(-0.12, 0.12, size=(60, 3))
    S = h @ np.linalg.inv(A).T
    from nanobrag_torch.pipeline.render import RenderOptions, orientation_sum

    found = orientation_sum(core, real(S), RenderOptions()).numpy()
    covariance = N @ N / (0.63 * 2 * math.pi**2)
    reach = np.arange(-9, 10)
    n = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    weight = np.exp(-0.5 * np.einsum("ni,ij,nj->n", n, np.linalg.inv(covariance), n))
    weight *= np.linalg.det(N) / weight.sum()
    amplitude = np.exp(2j * np.pi * h @ n.T) @ weight
    assert np.abs(found - np.abs(amplitude) ** 2).max() < 1e-6 * np.linalg.det(N) ** 2


def test_a_diagonal_matrix_is_the_gaussian_shape(imperfect):
    diagonal = imperfect.values(imperfect.crystal(shape="gauss", N_off=(0.0, 0.0, 0.0)))
    plain = imperfect.values(imperfect.crystal(shape="gauss"))
    assert np.abs(diagonal - plain).max() < 1e-13 * plain.max()


def test_block_sizes_are_a_lognormal_mean(imperfect):
    """Against a fine sum over ln N, and one block of no spread."""
    found = imperfect.values(imperfect.crystal(block_spread=0.15, block_sizes=9))
    x = np.linspace(-6, 6, 121)
    w = np.exp(-(x**2) / 2)
    w /= w.sum()
    N = settle(imperfect.scene).crystal.N
    expected = sum(v * imperfect.values(imperfect.scene, N=N * math.exp(0.15 * t)) for v, t in zip(w, x, strict=True))
    assert np.abs(found - expected).max() < 1e-3 * expected.max()
    assert np.array_equal(
        imperfect.values(imperfect.crystal(block_spread=0.0, block_sizes=1)), imperfect.values(imperfect.scene)
    )


# Several lattices ------------------------------------------------------------------------------------------------


def test_lattices_add_up_by_their_shares(imperfect):
    turned = OtherLattice(0.3, (4.0, -5.0, 6.0))
    both = imperfect.values(imperfect.crystal(lattices=(turned, OtherLattice(0.1, (0.0, 9.0, 0.0)))))
    base = settle(imperfect.scene)
    A = pixel_scene(base, 0).A[0].numpy()
    parts = 0.6 * imperfect.values(imperfect.scene)
    for share, (x, y, z) in ((0.3, (4.0, -5.0, 6.0)), (0.1, (0.0, 9.0, 0.0))):
        about = [rotation_of(np.radians(angle) * axis) for angle, axis in zip((x, y, z), np.eye(3), strict=True)]
        matrix = about[2] @ about[1] @ about[0]
        parts = parts + share * imperfect.values(imperfect.crystal(orientations=matrix[None]))
    assert A.shape == (3, 3)
    assert np.abs(both - parts).max() < 1e-10 * parts.max()


def test_a_twin_shows_the_amplitudes_of_its_law(imperfect):
    """Merohedral twin k,h,-l of a tetragonal crystal: I = (1 - x) F²(hkl) + x F²(kh-l), the same spots."""
    generator = np.random.default_rng(8)
    F = generator.uniform(1, 100, size=(41, 41, 41))
    i = np.arange(-20, 21)
    h, k, l = np.meshgrid(i, i, i, indexing="ij")
    twin = F[k + 20, h + 20, -l + 20]
    cell = {"cell_b": 45.0, "cell_alpha": 90.0, "cell_beta": 90.0, "cell_gamma": 90.0, "Nb": 6, "interpolate": False}

    def table(amplitudes):
        return StructureFactors(real(amplitudes), (-20, -20, -20), real(0.0), F.size)

    one, other = (imperfect.values(imperfect.crystal(**cell, structure_factors=table(x))) for x in (F, twin))
    found = imperfect.values(
        imperfect.crystal(**cell, structure_factors=table(F), lattices=(OtherLattice(0.4, law="k,h,-l"),))
    )
    expected = 0.6 * one + 0.4 * other
    assert np.abs(found - expected).max() < 1e-10 * expected.max()


def test_a_trace_is_refused(imperfect):
    from nanobrag_torch.pipeline.trace import trace_pixel

    with pytest.raises(InputError, match="one crystal alone"):
        trace_pixel(settle(imperfect.crystal(lattices=(OtherLattice(0.3, (1.0, 2.0, 3.0)),))), 3, 4)


def test_all_parts_together_stay_within_the_tolerance(imperfect):
    """Three lattices and their diffuse scattering: what is left out of every pixel is no more than was allowed."""
    moved = {"diffuse_sigma_A": (0.4, 0.2, 0.3), "diffuse_gamma_A": (90.0, 70.0, 110.0)}
    others = OtherLattice(0.3, (4.0, -5.0, 6.0)), OtherLattice(0.2, (1.0, 9.0, 0.0))
    config = imperfect.crystal(lattices=others, **moved)
    scene = settle(config)
    whole = Simulator(scene).run().array
    allowed = 0.01 * float(whole.mean())
    lost = whole - Simulator(scene, tolerance=allowed).run().array
    assert float(lost.max()) <= allowed * (1 + 1e-9)
    assert float(lost.min()) >= -1e-9 * float(whole.max())


def test_satellites_follow_the_first_crystal(imperfect):
    config = imperfect.crystal(lattices=(OtherLattice(0.5, (0.0, 0.0, 2.0)),))
    moved = imperfect.values(config, misset=real([0.3, 0.1, -0.2]))
    again = imperfect.values(
        replace(config, crystal=replace(config.crystal, misset_deg=tuple(np.degrees([0.3, 0.1, -0.2]).tolist())))
    )
    assert np.abs(moved - again).max() < 1e-9 * again.max()


# Gradients and refusals ------------------------------------------------------------------------------------------


def test_gradients(imperfect):
    pixels = torch.tensor([[3, 4], [15, 22], [28, 9]])

    def photons(a, b, c, share, block, mu, air, ab):
        config = replace(
            imperfect.crystal(
                shape="gauss",
                mosaic_abc_deg=(a, b, c),
                mosaic_domains=4,
                N_off=(ab, 0.3, -0.2),
                block_spread=block,
                block_sizes=3,
                lattices=(OtherLattice(share, (1.0, 2.0, 3.0)),),
            ),
            path=PathConfig(
                sample_mu_invmm=mu,
                sample_form="ellipsoid",
                sample_form_mm=(0.1, 0.2, 0.3),
                path_points=16,
                air_mu_invm=air,
                beam_form="gauss",
                beam_form_mm=(0.1, 0.2),
            ),
        )
        return 1e3 * Simulator(settle(config)).run(pixels).values[0]

    start = [real(x).requires_grad_() for x in (1.0, 0.4, 0.7, 0.3, 0.2, 2.0, 1.5, 0.5)]
    assert torch.autograd.gradcheck(photons, start, rtol=1e-4, atol=1e-6)


def test_gradients_by_the_weights_of_orientations(imperfect):
    pixels = torch.tensor([[3, 4], [15, 22]])
    vectors = real([[0.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 1.0, 1.0]])

    def photons(weights):
        config = imperfect.crystal(shape="gauss", orientations=torch.cat([vectors, weights[:, None]], dim=1))
        return 1e3 * Simulator(settle(config)).run(pixels).values[0]

    assert torch.autograd.gradcheck(photons, (real([1.0, 2.0, 3.0]).requires_grad_(),))


def test_the_jacobian_of_a_scene_of_parts(imperfect):
    config = replace(
        imperfect.crystal(mosaic_abc_deg=(1.0, 0.4, 0.7), lattices=(OtherLattice(0.3, (1.0, 2.0, 3.0)),)),
        path=PathConfig(air_mu_invm=1.0),
    )
    scene = settle(config)
    pixels = torch.tensor([[3, 4], [15, 22], [28, 9]])
    found, slopes = Simulator(scene).jacobian(["misset", "distance"], pixels)
    assert torch.equal(found, Simulator(scene).run(pixels).values[0])
    distance = scene.detector.panel.distance
    up, down = (Simulator(scene.replace(distance=distance + step)).run(pixels).values[0] for step in (1e-7, -1e-7))
    assert torch.allclose((up - down) / 2e-7, slopes[:, 3], rtol=1e-5)
    many = Simulator(scene).run_many({"distance": torch.stack([distance, distance + 1e-4])})
    assert torch.allclose(many[0][1], Simulator(scene.replace(distance=distance + 1e-4)).run().array, rtol=1e-12)


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"mosaic_abc_deg": (1.0, -0.1, 0.0)}, "mosaic_abc_deg", "no spread"),
        ({"mosaic_abc_deg": (1.0, 181.0, 0.0)}, "mosaic_abc_deg", "no spread"),
        ({"mosaic_abc_deg": (1.0, 1.0, 1.0), "mosaic_spread_deg": 1.0}, "mosaic_abc_deg", "already"),
        ({"mosaic_law": "gauss"}, "mosaic_law", "no spread"),
        ({"mosaic_law": "box", "mosaic_spread_deg": 1.0}, "mosaic_law", "not known"),
        ({"mosaic_law": "gauss", "mosaic_spread_deg": 200.0}, "mosaic_spread_deg", "no spread"),
        ({"N_off": (1.0, 0.0, 0.0)}, "N_off", "square"),
        ({"N_off": (9.0, 0.0, 0.0), "shape": "gauss"}, "N_off", "positive definite"),
        ({"block_spread": -0.1}, "block_spread", "width"),
        ({"block_sizes": 3}, "block_sizes", "no spread"),
        ({"lattices": (OtherLattice(1.2),)}, "lattices", "share"),
        ({"lattices": (OtherLattice(0.6), OtherLattice(0.6))}, "lattices", "add up"),
        ({"lattices": (OtherLattice(0.2, law="k,h,l"),)}, "lattices", "determinant"),
        ({"lattices": (OtherLattice(0.2, law="k,h"),)}, "lattices", "no twin law"),
        ({"lattices": (OtherLattice(0.2, law="x,y,z"),)}, "lattices", "no twin law"),
        ({"orientations": np.ones((2, 5))}, "orientations", "shape"),
        ({"orientations": np.ones((2, 3, 3))}, "orientations", "no rotation"),
        ({"orientations": np.array([[0.0, 0.0, 0.0, -1.0]])}, "orientations", "weights"),
    ],
)
def test_refusals(said, field, words, imperfect):
    with pytest.raises(InputError, match=words) as refused:
        settle(imperfect.crystal(**said))
    assert refused.value.field == field
