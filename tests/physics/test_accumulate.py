"""The rules of specs/intensity.md 2, 3, 5 and 6, against loops that follow their words one sample at a time."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.numerics import normalise
from nanobrag_torch.physics.accumulate import accumulate

INCIDENT = normalise(torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.15, -0.1], [1.0, -0.2, 0.05]], dtype=torch.float64))


def scene(**changes) -> PixelScene:
    """A tilted panel of 4 x 3 large pixels 60 mm away, 2 x 2 sub-pixels, three sources, three thick layers."""
    fast, slow = normalise(vector((0.1, 0.0, 1.0))), normalise(vector((0.0, -1.0, 0.1)))
    origin = vector((0.06, 0.02, -0.03))
    normal = normalise(torch.linalg.cross(slow, fast))
    normal = normal * torch.sign((normal * origin).sum())
    fields = {
        "origin": origin,
        "fast": fast,
        "slow": slow,
        "normal": normal,
        "pixel_size": real(0.015),
        "pixels_f": 4,
        "oversample": 2,
        "close_distance": (origin * normal).sum(),
        "distance": real(0.06),
        "beam": vector((1.0, 0.0, 0.0)),
        "beam_centre": torch.zeros(2, dtype=torch.float64),
        "curved": "flat",
        "point_pixel": False,
        "point_area": real(1.0),
        "layers": 3,
        "layer_step": real(0.004),
        "attenuation": real(80.0),
        "has_sensor": True,
        "incident": INCIDENT,
        "wavelength": vector((1.2, 1.3, 1.25)),
        "weight": vector((1.0, 1.0, 1.0)),
        "polarized": True,
        "polarization_factor": real(0.7),
        "polarization_axis": vector((0.0, 0.0, 1.0)),
        "A": torch.eye(3, dtype=torch.float64)[None],
        "N": torch.ones(3, dtype=torch.float64),
        "fudge": real(1.0),
        "shape": "square",
        "reciprocal": torch.eye(3, dtype=torch.float64),
        "radius": "nanobragg",
        "structure_factors": StructureFactors.constant(1.0),
        "interpolate": False,
        "dmin": 0.0,
        "per_term_omega": False,
        "per_term_polar": False,
        "per_term_thick": False,
        "background": "nanobragg",
    }
    return PixelScene(**{**fields, **changes})


PIXELS = torch.arange(12)


def lattice(S: torch.Tensor) -> torch.Tensor:
    """Any positive function of S will do."""
    return 1.0 + torch.exp(-((S - 0.1) ** 2).sum(-1)) + 3.0 * S[..., 1] ** 2


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def one_pixel(sc: PixelScene, pixel: int) -> tuple[float, float, float, int]:
    """Total, background factor, solid angle and number of kept samples of a pixel, by the words of the specs."""
    n, size, close, step = sc.oversample, float(sc.pixel_size), float(sc.close_distance), float(sc.layer_step)
    origin, fast_axis, slow_axis, normal = (v.numpy() for v in (sc.origin, sc.fast, sc.slow, sc.normal))
    w_mu, K, weights = float(sc.layer_step * sc.attenuation), float(sc.polarization_factor), sc.weight.tolist()
    incident, wavelengths, axis = sc.incident.numpy(), sc.wavelength.tolist(), sc.polarization_axis.numpy()
    slow, fast = divmod(pixel, sc.pixels_f)
    omega_c, kappa_c, polar_c = 0.0, 0.0, 0.0 if sc.polarized else 1.0
    total, angles, exact = 0.0, 0.0, 0.0
    terms = []
    for layer, e_s, e_f in itertools.product(range(sc.layers), range(n), range(n)):
        F, S = size / n * (fast * n + e_f + 0.5), size / n * (slow * n + e_s + 0.5)
        P = F * fast_axis + S * slow_axis + step * layer * normal + origin
        R = float(np.linalg.norm(P))
        d = P / R
        omega = 1 / R**2 if sc.point_pixel else size**2 / R**2 * close / R
        rho = float(d @ normal)
        kappa = math.exp(-layer * w_mu / rho) - math.exp(-(layer + 1) * w_mu / rho) if sc.has_sensor else 1.0
        if (layer, e_s, e_f) == (0, 0, 0):
            omega_c = omega
        if (e_s, e_f) == (0, 0):
            kappa_c = kappa
        angles += omega if sc.per_term_omega else omega_c
        for i, wavelength, weight in zip(incident, wavelengths, weights, strict=True):
            S_vector = (d - i) / wavelength
            c = float(i @ d)
            B = unit(np.cross(axis, i))
            E = unit(np.cross(i, B))
            polar = 0.5 * (1 + c * c - K * (float(d @ E) ** 2 - float(d @ B) ** 2)) if sc.polarized else 1.0
            exact += kappa * polar * omega * weight / (n * n * len(incident))
            length = float(np.linalg.norm(S_vector))
            if sc.dmin > 0 and length > 0 and sc.dmin > 1 / length:
                continue
            if polar_c == 0.0:
                polar_c = polar
            terms.append((S_vector, weight, omega, polar, kappa))
    values = lattice(torch.tensor(np.array([t[0] for t in terms])).reshape(-1, 3)).tolist()
    for value, (_, weight, omega, polar, kappa) in zip(values, terms, strict=True):
        value *= weight
        value *= omega if sc.per_term_omega else omega_c
        value *= polar if sc.per_term_polar else polar_c
        value *= kappa if sc.per_term_thick else kappa_c
        total += value
    background = exact if sc.background == "exact" else kappa_c * polar_c * omega_c
    return total, background, angles, len(terms)


def compare(sc: PixelScene) -> np.ndarray:
    """Number of kept samples per pixel, once everything else agrees."""
    found = accumulate(sc, PIXELS, lattice)
    rows = np.array([one_pixel(sc, int(p)) for p in PIXELS])
    np.testing.assert_allclose(found.total.numpy(), rows[:, 0], rtol=1e-12)
    np.testing.assert_allclose(found.background.numpy(), rows[:, 1], rtol=1e-12)
    np.testing.assert_allclose(found.solid_angle.numpy(), rows[:, 2], rtol=1e-12)
    return rows[:, 3]


SWITCHES = list(itertools.product((False, True), repeat=3))
PER_TERM = {"omega": "per_term_omega", "polar": "per_term_polar", "thick": "per_term_thick"}


def switched(sc: PixelScene, switches: tuple[bool, ...]) -> PixelScene:
    return replace(sc, **dict(zip(PER_TERM.values(), switches, strict=True)))


@pytest.mark.parametrize("switches", SWITCHES)
def test_first_and_last_and_per_term(switches):
    """Ω of the first sub-pixel and layer, p of the first sample, κ of the first sub-pixel of the last layer."""
    compare(switched(scene(), switches))


@pytest.mark.parametrize("switches", SWITCHES)
def test_dmin_moves_the_cached_polarization_to_the_first_sample_that_survives(switches):
    kept = compare(switched(scene(dmin=5.0), switches))
    samples = 3 * 4 * 3
    assert (kept == 0).any()
    assert ((kept > 0) & (kept < samples)).any()


def test_a_pixel_that_dmin_cuts_as_a_whole_loses_its_background():
    """Deviation D54."""
    sc = scene(dmin=5.0)
    found = accumulate(sc, PIXELS, lattice)
    cut = compare(sc) == 0
    assert not found.background.numpy()[cut].any()
    assert not found.total.numpy()[cut].any()
    assert found.background.numpy()[~cut].all()
    assert accumulate(replace(sc, background="exact"), PIXELS, lattice).background.numpy().all()
    assert accumulate(replace(sc, polarized=False), PIXELS, lattice).background.numpy().all()


@pytest.mark.parametrize("switches", SWITCHES)
def test_polarization_off_is_one_whatever_the_switches(switches):
    """Deviation D07: -nopolar wins over -oversample_polar."""
    off = scene(polarized=False)
    compare(switched(off, switches))
    per_term, cached = (accumulate(replace(off, per_term_polar=s), PIXELS, lattice).total for s in (True, False))
    torch.testing.assert_close(per_term, cached, rtol=1e-14, atol=0)


@pytest.mark.parametrize("switches", SWITCHES)
def test_without_a_sensor_the_captured_fraction_is_one(switches):
    """Deviation D08."""
    compare(switched(scene(has_sensor=False, layers=1, layer_step=real(0.0)), switches))


@pytest.mark.parametrize("switches", SWITCHES)
def test_point_pixels_and_weights(switches):
    compare(switched(scene(point_pixel=True, weight=vector((0.4, 1.8, 0.8))), switches))


@pytest.mark.parametrize("switches", SWITCHES)
def test_the_exact_background_is_the_mean_of_every_term(switches):
    """Deviations F, D29 and D54: dmin and the cached factors have no part in it."""
    compare(switched(scene(background="exact", dmin=5.0, weight=vector((0.4, 1.8, 0.8))), switches))


def test_a_polarization_of_exactly_zero_gives_way_to_the_next():
    """specs: intensity 5. Straight along the field of a fully polarized beam the factor is 0."""
    sc = scene(
        origin=vector((-0.005, -0.005, 0.06)),
        fast=vector((1.0, 0.0, 0.0)),
        slow=vector((0.0, 1.0, 0.0)),
        normal=vector((0.0, 0.0, 1.0)),
        close_distance=real(0.06),
        pixel_size=real(0.01),
        pixels_f=1,
        oversample=1,
        layers=1,
        has_sensor=False,
        incident=normalise(torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.5], [1.0, 0.0, 0.2]], dtype=torch.float64)),
        polarization_factor=real(1.0),
    )
    factors = [
        accumulate(replace(sc, incident=sc.incident[q : q + 1]), PIXELS[:1], lattice).background.item()
        for q in range(3)
    ]
    assert factors[0] == 0.0
    assert factors[1] > factors[2] > 0.0
    assert accumulate(sc, PIXELS[:1], lattice).background.item() == factors[1]


def test_every_pixel_is_independent_of_its_neighbours():
    sc = switched(scene(dmin=5.0), (True, True, True))
    whole = accumulate(sc, PIXELS, lattice)
    for some in (PIXELS[3:4], PIXELS[[7, 2, 11]], PIXELS.flip(0)):
        part = accumulate(sc, some, lattice)
        for a, b in zip(part, whole, strict=True):
            assert torch.equal(a, b[some])


def test_without_water_there_is_no_background():
    assert accumulate(scene(background="none"), PIXELS, lattice).background is None
