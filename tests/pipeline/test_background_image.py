"""Backgrounds against an integration of their own: rings and materials, sensor layers, sources, absolute scale."""

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
from nanobrag_torch.config import Amorphous, BackgroundConfig, Incoherent
from nanobrag_torch.geometry.vectors import real

R_E2 = 7.94079248018965e-30
N_A = 6.02214179e23
TABLE = np.array([[0.0, 2.57], [0.1, 3.0], [0.16, 5.5], [0.2, 4.6], [0.35, 3.5], [1.0, 1.0]])
SCENE = Config(
    crystal=CrystalConfig(cell_a=50.0, Na=3, Nb=3, Nc=3, default_F=1e-9),
    beam=BeamConfig(wavelength_A=1.0, fluence=1e20, beamsize_mm=0.02, polarization_factor=0.7),
    detector=DetectorConfig(pixels_f=24, pixels_s=20, pixel_mm=0.5, distance_mm=20.0),
    sampling=SamplingConfig(oversample=1),
)


def values(config: Config) -> np.ndarray:
    return np.asarray(Simulator(settle(config)).run().array)


def with_background(**said: object) -> Config:
    return replace(SCENE, background=BackgroundConfig(**said))


def integral(config: Config, slow: int, fast: int, law, order: int = 24) -> float:
    """Photons of one pixel by Gauss-Legendre quadrature: law(stol, cos 2θ, p) is electrons² per area.

    The geometry is written out here: beam +x, square detector, MOSFLM beam centre at (n + 1)/2 pixels.
    """
    scene = settle(config)
    panel, beam = scene.detector.panel, scene.beam
    pixel, distance = float(panel.pixel_size), float(panel.distance)
    x, w = np.polynomial.legendre.leggauss(order)
    f = (fast + 0.5 + 0.5 * x) * pixel - float(panel.beam_centre[0])
    s = (slow + 0.5 + 0.5 * x) * pixel - float(panel.beam_centre[1])
    F, S = np.meshgrid(f, s)
    weight = np.outer(w, w) / 4.0
    position = np.stack([np.full_like(F, distance), -S, F], axis=-1)  # fast along z, slow along -y
    length = np.linalg.norm(position, axis=-1)
    cosine = position[..., 0] / length
    stol = np.sqrt((1 - cosine) / 2) / float(beam.wavelength)
    # vertical and horizontal of the polarization: axis z
    e, b = position[..., 2] / length, position[..., 1] / length
    p = 0.5 * (1 + cosine**2 - 0.7 * (e**2 - b**2))
    omega = pixel**2 * distance / length**3
    photons = float(beam.fluence) * (0.02e-3) ** 2
    return float(R_E2 * photons * (weight * omega * law(stol, cosine, p)).sum())


PIXELS = [(2, 3), (10, 16), (19, 23), (5, 20)]


def test_a_smooth_material_against_quadrature():
    """A table fine enough that its interpolation is the function: F = 3 exp(-2 s²) + 1, to 1e-6 of every pixel."""
    s = np.linspace(0, 1, 2001)
    table = np.stack([s, 3 * np.exp(-2 * s**2) + 1], axis=1)
    config = with_background(materials=(Amorphous(table, 0.2, 0.93, 18.0),))
    column = 0.2e-3 * 0.93e6 * N_A / 18.0
    config = replace(config, sampling=SamplingConfig(oversample=24))
    image = values(config)
    for slow, fast in PIXELS:
        law = lambda stol, cosine, p: column * p * (3 * np.exp(-2 * stol**2) + 1) ** 2  # noqa: E731
        expected = integral(config, slow, fast, law)
        assert image[slow, fast] == pytest.approx(expected, rel=1e-6)


def test_ice_rings_against_quadrature():
    """Radii and heights of the rings to 1e-6 of the highest pixel, on an absolute scale."""
    from nanobrag_torch.materials.ready import ice_rings

    radii, strengths, volume = ice_rings(0.6)
    column = 7e-6 * 1e30 / volume
    sigma = 0.03 / math.sqrt(8 * math.log(2))

    def law(stol, cosine, p):
        z = (2 * stol[..., None] - radii) / sigma
        profile = np.exp(-0.5 * z**2) / (sigma * math.sqrt(2 * math.pi)) * radii / (2 * stol[..., None])
        return column * p * (strengths * profile).sum(-1)

    config = with_background(ice_um=7.0, ice_width_invA=0.03)
    fine = replace(config.detector, pixels_f=300, pixel_mm=0.05)
    config = replace(config, detector=fine, sampling=SamplingConfig(oversample=32, roi=(230, 299, 10, 10)))
    image = values(config)[10]
    expected = np.array([integral(config, 10, fast, law, 8) for fast in range(230, 300)])
    assert np.abs(image[230:] - expected).max() < 1e-6 * expected.max()
    assert expected.max() > 10 * expected.min()


def test_compton_against_quadrature():
    from nanobrag_torch.materials.composition import composition

    atoms = composition("H2O")
    a, b, c = atoms.form_factor_terms()
    column = 0.3e-3 * 1e6 * N_A / atoms.mass

    def law(stol, cosine, p):
        recoiling = 0.0
        for i, (n, z) in enumerate(((2, 1), (1, 8))):
            f = (a[i] * np.exp(-b[i] * stol[..., None] ** 2)).sum(-1) + c[i]
            recoiling = recoiling + n * (z - np.minimum(f, z) ** 2 / z)
        ratio = 1 / (1 + 0.0242631 * (1 - cosine))
        return column * recoiling * ratio**2 * (p + 0.5 * (ratio + 1 / ratio - 2))

    config = with_background(compton=(Incoherent("H2O", 0.3, 1.0),))
    config = replace(config, sampling=SamplingConfig(oversample=40))
    image = values(config)
    for slow, fast in PIXELS:
        assert abs(image[slow, fast] - integral(config, slow, fast, law)) < 1e-6 * image.max()


def test_layers_capture_what_they_should():
    """With an attenuation depth as thick as the sensor the background falls by 1 - exp(-t/(d cos))."""
    config = with_background(materials=(Amorphous(TABLE, 0.1, 1.0, 18.0),))
    thick = replace(config.detector, thickness_um=300.0, attenuation_depth_um=300.0, thick_steps=1)
    bare, captured = values(config), values(replace(config, detector=thick))
    cosine = 20.0 / np.hypot(20.0, np.hypot(*np.meshgrid((np.arange(24) - 12.5) * 0.5, (np.arange(20) - 10.5) * 0.5)))
    assert np.abs(captured / bare - (1 - np.exp(-1 / cosine))).max() < 1e-12


def test_sources_are_a_mean():
    """A spectrum is the weighted mean of its wavelengths."""
    config = with_background(materials=(Amorphous(TABLE, 0.1, 1.0, 18.0),), air_mm=5.0)
    single = [values(replace(config, beam=replace(config.beam, wavelength_A=x))) for x in (0.95, 1.05)]
    scene = settle(config)
    two = scene.replace(
        source_positions=scene.beam.source_positions.repeat(2, 1),
        wavelength_ratios=real([0.95, 1.05]),
        weights=real([0.5, 1.5]),
    )
    image = np.asarray(Simulator(two).run().array)
    assert np.abs(image - (0.25 * single[0] + 0.75 * single[1])).max() < 1e-12 * image.max()


def test_materials_add_up_and_scale():
    slab = Amorphous(TABLE, 0.1, 1.0, 18.0)
    one = values(with_background(materials=(slab,)))
    both = values(with_background(materials=(slab, replace(slab, thickness_mm=0.2))))
    assert np.abs(both - 3 * one).max() < 1e-12 * both.max()


def test_measured_image_and_curve_are_added():
    image = np.arange(480.0).reshape(20, 24)
    bare = values(SCENE)
    assert np.abs(values(with_background(measured_image=image, measured_scale=0.5)) - bare - 0.5 * image).max() < 1e-12
    flat = values(with_background(curve=np.array([[0.0, 3.0], [1.0, 3.0]])))
    assert np.abs(flat - bare - 3.0).max() < 1e-12


@pytest.mark.parametrize("kind", ["stol", "q", "2theta"])
def test_curve_columns(tmp_path, kind):
    stol = np.linspace(0.0, 0.3, 31)
    first = {"stol": stol, "q": 4 * np.pi * stol, "2theta": np.degrees(2 * np.arcsin(stol))}[kind]
    np.savetxt(tmp_path / "c.txt", np.stack([first, 5 + 100 * stol], axis=1), header=f"{kind} photons")
    found = values(with_background(curve_file=str(tmp_path / "c.txt")))
    expected = values(with_background(curve=np.stack([stol, 5 + 100 * stol], axis=1)))
    assert np.abs(found - expected).max() < 1e-9


def test_chunks_change_nothing():
    config = with_background(materials=(Amorphous(TABLE, 0.1, 1.0, 18.0),), ice_um=1.0)
    scene = settle(config)
    whole = Simulator(scene).run().array
    assert torch.equal(whole, Simulator(scene, memory=64 * 640).run().array)
    pixels = torch.tensor([[3, 4], [19, 23]])
    assert torch.equal(Simulator(scene).run(pixels).values[0], whole[pixels[:, 0], pixels[:, 1]])


def test_gradients():
    pixels = torch.tensor([[3, 4], [10, 16], [19, 23]])

    def photons(thickness, density, ice, width, air, distance, wavelength):
        said = BackgroundConfig(
            materials=(Amorphous(TABLE, thickness, density, 18.0),),
            compton=(Incoherent("C8H8", thickness, density),),
            ice_um=ice,
            ice_width_invA=width,
            air_mm=air,
        )
        config = replace(
            SCENE,
            background=said,
            detector=replace(SCENE.detector, distance_mm=distance),
            beam=replace(SCENE.beam, wavelength_A=wavelength, fluence=1e13),
        )
        return Simulator(settle(config)).run(pixels).values[0]

    start = [real(x).requires_grad_() for x in (0.1, 1.1, 3.0, 0.04, 4.0, 20.0, 1.0)]
    assert torch.autograd.gradcheck(photons, start, rtol=1e-4)


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"materials": (Amorphous(np.array([[0.0, 1.0], [0.1, 1.0]]), 1.0, 1.0, 18.0),)}, "materials", "ends at"),
        ({"materials": (Amorphous(TABLE, -1.0, 1.0, 18.0),)}, "materials", "negative"),
        ({"materials": (Amorphous(TABLE, 1.0, 1.0, 0.0),)}, "materials", "molar mass"),
        ({"materials": (Amorphous(TABLE[::-1], 1.0, 1.0, 18.0),)}, "materials", "rising"),
        ({"compton": (Incoherent("Xq2", 1.0, 1.0),)}, "compton", "element"),
        ({"ice_um": -1.0}, "ice_um", "negative"),
        ({"ice_width_invA": 0.1}, "ice_width_invA", "no ice"),
        ({"ice_um": 1.0, "ice_width_invA": 0.0}, "ice_width_invA", "no width"),
        ({"measured_scale": 2.0}, "measured_scale", "no measured"),
        ({"measured_image": np.ones((3, 3))}, "measured_image", "3 x 3"),
        ({"curve": np.array([[0.0, 1.0], [0.05, 1.0]])}, "curve", "ends at"),
    ],
)
def test_refusals(said, field, words):
    with pytest.raises(InputError, match=words) as refused:
        settle(with_background(**said))
    assert refused.value.field == field


def test_a_beam_without_a_cross_section_is_refused():
    config = with_background(ice_um=1.0)
    with pytest.raises(InputError, match="cross-section"):
        settle(replace(config, beam=replace(config.beam, beamsize_mm=-1.0)))
