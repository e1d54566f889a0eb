"""Crystals of whole cells against images of the C program: tilted detectors, phi steps and oversampling together.

The image files hold single precision, so a comparison with them stops at half a unit in the last place. The trace of a
pixel has all 17 digits.
"""

from __future__ import annotations

import subprocess
import warnings

import numpy as np
import pytest
import torch

from nanobrag_torch import settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.coherent.crystal import array_image
from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.parity.golden import Case, experiment_of

LINE = (
    "-cell 60 65 70 85 100 95 -misset 11 22 33 -Na 5 -Nb 4 -Nc 6 -default_F 100 -lambda 1.0 -distance 90 "
    "-detpixels_x 24 -detpixels_y 20 -pixel 1.5 -detector_rotx 5 -detector_roty -7 -detector_rotz 3 -twotheta 8 "
    "-oversample 2 -phi 5 -osc 1 -phisteps 3 -nonoise"
)
PIXELS = ((3, 4), (0, 0), (19, 23), (10, 12), (7, 18), (15, 2))
GOLDEN = ("conv_mosflm_rotxyz", "conv_custom_pivot_sample", "xtal_N_aniso", "xtal_phi_sweep", "samp_over2")


def beyond_rounding(found: np.ndarray, image: np.ndarray) -> float:
    """Largest difference over the peak, less half a unit in the last place of the image's single precision."""
    apart = np.abs(found - image.astype(float)) - 0.5 * np.spacing(image).astype(float)
    return float(apart.max() / image.max())


@pytest.fixture(scope="module")
def drawn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        experiment = settle(parse(LINE.split()), "nanobragg")
    return array_image(experiment, torch.ones(5, 4, 6, dtype=torch.float64)).numpy()


def test_traced_pixels(drawn, c_program, tmp_path):
    if not c_program.is_reference:
        pytest.skip("only the project's own C program traces pixels")
    for slow, fast in PIXELS:
        words = [str(c_program.path), *LINE.split(), "-trace_pixel", str(slow), str(fast)]
        told = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        (value,) = (float(line.split()[2]) for line in told.splitlines() if " pixel.I_pixel_final " in line)
        assert value > 0
        assert abs(drawn[slow, fast] - value) <= 1e-9 * value
    image = np.fromfile(tmp_path / "floatimage.bin", np.float32).reshape(drawn.shape)
    assert beyond_rounding(drawn, image) <= 1e-9


def test_a_crystal_that_lacks_a_cell_is_another_image(drawn):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        experiment = settle(parse(LINE.split()), "nanobragg")
    weights = torch.ones(5, 4, 6, dtype=torch.float64)
    weights[2, 1, 3] = 0.0
    assert np.abs(array_image(experiment, weights).numpy() - drawn).max() > 1e-3 * drawn.max()


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_images(name: str, copied_cases: dict[str, Case]):
    case = copied_cases[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        experiment = experiment_of(case)
    image = case.expected()
    pixels = torch.arange(0, image.size, 7)
    cells = tuple(round(float(n)) for n in experiment.crystal.N)
    found = array_image(experiment, torch.ones(cells, dtype=torch.float64), pixels).numpy()
    assert beyond_rounding(found, image.reshape(-1)[pixels.numpy()]) <= 1e-9
