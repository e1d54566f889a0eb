"""specs: deviations F, D27: the width of a spot along each axis is what the number of cells makes it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nanobrag_torch.kernels.lattice_sum import lattice_sum
from nanobrag_torch.pipeline.render import lattice_of, pixel_scene
from nanobrag_torch.pipeline.simulator import Simulator

CRYSTAL = {"cell_a": 40.0, "cell_b": 60.0, "cell_c": 90.0, "Na": 24, "Nb": 10, "Nc": 14}
FAR = {"wavelength_A": 1.0, "distance_mm": 1000.0, "pixel_mm": 0.01, "pixels_f": 401, "pixels_s": 401}
WIDTHS = {"square": 0.886, "gauss": 2.0 * math.sqrt(0.63 * math.log(2.0) / 2.0), "tophat": 1.26}


def full_width(x, y):
    """Full width at half maximum of a profile with one peak inside, by linear interpolation."""
    half = y.max() / 2.0
    above = np.flatnonzero(y >= half)
    first, last = above[0], above[-1]
    left = np.interp(half, y[first - 1 : first + 1], x[first - 1 : first + 1])
    right = np.interp(-half, -y[last : last + 2], x[last : last + 2])
    return right - left


def image_width(scene, shape, axis):
    """Width of the direct-beam spot along a* (0), b* (1) or c* (2), in units of the index."""
    turned = {0: (0.0, 0.0, 90.0), 1: (0.0, 0.0, 0.0), 2: (0.0, 0.0, 0.0)}[axis]
    experiment = scene("exact", shape=shape, misset_deg=turned, **CRYSTAL, **FAR)
    along = torch.arange(401)
    middle = torch.full_like(along, 201)
    pixels = torch.stack([middle, along] if axis == 2 else [along, middle], dim=1)
    profile = Simulator(experiment).run(pixels).values[0].numpy()
    edge = CRYSTAL[("cell_a", "cell_b", "cell_c")[axis]]
    per_pixel = FAR["pixel_mm"] / FAR["distance_mm"] / FAR["wavelength_A"] * edge
    return full_width(along.numpy() * per_pixel, profile)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_widths_in_the_image_are_one_over_the_count(scene, axis):
    count = CRYSTAL[("Na", "Nb", "Nc")[axis]]
    widths = {shape: image_width(scene, shape, axis) for shape in WIDTHS}
    for shape, width in widths.items():
        assert width * count == pytest.approx(WIDTHS[shape], rel=0.02), shape
    assert widths["gauss"] == pytest.approx(widths["square"], rel=0.1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_widths_of_a_triclinic_crystal(scene, axis):
    """Along a reciprocal axis of a skew cell only that axis' count matters."""
    counts = (31.0, 8.0, 15.0)
    fields = {"cell_alpha": 75.0, "cell_beta": 98.0, "cell_gamma": 110.0, "Na": 31, "Nb": 8, "Nc": 15}
    for shape, expected in WIDTHS.items():
        experiment = scene("exact", shape=shape, misset_deg=(5.0, 6.0, 7.0), **fields)
        problem = pixel_scene(experiment, 0)
        step = torch.linspace(-0.2, 0.2, 4001, dtype=torch.float64)
        S = step[:, None] * lattice_of(experiment.crystal, exact=True).reciprocal[axis]
        table = problem.structure_factors
        rest = {name: getattr(problem, name) for name in ("shape", "reciprocal", "fudge", "radius")}
        profile = lattice_sum(S, problem.A, problem.N, table, interpolation=False, **rest).numpy()
        assert full_width(step.numpy(), profile) * counts[axis] == pytest.approx(expected, rel=0.01), shape


def test_fudge_still_narrows(scene, render):
    wide, narrow = (render("exact", shape="gauss", fudge=fudge, misset_deg=(10.0, 20.0, 30.0)) for fudge in (1.0, 4.0))
    assert narrow.sum() < wide.sum()
