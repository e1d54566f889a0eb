"""Crystals as arrays: the square shape, Friedel's law, displaced cells summed one by one, derivatives."""

from __future__ import annotations

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
from nanobrag_torch.coherent.crystal import array_image, cell_weights, fractional, lattice_intensity
from nanobrag_torch.physics.accumulate import scattering, sub_pixel
from nanobrag_torch.pipeline.render import lattice_of, pixel_scene

REAL = torch.float64


def scene(pixels: int = 12, oversample: int = 2, phi_steps: int = 3, cells=(4, 5, 6), **said):
    return settle(
        Config(
            crystal=CrystalConfig(
                cell_a=40.0,
                cell_b=50.0,
                cell_c=60.0,
                cell_beta=100.0,
                Na=cells[0],
                Nb=cells[1],
                Nc=cells[2],
                default_F=100.0,
                shape="square",
                misset_deg=said.pop("misset_deg", (5.0, 10.0, 15.0)),
            ),
            beam=BeamConfig(wavelength_A=said.pop("wavelength_A", 1.3), fluence=1e24),
            detector=DetectorConfig(
                pixels_f=pixels,
                pixels_s=pixels,
                pixel_mm=0.2,
                distance_mm=said.pop("distance_mm", 60.0),
                rotx_deg=7.0,
                roty_deg=-4.0,
                twotheta_deg=8.0,
            ),
            sampling=SamplingConfig(oversample=oversample, osc_deg=0.5, phi_steps=phi_steps),
        ),
        physics="exact",
    )


def test_whole_cells_are_the_square_shape():
    experiment = scene(20)
    wanted = Simulator(experiment).run().array
    found = array_image(experiment, torch.ones(4, 5, 6, dtype=REAL))
    assert float((found - wanted).abs().max()) <= 1e-12 * float(wanted.max())
    in_pieces = array_image(experiment, torch.ones(4, 5, 6, dtype=REAL), memory=100_000)
    assert torch.allclose(in_pieces, found, rtol=1e-12)


def test_real_weights_obey_friedels_law_and_complex_ones_do_not():
    generator = torch.Generator().manual_seed(1)
    indices = torch.rand(50, 3, generator=generator, dtype=REAL) - 0.5
    weights = torch.rand(1, 4, 3, 5, generator=generator, dtype=REAL).to(torch.complex128)
    there, back = lattice_intensity(indices, weights), lattice_intensity(-indices, weights)
    assert torch.allclose(there, back, rtol=1e-12)
    twisted = weights * torch.exp(2j * torch.rand(weights.shape, generator=generator, dtype=REAL))
    assert not torch.allclose(lattice_intensity(indices, twisted), lattice_intensity(-indices, twisted), rtol=1e-2)


def test_the_same_displacement_everywhere_changes_nothing():
    experiment = scene()
    moved = cell_weights((1, 2, 3), torch.tensor([0.3, -0.2, 0.17], dtype=REAL).expand(4, 5, 6, 3))
    whole = array_image(experiment, torch.ones(4, 5, 6, dtype=REAL))
    assert float((array_image(experiment, moved) - whole).abs().max()) <= 1e-13 * float(whole.max())


def test_displaced_cells_are_those_summed_one_by_one():
    """At a reflection, cells at their displaced places with the phase exp(2πi S·r) each, in numbers of the lab."""
    experiment = scene(1, oversample=1, phi_steps=1)
    panel_scene = pixel_scene(experiment, 0)
    S = scattering(panel_scene, sub_pixel(panel_scene, torch.arange(1), 0, (0, 0)), 0)
    direct = lattice_of(experiment.crystal, True).direct
    hkl = tuple(float(x) for x in (S @ direct.T)[0])
    generator = torch.Generator().manual_seed(2)
    u = 3.0 * torch.rand(4, 5, 6, 3, generator=generator, dtype=REAL)
    weights = cell_weights(hkl, fractional(u, experiment))
    places = torch.stack(torch.meshgrid(*(torch.arange(float(n), dtype=REAL) for n in (4, 5, 6)), indexing="ij"), -1)
    brute = torch.exp(2j * torch.pi * ((places @ direct + u) @ S[0])).sum().abs() ** 2
    found = lattice_intensity(S @ direct.T, weights[None])
    assert float(found) == pytest.approx(float(brute), rel=1e-10)
    assert float(lattice_intensity(S @ direct.T, weights.conj()[None])) != pytest.approx(float(brute), rel=1e-3)


def test_modes_add_their_intensities():
    experiment = scene(8)
    generator = torch.Generator().manual_seed(3)
    modes = torch.rand(2, 4, 5, 6, generator=generator, dtype=REAL)
    apart = array_image(experiment, modes[0]) + array_image(experiment, modes[1])
    assert torch.allclose(array_image(experiment, modes), apart, rtol=1e-12)


def assert_gradients(image, inputs):
    """gradcheck of an image in units of its first value, so that the absolute tolerance is small."""
    first = image(*inputs).detach()[0]
    parts = torch.autograd.grad(image(*inputs).sum() / first, inputs)
    assert min(float(part.abs().max()) for part in parts) > 1e-3
    assert torch.autograd.gradcheck(lambda *x: image(*x) / first, inputs, eps=1e-6, atol=1e-6, rtol=1e-5)


def test_gradients():
    pixels = torch.tensor([5, 18, 31])
    generator = torch.Generator().manual_seed(4)
    u = (0.2 * torch.rand(2, 2, 3, 3, generator=generator, dtype=REAL)).requires_grad_()
    occupancy = (0.5 + torch.rand(2, 2, 3, generator=generator, dtype=REAL)).requires_grad_()
    begin = [torch.tensor(x, dtype=REAL, requires_grad=True) for x in (60.0, 1.3, 5.0)]

    def image(u, occupancy, distance, wavelength, angle):
        experiment = scene(
            6,
            1,
            2,
            (2, 2, 3),
            distance_mm=distance,
            wavelength_A=wavelength,
            misset_deg=torch.stack([angle, 2 * angle, 3 * angle]),
        )
        return array_image(experiment, cell_weights((1, 0, 2), u, occupancy), pixels)

    inputs = (u, occupancy, *begin)
    assert_gradients(image, inputs)


@pytest.mark.parametrize("modes", [(), (2,)])
def test_gradients_by_complex_weights(modes):
    """Every real and imaginary part, through phi steps, sub-pixels and modes, and in chunks of one pixel."""
    pixels = torch.tensor([5, 18, 31])
    generator = torch.Generator().manual_seed(6)
    weights = torch.randn(*modes, 2, 2, 3, generator=generator, dtype=torch.complex128).requires_grad_()
    experiment = scene(6, 2, 2, (2, 2, 3))

    def image(weights):
        return array_image(experiment, weights, pixels, memory=1)

    assert_gradients(image, (weights,))


def test_a_gradient_by_complex_weights_is_that_of_the_sum_written_out():
    """d|Σ w e|²/d conj(w) = e* Σ w e, twice in torch's convention."""
    generator = torch.Generator().manual_seed(7)
    weights = torch.randn(2, 3, 2, generator=generator, dtype=torch.complex128, requires_grad=True)
    index = torch.tensor([[0.31, -0.22, 0.13]], dtype=REAL)
    lattice_intensity(index, weights[None]).sum().backward()
    places = torch.stack(
        torch.meshgrid(*(torch.arange(n, dtype=REAL) - (n - 1) / 2 for n in (2, 3, 2)), indexing="ij"), -1
    )
    wave = torch.exp(2j * torch.pi * (places @ index[0]))
    with torch.no_grad():
        assert torch.allclose(weights.grad, 2 * wave.conj() * (weights * wave).sum(), rtol=1e-12)


def test_a_uniform_displacement_has_no_gradient():
    experiment = scene(6, 1, 2, (2, 2, 3))
    u = torch.rand(2, 2, 3, 3, generator=torch.Generator().manual_seed(8), dtype=REAL).mul(0.2).requires_grad_()
    image = array_image(experiment, cell_weights((1, 0, 2), u), torch.tensor([5, 18, 31]))
    (found,) = torch.autograd.grad(image.sum(), u)
    assert float(found.abs().max()) > 1e-3 * float(image.detach().sum())
    assert float(found.sum((0, 1, 2)).abs().max()) <= 1e-12 * float(found.abs().sum())


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (torch.ones(4, 5, 7), r"weights: their shape is \[4, 5, 7\]; give \[4, 5, 6\]"),
        (torch.zeros(4, 5, 6), "all are zero"),
        (torch.full((4, 5, 6), float("nan")), "not finite"),
    ],
)
def test_refusals(weights, words):
    with pytest.raises(InputError, match=words):
        array_image(scene(4), weights)
