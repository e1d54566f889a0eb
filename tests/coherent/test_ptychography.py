"""The forward model of ptychography: photons, a sum written out, derivatives, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, InputError, settle
from nanobrag_torch.coherent.ptychography import (
    FarField,
    Noise,
    check_positions,
    check_scan,
    counted,
    far_field,
    intensities,
)

REAL, COMPLEX = torch.float64, torch.complex128


def fields(size: int = 8, shape: tuple[int, int] = (14, 13), modes: int = 2):
    generator = torch.Generator().manual_seed(1)
    target = torch.randn(*shape, generator=generator, dtype=COMPLEX)
    line = torch.arange(size, dtype=REAL) - size / 2
    blob = torch.exp(-(line[:, None] ** 2 + line**2) / (size / 2))
    probe = blob * torch.randn(modes, size, size, generator=generator, dtype=COMPLEX)
    return target, probe


def test_photons_of_a_frame_are_those_of_its_exit_waves():
    _, probe = fields()
    phase = torch.exp(1j * torch.randn(14, 13, generator=torch.Generator().manual_seed(2), dtype=REAL))
    frames = intensities(phase, probe, torch.tensor([[2.0, 3.0], [0.0, 5.0]], dtype=REAL))
    photons = float((probe.abs() ** 2).sum())
    assert frames.sum((1, 2)).numpy() == pytest.approx(np.full(2, photons), rel=1e-12)


def test_it_is_the_sum_written_out():
    """Probe and transform as sums over cosines in numpy, at a place between pixels."""
    target, probe = fields()
    place = np.array([2.3, 1.6])
    whole, size = np.round(place).astype(int), 8
    rest = place - whole
    line = np.arange(size)
    wave = np.exp(-2j * np.pi * np.outer(line, line) / size)
    f = np.fft.fftfreq(size)
    ramps = [np.exp(-2j * np.pi * f * r) for r in rest]
    expected = np.zeros((size, size))
    for mode in probe.numpy():
        moved = wave.conj() @ ((wave @ mode @ wave) * np.outer(*ramps)) @ wave.conj() / size**2
        patch = target.numpy()[whole[0] : whole[0] + size, whole[1] : whole[1] + size]
        expected += np.abs(wave @ (moved * patch) @ wave / size) ** 2
    found = intensities(target, probe, torch.tensor(place)[None])[0]
    assert np.fft.ifftshift(found.numpy()) == pytest.approx(expected, rel=1e-10)


def test_a_position_is_where_the_object_is():
    """Moving the object by a pixel and the position with it changes nothing; a plane object knows no position."""
    target, probe = fields()
    here = intensities(target, probe, torch.tensor([[2.4, 1.2]], dtype=REAL))
    there = intensities(target.roll((1, 2), (0, 1)), probe, torch.tensor([[3.4, 3.2]], dtype=REAL))
    assert torch.allclose(here, there, rtol=1e-10)


def test_gradients():
    target, probe = fields(4, (7, 7))
    metres = torch.tensor([[1.1e-7, 0.6e-7], [0.42e-7, 1.33e-7]], dtype=REAL, requires_grad=True)
    distance, wavelength = (torch.tensor(x, dtype=REAL, requires_grad=True) for x in (2.0, 1.5))

    def frames(target, probe, scaled, distance, wavelength):
        field = FarField(4, wavelength * 1e-10, distance, torch.tensor(1e-3, dtype=REAL))
        return intensities(target, probe, scaled * 1e-7 / field.object_pixel)

    scaled = (metres.detach() * 1e7).requires_grad_()
    inputs = (target.requires_grad_(), probe.requires_grad_(), scaled, distance, wavelength)
    assert torch.autograd.gradcheck(frames, inputs, eps=1e-6, atol=1e-5)


def experiment(**detector):
    said = {"pixels_f": 64, "pixels_s": 64, "pixel_mm": 0.1, "distance_mm": 2000.0} | detector
    return settle(
        Config(
            crystal=CrystalConfig(cell_a=50.0, default_F=1.0, Na=1, Nb=1, Nc=1),
            beam=BeamConfig(wavelength_A=1.5),
            detector=DetectorConfig(**said),
        ),
        physics="exact",
    )


def test_geometry_of_the_core():
    scene = experiment()
    field = far_field(scene.beam, scene.detector)
    assert float(field.object_pixel) == pytest.approx(1.5e-10 * 2.0 / (64 * 1e-4), rel=1e-12)


@pytest.mark.parametrize(
    ("detector", "words"),
    [
        ({"rotx_deg": 0.0, "roty_deg": 3.0}, "rotation: the detector is tilted by 3.00 degrees"),
        ({"pixels_f": 32}, "pixels: 64 x 32; cut a square"),
        ({"curved": True}, "curved: a curved detector"),
    ],
)
def test_detectors_it_refuses(detector, words):
    scene = experiment(**detector)
    with pytest.raises(InputError, match=words):
        far_field(scene.beam, scene.detector)
    twice = scene.detector.replace(panels=scene.detector.panels * 2)
    with pytest.raises(InputError, match="panels: 2 of them"):
        far_field(scene.beam, twice)


def disc(diameter: float, size: int = 64) -> torch.Tensor:
    line = torch.arange(size, dtype=REAL) - size / 2
    return ((line[:, None] ** 2 + line**2).sqrt() < diameter / 2).to(COMPLEX)[None]


@pytest.mark.parametrize(
    ("diameter", "step", "distance", "words"),
    [
        (40, 5, 2.0, "probe: a diameter of 39.8 .* under-sampled"),
        (20, 12, 2.0, "positions: neighbouring places overlap by 39 % under a probe of 19.7 pixels; scan in steps"),
        (20, 3, 1e6, "distance: .* is not far"),
    ],
)
def test_scans_it_refuses(diameter, step, distance, words):
    numbers = (torch.tensor(x, dtype=REAL) for x in (1.5e-10, distance, 1e-4))
    grid = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0)).to(REAL) * step
    with pytest.raises(InputError, match=words):
        check_scan(FarField(64, *numbers), disc(diameter), grid, (128, 128))


def test_positions_outside():
    with pytest.raises(InputError, match="frame 1 at \\(9.00, 1.00\\) pixels reaches out"):
        check_positions(torch.tensor([[1.0, 1.0], [9.0, 1.0]]), 8, (14, 14))
    with pytest.raises(InputError, match="reaches out"):
        check_positions(torch.tensor([[math.nan, 1.0]]), 8, (14, 14))


def test_noise_belongs_to_the_frame():
    expected = torch.full((3, 40, 40), 50.0, dtype=REAL)
    noise = Noise(seed=5, readout=2.0)
    found = counted(expected, 0, noise)
    assert torch.equal(found[1:], counted(expected[1:], 1, noise))
    assert float(found.var()) == pytest.approx(54.0, rel=0.1)
    assert float(counted(expected, 0, replace(noise, readout=0.0)).frac().abs().max()) == 0.0
