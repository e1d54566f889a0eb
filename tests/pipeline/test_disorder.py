"""Crystals that are not perfect, each against its own definition by brute force."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nanobrag_torch import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    InputError,
    SamplingConfig,
    Simulator,
    settle,
)
from nanobrag_torch.config import OtherLattice, PathConfig
from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.pipeline.render import pixel_scene

SCENE = Config(
    crystal=CrystalConfig(
        cell_a=45.0,
        cell_b=52.0,
        cell_c=61.0,
        cell_alpha=85.0,
        cell_beta=97.0,
        cell_gamma=104.0,
        misset_deg=(11.0, -23.0, 34.0),
        Na=6,
        Nb=5,
        Nc=4,
        default_F=100.0,
    ),
    beam=BeamConfig(wavelength_A=1.1, fluence=1e28),
    detector=DetectorConfig(pixels_f=30, pixels_s=30, pixel_mm=1.2, distance_mm=60.0),
    sampling=SamplingConfig(oversample=1),
)


def crystal(**said: object) -> Config:
    return replace(SCENE, crystal=replace(SCENE.crystal, **said))


def values(config: Config, **changes: object) -> np.ndarray:
    return np.asarray(Simulator(settle(config).replace(**changes)).run().array)


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


def frame_of(config: Config) -> np.ndarray:
    """e1 along a, e3 along c*, from the scene's cell."""
    a, b, _ = pixel_scene(settle(config), 0).A[0].numpy()
    e1, e3 = a / np.linalg.norm(a), np.cross(a, b) / np.linalg.norm(np.cross(a, b))
    return np.stack([e1, np.cross(e3, e1), e3])


# Mosaic spread ---------------------------------------------------------------------------------------------------


def test_domains_are_turned_about_the_axes_of_the_crystal():
    """Every domain against a matrix exponential, at two spindle angles."""
    spread = np.radians([3.0, 0.5, 1.0])
    config = replace(
        crystal(mosaic_abc_deg=(3.0, 0.5, 1.0), mosaic_domains=12),
        sampling=SamplingConfig(oversample=1, osc_deg=40.0, phi_steps=2),
    )
    scene = settle(config)
    still = replace(crystal(), sampling=SamplingConfig(oversample=1, osc_deg=40.0, phi_steps=2))
    ideal = pixel_scene(settle(still), 0).A.numpy()
    found = pixel_scene(scene, 0).A.numpy().reshape(2, 12, 3, 3)
    vectors = scene.crystal.mosaic.vectors.numpy()
    frame = frame_of(crystal())
    spindle = rotation_of(np.radians(20.0) * scene.scan.axis.numpy())
    for m, vector in enumerate(vectors):
        own = rotation_of((spread * vector) @ frame)
        assert np.abs(found[0, m] - ideal[0] @ own.T).max() < 1e-12 * 61
        assert np.abs(found[1, m] - ideal[0] @ own.T @ spindle.T).max() < 1e-10


def test_anisotropic_spread_is_the_mean_over_thousands_of_random_domains():
    spread = (1.5, 0.3, 0.8)
    generator = np.random.default_rng(11)
    frame = frame_of(crystal())
    vectors = np.radians(spread) * generator.normal(size=(12000, 3)) @ frame
    truth = values(crystal(orientations=np.degrees(vectors)))
    wrong = values(crystal(mosaic_law="gauss", mosaic_spread_deg=np.mean(spread), mosaic_domains=250))
    errors = [
        np.linalg.norm(values(crystal(mosaic_abc_deg=spread, mosaic_domains=n)) - truth) / np.linalg.norm(truth)
        for n in (20, 250)
    ]
    assert errors[1] < 0.06
    assert errors[0] < 0.3
    assert np.linalg.norm(wrong - truth) / np.linalg.norm(truth) > 0.1


def test_twenty_even_domains_are_smoother_than_two_hundred_random_ones():
    """Spots about as wide as the spread: relative error to the distribution, even against the best of five sets."""
    config = crystal(shape="gauss")
    truth = values(replace(config, crystal=replace(config.crystal, mosaic_abc_deg=(0.3,) * 3, mosaic_domains=256)))
    even = values(replace(config, crystal=replace(config.crystal, mosaic_abc_deg=(0.3,) * 3, mosaic_domains=20)))

    def error(image):
        return np.linalg.norm(image - truth) / np.linalg.norm(truth)

    generator = np.random.default_rng(4)
    sets = 0.3 * generator.normal(size=(5, 200, 3))
    random = [error(values(replace(config, crystal=replace(config.crystal, orientations=s)))) for s in sets]
    assert error(even) < min(random)


def test_equal_spreads_are_the_isotropic_law_and_no_spread_the_ideal_crystal():
    three = values(crystal(mosaic_abc_deg=(0.7, 0.7, 0.7)))
    one = values(crystal(mosaic_law="gauss", mosaic_spread_deg=0.7))
    assert np.array_equal(three, one)
    assert np.array_equal(values(crystal(mosaic_abc_deg=(0.0, 0.0, 0.0))), values(crystal()))
    assert np.array_equal(values(crystal(mosaic_law="lorentz", mosaic_spread_deg=0.0)), values(crystal()))


def test_lorentzian_tails():
    """The same half width, but more of the rocking curve far out."""
    gauss, lorentz = (
        settle(crystal(mosaic_law=law, mosaic_spread_deg=0.1, mosaic_domains=200)).crystal.mosaic.vectors.numpy()
        for law in ("gauss", "lorentz")
    )
    assert (np.abs(lorentz[:, 0]) > 4).mean() == pytest.approx(1 - 2 / math.pi * math.atan(4), abs=0.04)
    assert (np.abs(gauss[:, 0]) > 4).mean() == 0


def test_listed_orientations(tmp_path):
    """Vectors, matrices and files of them are the same; weights are those of a mean."""
    vectors = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [0.3, 0.2, -0.7]])
    weights = np.array([[1.0], [2.0], [5.0]])
    singles = [values(crystal(orientations=v[None])) for v in vectors]
    expected = sum(w * s for w, s in zip(weights[:, 0], singles, strict=True)) / 8
    matrices = np.stack([rotation_of(np.radians(v)) for v in vectors])
    given = [
        np.hstack([vectors, weights]),
        np.hstack([matrices.reshape(3, 9), weights]),
    ]
    for n, table in enumerate(given):
        assert np.abs(values(crystal(orientations=table)) - expected).max() < 1e-11 * expected.max()
        np.savetxt(tmp_path / f"{n}.txt", table, fmt="%.17g")
        found = values(crystal(orientation_file=str(tmp_path / f"{n}.txt")))
        assert np.abs(found - expected).max() < 1e-11 * expected.max()
    equal = values(crystal(orientations=matrices))
    assert np.abs(equal - sum(singles) / 3).max() < 1e-11 * equal.max()


# Size ------------------------------------------------------------------------------------------------------------


def test_a_matrix_of_sizes_is_the_sum_over_a_gaussian_crystal_of_cells():
    """Brute force: cells at whole n with weights exp(-nᵀ C⁻¹ n/2), C = G N²/(0.63 · 2π²), scaled to det N."""
    scene = settle(crystal(shape="gauss", Na=4, Nb=5, Nc=6, N_off=(1.0, -0.5, 1.5), default_F=1.0))
    N = np.array([[4.0, 1.0, -0.5], [1.0, 5.0, 1.5], [-0.5, 1.5, 6.0]])
    core = pixel_scene(scene, 0)
    generator = np.random.default_rng(2)
    A = core.A[0].numpy()
    h = np.array([2.0, -1.0, 3.0]) + generator.uniform(-0.12, 0.12, size=(60, 3))
    S = h @ np.linalg.inv(A).T
    from nanobrag_torch.pipeline.render import Way, orientation_sum

    found = orientation_sum(core, real(S), Way()).numpy()
    covariance = N @ N / (0.63 * 2 * math.pi**2)
    reach = np.arange(-9, 10)
    n = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    weight = np.exp(-0.5 * np.einsum("ni,ij,nj->n", n, np.linalg.inv(covariance), n))
    weight *= np.linalg.det(N) / weight.sum()
    amplitude = np.exp(2j * np.pi * h @ n.T) @ weight
    assert np.abs(found - np.abs(amplitude) ** 2).max() < 1e-6 * np.linalg.det(N) ** 2


def test_a_diagonal_matrix_is_the_gaussian_shape():
    diagonal = values(crystal(shape="gauss", N_off=(0.0, 0.0, 0.0)))
    plain = values(crystal(shape="gauss"))
    assert np.abs(diagonal - plain).max() < 1e-13 * plain.max()


def test_block_sizes_are_a_lognormal_mean():
    """Against a fine sum over ln N, and one block of no spread."""
    found = values(crystal(block_spread=0.15, block_sizes=9))
    x = np.linspace(-6, 6, 121)
    w = np.exp(-(x**2) / 2)
    w /= w.sum()
    N = settle(SCENE).crystal.N
    expected = sum(v * values(SCENE, N=N * math.exp(0.15 * t)) for v, t in zip(w, x, strict=True))
    assert np.abs(found - expected).max() < 1e-3 * expected.max()
    assert np.array_equal(values(crystal(block_spread=0.0, block_sizes=1)), values(SCENE))


# Several lattices ------------------------------------------------------------------------------------------------


def test_lattices_add_up_by_their_shares():
    turned = OtherLattice(0.3, (4.0, -5.0, 6.0))
    both = values(crystal(lattices=(turned, OtherLattice(0.1, (0.0, 9.0, 0.0)))))
    base = settle(SCENE)
    A = pixel_scene(base, 0).A[0].numpy()
    parts = 0.6 * values(SCENE)
    for share, (x, y, z) in ((0.3, (4.0, -5.0, 6.0)), (0.1, (0.0, 9.0, 0.0))):
        about = [rotation_of(np.radians(angle) * axis) for angle, axis in zip((x, y, z), np.eye(3), strict=True)]
        matrix = about[2] @ about[1] @ about[0]
        parts = parts + share * values(crystal(orientations=matrix[None]))
    assert A.shape == (3, 3)
    assert np.abs(both - parts).max() < 1e-10 * parts.max()


def test_a_twin_shows_the_amplitudes_of_its_law():
    """Merohedral twin k,h,-l of a tetragonal crystal: I = (1 - x) F²(hkl) + x F²(kh-l), the same spots."""
    generator = np.random.default_rng(8)
    F = generator.uniform(1, 100, size=(41, 41, 41))
    i = np.arange(-20, 21)
    h, k, l = np.meshgrid(i, i, i, indexing="ij")
    twin = F[k + 20, h + 20, -l + 20]
    cell = {"cell_b": 45.0, "cell_alpha": 90.0, "cell_beta": 90.0, "cell_gamma": 90.0, "Nb": 6, "interpolate": False}

    def table(amplitudes):
        return StructureFactors(real(amplitudes), (-20, -20, -20), real(0.0), F.size)

    one, other = (values(crystal(**cell, structure_factors=table(x))) for x in (F, twin))
    found = values(crystal(**cell, structure_factors=table(F), lattices=(OtherLattice(0.4, law="k,h,-l"),)))
    expected = 0.6 * one + 0.4 * other
    assert np.abs(found - expected).max() < 1e-10 * expected.max()


def test_a_trace_is_refused():
    from nanobrag_torch.pipeline.trace import trace_pixel

    with pytest.raises(InputError, match="one crystal alone"):
        trace_pixel(settle(crystal(lattices=(OtherLattice(0.3, (1.0, 2.0, 3.0)),))), 3, 4)


def test_all_parts_together_stay_within_the_tolerance():
    """Three lattices and their diffuse scattering: what is left out of every pixel is no more than was allowed."""
    config = crystal(lattices=(OtherLattice(0.3, (4.0, -5.0, 6.0)), OtherLattice(0.2, (1.0, 9.0, 0.0))), **MOVED)
    scene = settle(config)
    whole = Simulator(scene).run().array
    allowed = 0.01 * float(whole.mean())
    lost = whole - Simulator(scene, tolerance=allowed).run().array
    assert float(lost.max()) <= allowed * (1 + 1e-9)
    assert float(lost.min()) >= -1e-9 * float(whole.max())


def test_satellites_follow_the_first_crystal():
    config = crystal(lattices=(OtherLattice(0.5, (0.0, 0.0, 2.0)),))
    moved = values(config, misset=real([0.3, 0.1, -0.2]))
    again = values(
        replace(config, crystal=replace(config.crystal, misset_deg=tuple(np.degrees([0.3, 0.1, -0.2]).tolist())))
    )
    assert np.abs(moved - again).max() < 1e-9 * again.max()


# Path ------------------------------------------------------------------------------------------------------------


def test_absorption_follows_the_spindle():
    """A long box across the spindle, at 0 and 90 degrees: each step has its own transmission."""
    path = PathConfig(sample_mu_invmm=3.0, sample_form="box", sample_form_mm=(0.05, 0.4, 0.1), path_points=64)
    config = replace(SCENE, path=path, sampling=SamplingConfig(oversample=1, osc_deg=180.0, phi_steps=2))
    step = [
        replace(SCENE, path=path, sampling=SamplingConfig(oversample=1, phi_deg=angle, phi_steps=1, osc_deg=0.0))
        for angle in (0.0, 90.0)
    ]
    both = values(config)
    single = [values(s) for s in step]
    assert np.abs(both - 0.5 * (single[0] + single[1])).max() < 1e-12 * both.max()
    bare = [values(replace(s, path=PathConfig())) for s in step]
    forward = [float((s / b)[14, 14]) for s, b in zip(single, bare, strict=True)]
    assert forward[0] == pytest.approx(math.exp(-3.0 * 0.05), rel=0.03)
    assert forward[1] == pytest.approx(math.exp(-3.0 * 0.4), rel=0.1)


def test_a_material_absorbs_by_its_formula():
    """Water at 1.1 Å: about 6.8 /cm; the same image as with that coefficient."""
    body = {"sample_form": "ellipsoid", "sample_form_mm": (0.5, 0.5, 0.5)}
    water = settle(replace(SCENE, path=PathConfig(**body, sample_formula="H2O", sample_density=1.0)))
    mu = float(water.path.sample.attenuation)
    assert mu == pytest.approx(4.94e2 * (1.1 / 1.2398) ** 3 * 1.0, rel=0.15)
    assert np.allclose(
        np.asarray(Simulator(water).run().array),
        values(replace(SCENE, path=PathConfig(**body, sample_mu_invmm=mu / 1000))),
    )


def test_the_grid_of_the_transmission_is_fine_enough(monkeypatch):
    """Interpolated on a detector of many pixels, to less than the points' own error; any list of pixels alike."""
    path = PathConfig(sample_mu_invmm=4.0, sample_form="box", sample_form_mm=(0.1, 0.3, 0.2))
    detector = DetectorConfig(pixels_f=90, pixels_s=70, pixel_mm=0.3, distance_mm=60.0, convention="DIALS")
    scene = settle(replace(crystal(shape="gauss", Na=1, Nb=1, Nc=1), path=path, detector=detector))
    coarse = Simulator(scene).run().array
    pixels = torch.tensor([[0, 0], [69, 89], [31, 44], [7, 80]])
    assert torch.equal(Simulator(scene).run(pixels).values[0], coarse[pixels[:, 0], pixels[:, 1]])
    monkeypatch.setattr("nanobrag_torch.pipeline.compose.SMOOTH_ANGLE", 1e-9)
    exact = Simulator(scene).run().array
    assert float((coarse / exact - 1).abs().max()) < 1e-3


def test_air():
    config = replace(SCENE, path=PathConfig(air_mu_invm=2.0))
    scene = settle(SCENE)
    pixel = 1.2e-3
    f, s = np.meshgrid((np.arange(30) + 0.5) * pixel, (np.arange(30) + 0.5) * pixel)
    centre = scene.detector.panel.beam_centre.numpy()
    length = np.sqrt(0.06**2 + (f - centre[0]) ** 2 + (s - centre[1]) ** 2)
    assert np.abs(values(config) / values(SCENE) - np.exp(-2.0 * length)).max() < 1e-12


def test_the_beam_lights_a_part():
    """A flat beam half as wide as the box: half of the volume scatters."""
    path = PathConfig(
        sample_form="box", sample_form_mm=(0.1, 0.1, 0.1), beam_form="flat", beam_form_mm=(0.05, 1.0), path_points=512
    )
    ratio = values(replace(SCENE, path=path)).sum() / values(SCENE).sum()
    assert ratio == pytest.approx(0.5, abs=1e-9)


# Gradients and refusals ------------------------------------------------------------------------------------------


def test_gradients():
    pixels = torch.tensor([[3, 4], [15, 22], [28, 9]])

    def photons(a, b, c, share, block, mu, air, ab):
        config = replace(
            crystal(
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


def test_gradients_by_the_weights_of_orientations():
    pixels = torch.tensor([[3, 4], [15, 22]])
    vectors = real([[0.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 1.0, 1.0]])

    def photons(weights):
        config = crystal(shape="gauss", orientations=torch.cat([vectors, weights[:, None]], dim=1))
        return 1e3 * Simulator(settle(config)).run(pixels).values[0]

    assert torch.autograd.gradcheck(photons, (real([1.0, 2.0, 3.0]).requires_grad_(),))


def test_the_jacobian_of_a_scene_of_parts():
    config = replace(
        crystal(mosaic_abc_deg=(1.0, 0.4, 0.7), lattices=(OtherLattice(0.3, (1.0, 2.0, 3.0)),)),
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
def test_refusals(said, field, words):
    with pytest.raises(InputError, match=words) as refused:
        settle(crystal(**said))
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"sample_mu_invmm": 1.0}, "sample_mu_invmm"),
        ({"sample_form": "box", "sample_mu_invmm": 1.0}, "sample_form_mm"),
        ({"sample_form": "box", "sample_mu_invmm": -1.0, "sample_form_mm": (1.0, 1.0, 1.0)}, "sample_mu_invmm"),
        ({"sample_form": "box", "sample_mu_invmm": 1.0, "sample_form_mm": (1.0, 0.0, 1.0)}, "sample_form_mm"),
        ({"sample_formula": "H2O", "sample_form": "box"}, "sample_formula"),
        ({"sample_formula": "H2O", "sample_density": 1.0, "sample_mu_invmm": 1.0}, "sample_formula"),
        ({"sample_formula": "H2Q", "sample_density": 1.0}, "sample_formula"),
        ({"sample_density": 1.0}, "sample_density"),
        ({"sample_form": "no.obj", "sample_mu_invmm": 1.0}, "sample_form"),
        ({"sample_form": "box", "sample_form_mm": (1.0, 1.0, 1.0)}, "sample_form"),
        ({"beam_form": "round", "sample_form": "box", "sample_form_mm": (1.0, 1.0, 1.0)}, "beam_form"),
        ({"air_mu_invm": -1.0}, "air_mu_invm"),
        ({"beam_form_mm": (1.0, 1.0)}, "beam_form_mm"),
    ],
)
def test_refused_paths(said, field):
    with pytest.raises(InputError) as refused:
        settle(replace(SCENE, path=PathConfig(**said)))
    assert refused.value.field == field


# Diffuse scattering ----------------------------------------------------------------------------------------------

MOVED = {"diffuse_sigma_A": (0.4, 0.2, 0.3), "diffuse_gamma_A": (90.0, 70.0, 110.0)}


def test_diffuse_scattering_is_added_to_the_spots():
    """Against the law in indices, worked out here from the matrix of the crystal, pixel by pixel."""
    scene = settle(crystal(**MOVED))
    extra = values(crystal(**MOVED)) - values(crystal())
    core = pixel_scene(settle(SCENE), 0)
    A = core.A[0].numpy()
    frame = frame_of(SCENE)
    panel = scene.detector.panel
    pixel = 1.2e-3
    for slow, fast in ((3, 4), (15, 22), (28, 9)):
        f, s = (fast + 0.5) * pixel - float(panel.beam_centre[0]), (slow + 0.5) * pixel - float(panel.beam_centre[1])
        place = np.array([0.06, -s, f])
        length = np.linalg.norm(place)
        S = (place / length - [1.0, 0.0, 0.0]) / 1.1
        h = A @ S
        q = np.linalg.solve(A, h - np.ceil(h - 0.5))
        X = 4 * np.pi**2 * ((frame @ S * MOVED["diffuse_sigma_A"]) ** 2).sum()
        Y = 4 * np.pi**2 * ((frame @ q * MOVED["diffuse_gamma_A"]) ** 2).sum()
        cells = 8 * np.pi * np.prod(MOVED["diffuse_gamma_A"]) / abs(np.linalg.det(A)) * 6 * 5 * 4
        cosine = place[0] / length
        p = 0.5 * (1 + cosine**2)
        scale = 7.94079248018965e-30 * 1e28 * pixel**2 * 0.06 / length**3
        assert extra[slow, fast] == pytest.approx(scale * p * 100.0**2 * cells * X / (1 + Y) ** 2, rel=1e-7)


def test_no_displacement_draws_the_ideal_crystal_exactly():
    still = values(crystal(diffuse_sigma_A=(0.0, 0.0, 0.0), diffuse_gamma_A=(90.0, 70.0, 110.0)))
    assert np.array_equal(still, values(crystal()))


def test_diffuse_scattering_has_the_symmetry_of_its_group():
    """A tetragonal crystal seen along c: with P422 the pattern between the spots is the same turned by a quarter."""
    square = {
        "cell_a": 40.0,
        "cell_b": 40.0,
        "cell_c": 60.0,
        "Na": 5,
        "Nb": 5,
        "Nc": 5,
        "misset_deg": (0.0, -90.0, 0.0),
    }
    right = {"cell_alpha": 90.0, "cell_beta": 90.0, "cell_gamma": 90.0}
    detector = DetectorConfig(pixels_f=21, pixels_s=21, pixel_mm=1.0, distance_mm=60.0, convention="DIALS")

    def extra(**said):
        config = replace(crystal(**square, **right, diffuse_gamma_A=(60.0, 60.0, 80.0), **said), detector=detector)
        plain = replace(crystal(**square, **right), detector=detector)
        return values(config) - values(plain)

    one = extra(diffuse_sigma_A=(0.5, 0.1, 0.3))
    both = extra(diffuse_sigma_A=(0.5, 0.1, 0.3), diffuse_group="P422")
    turned = extra(diffuse_sigma_A=(0.1, 0.5, 0.3))
    assert np.abs(one - turned).max() > 0.1 * one.max()
    assert np.abs(both - 0.5 * (one + turned)).max() < 1e-9 * both.max()


def test_diffuse_gradients():
    pixels = torch.tensor([[3, 4], [15, 22], [28, 9]])

    def photons(s1, s2, s3, g1, g2, g3, a):
        config = crystal(cell_a=a, diffuse_sigma_A=(s1, s2, s3), diffuse_gamma_A=(g1, g2, g3), shape="gauss")
        return 1e3 * Simulator(settle(config)).run(pixels).values[0]

    start = [real(x).requires_grad_() for x in (0.4, 0.2, 0.3, 90.0, 70.0, 110.0, 45.0)]
    assert torch.autograd.gradcheck(photons, start, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"diffuse_sigma_A": (0.1, 0.1, 0.1)}, "diffuse_sigma_A", "correlation length"),
        ({"diffuse_gamma_A": (9.0, 9.0, 9.0)}, "diffuse_gamma_A", "amplitude"),
        ({**MOVED, "diffuse_sigma_A": (-0.1, 0.1, 0.1)}, "diffuse_sigma_A", "give 0 to"),
        ({**MOVED, "diffuse_gamma_A": (0.0, 9.0, 9.0)}, "diffuse_gamma_A", "give 0.1 to"),
        ({**MOVED, "diffuse_group": "Q99"}, "diffuse_group", "no space group"),
        ({**MOVED, "diffuse_group": "P4"}, "diffuse_group", "symmetry"),
    ],
)
def test_refused_displacements(said, field, words):
    with pytest.raises(InputError, match=words) as refused:
        settle(crystal(**said))
    assert refused.value.field == field
