"""Diffuse scattering from correlated displacements, against its law worked out pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nanobrag_torch import (
    DetectorConfig,
    InputError,
    Simulator,
    settle,
)
from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.pipeline.render import pixel_scene

MOVED = {"diffuse_sigma_A": (0.4, 0.2, 0.3), "diffuse_gamma_A": (90.0, 70.0, 110.0)}


def test_diffuse_scattering_is_added_to_the_spots(imperfect):
    """Against the law in indices, worked out here from the matrix of the crystal, pixel by pixel."""
    scene = settle(imperfect.crystal(**MOVED))
    extra = imperfect.values(imperfect.crystal(**MOVED)) - imperfect.values(imperfect.crystal())
    core = pixel_scene(settle(imperfect.scene), 0)
    A = core.A[0].numpy()
    frame = imperfect.frame_of(imperfect.scene)
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


def test_no_displacement_draws_the_ideal_crystal_exactly(imperfect):
    still = imperfect.values(imperfect.crystal(diffuse_sigma_A=(0.0, 0.0, 0.0), diffuse_gamma_A=(90.0, 70.0, 110.0)))
    assert np.array_equal(still, imperfect.values(imperfect.crystal()))


def test_diffuse_scattering_has_the_symmetry_of_its_group(imperfect):
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
        config = replace(
            imperfect.crystal(**square, **right, diffuse_gamma_A=(60.0, 60.0, 80.0), **said), detector=detector
        )
        plain = replace(imperfect.crystal(**square, **right), detector=detector)
        return imperfect.values(config) - imperfect.values(plain)

    one = extra(diffuse_sigma_A=(0.5, 0.1, 0.3))
    both = extra(diffuse_sigma_A=(0.5, 0.1, 0.3), diffuse_group="P422")
    turned = extra(diffuse_sigma_A=(0.1, 0.5, 0.3))
    assert np.abs(one - turned).max() > 0.1 * one.max()
    assert np.abs(both - 0.5 * (one + turned)).max() < 1e-9 * both.max()


def test_diffuse_gradients(imperfect):
    pixels = torch.tensor([[3, 4], [15, 22], [28, 9]])

    def photons(s1, s2, s3, g1, g2, g3, a):
        config = imperfect.crystal(cell_a=a, diffuse_sigma_A=(s1, s2, s3), diffuse_gamma_A=(g1, g2, g3), shape="gauss")
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
def test_refused_displacements(said, field, words, imperfect):
    with pytest.raises(InputError, match=words) as refused:
        settle(imperfect.crystal(**said))
    assert refused.value.field == field
