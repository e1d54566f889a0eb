"""Arrays and statistics of an image (specs: intensity 7; deviations, D39, D40, D49, D50)."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from nanobrag_torch import Experiment, Image, Simulator, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import NanobragWarning

LINE = (
    "-default_F 100 -cell 40 45 50 -N 4 -detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 -lambda 1.2 "
    "-misset 10 20 30 -oversample 2 -dump none.bin "
)


def experiment(line: str = LINE, physics: str = "nanobragg") -> Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(parse(line.split()), physics)


def with_mask(scene: Experiment, seed: int = 1, **sampling) -> Experiment:
    mask = np.random.default_rng(seed).random((16, 20)) > 0.25
    return scene.replace(sampling=scene.sampling.replace(masks=(mask,), **sampling))


def naive(image: Image) -> tuple[float, tuple[float, float], float, float, float]:
    """max_I, its place, mean, rms and rmsd by loops over the float32 array, as specs/intensity.md 7 has them."""
    scene, (array,) = image.experiment, image.numpy()
    xmin, xmax, ymin, ymax = scene.sampling.roi
    masks = scene.sampling.masks
    n, m, total, squares = 0, 0, 0.0, 0.0
    largest, place = 0.0, (0.0, 0.0)
    side, sub = scene.sampling.oversample, float(scene.detector.panel.pixel_size) / scene.sampling.oversample
    inside = [(j, i) for j in range(16) for i in range(20) if ymin <= j <= ymax and xmin <= i <= xmax]
    for j, i in inside:
        m += 1
        if masks is not None and not masks[0][j, i]:
            continue
        x = float(array[j, i])
        n, total, squares = n + 1, total + x, squares + x * x
        if x > largest:
            largest = x
            place = sub * (i * side + side - 1) + sub / 2, sub * (j * side + side - 1) + sub / 2
    mean = total / n
    deviation = sum((float(array[j, i]) - mean) ** 2 for j, i in inside)
    return largest, place, mean, math.sqrt(squares / max(n - 1, 1)), math.sqrt(deviation / max(m - 1, 1))


@pytest.mark.parametrize("roi", [(0, 20, 0, 16), (3, 10, 5, 12), (3, 999, 5, 999), (7, 7, 3, 3)])
@pytest.mark.parametrize("masked", [False, True])
def test_statistics_are_those_of_plain_loops(roi, masked):
    scene = experiment().replace(roi=roi)
    image = Simulator(with_mask(scene, seed=2) if masked else scene).run()
    found, expected = image.statistics(), naive(image)
    assert found.max_I == expected[0]
    assert found.max_at == pytest.approx(expected[1])
    assert found[2:5] == pytest.approx(expected[2:], rel=1e-12, abs=1e-12)
    assert found.solid_angle is None


def test_masked_pixels_count_as_zero_in_rmsd_only():
    """Deviation D40; the exact mode leaves them out."""
    faithful = Simulator(with_mask(experiment())).run().statistics()
    exact = Simulator(with_mask(experiment(physics="exact"))).run()
    values = exact.values[0].to(torch.float32).numpy().astype(np.float64)
    assert exact.statistics().rmsd == pytest.approx(values.std(ddof=1))
    assert faithful.mean == pytest.approx(values.mean(), rel=1e-3)
    assert faithful.rmsd < exact.statistics().rmsd


def made(array: np.ndarray, scene: Experiment | None = None) -> Image:
    return Image(scene or experiment(), (torch.from_numpy(array.ravel()),), (None,))


def test_of_equal_largest_values_the_first_in_raster_order_counts():
    """Deviation D49."""
    array = np.zeros((16, 20))
    array[5, 3] = array[5, 9] = array[9, 1] = 7.0
    found = made(array).statistics()
    assert found.max_I == 7.0
    assert found.max_at == pytest.approx((3.75 * 0.0004, 5.75 * 0.0004))


def test_an_image_without_a_positive_value_has_no_largest_one():
    for array in (np.zeros((16, 20)), np.full((16, 20), -3.0)):
        found = made(array).statistics()
        assert (found.max_I, found.max_at) == (0.0, (0.0, 0.0))


def test_squares_do_not_overflow():
    """Deviation D50."""
    found = made(np.full((16, 20), 1e25)).statistics()
    assert found.rms == pytest.approx(1e25 * math.sqrt(320 / 319))


def test_values_are_rounded_to_single_precision_first():
    value = 1.0 + 2.0**-30
    assert made(np.full((16, 20), value)).statistics().max_I == 1.0


def true_solid_angle() -> float:
    """Of a rectangle of 8 x 6.4 mm at 60 mm, hit one pixel off its middle (specs: geometry 4)."""

    def corner(x: float, y: float, d: float = 60.0) -> float:
        return math.atan2(x * y, d * math.sqrt(x * x + y * y + d * d))

    return sum(corner(x, y) for x in (4.4, 3.6) for y in (3.6, 2.8))  # from the beam to the edges


def test_the_exact_mode_reports_the_true_solid_angle():
    """Deviations F, D39; of a thick sensor the mean over its layers, which lie a little further away."""
    for added in ("", "-phisteps 3 -osc 1 ", "-detector_thick 100 -detector_abs 300 ", "-hdivrange 5 "):
        found = Simulator(experiment(LINE + added, "exact")).run(solid_angle=True).statistics()
        assert found.solid_angle == pytest.approx(true_solid_angle(), rel=2e-3 if "thick" in added else 1e-5)


def test_the_faithful_mode_divides_by_steps_and_multiplies_by_layers():
    """Deviation D39."""
    plain = Simulator(experiment()).run(solid_angle=True).statistics().solid_angle
    assert plain == pytest.approx(true_solid_angle(), rel=1e-2)
    for added, factor in (("-phisteps 3 -osc 1 ", 1 / 3), ("-hdivrange 5 ", 1 / 2), ("-thicksteps 4 ", 4)):
        line = LINE + added + ("-detector_thick 1 -detector_abs 300 " if "thick" in added else "")
        found = Simulator(experiment(line)).run(solid_angle=True).statistics().solid_angle
        assert found == pytest.approx(factor * plain, rel=1e-9)


def test_the_solid_angle_counts_rendered_pixels_only():
    whole = Simulator(experiment()).run(solid_angle=True).statistics().solid_angle
    masked = Simulator(with_mask(experiment())).run(solid_angle=True)
    share = len(masked.values[0]) / 320
    assert masked.statistics().solid_angle == pytest.approx(share * whole, rel=1e-2)


def test_pixels_that_were_not_rendered_are_zero():
    scene = experiment()
    chosen = torch.tensor([[3, 4], [0, 19]])
    image = Simulator(scene).run(chosen)
    assert image.array.shape == (16, 20)
    assert int((image.array != 0).sum()) == 2
    assert image.array[3, 4] == image.values[0][0]
    assert image.array[0, 19] == image.values[0][1]


def test_arrays_for_files_are_single_precision_and_out_of_the_graph():
    wavelength = torch.tensor(1.2, dtype=torch.float64, requires_grad=True)
    image = Simulator(experiment().replace(wavelength=wavelength)).run()
    (array,) = image.numpy()
    assert array.dtype == np.float32
    assert np.array_equal(array, image.array.detach().numpy().astype(np.float32))


def test_backward_is_of_the_sum_or_of_a_product():
    grads = []
    weights = torch.rand(16, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for gradient in (None, torch.ones(16, 20, dtype=torch.float64), weights):
        wavelength = torch.tensor(1.2, dtype=torch.float64, requires_grad=True)
        Simulator(experiment().replace(wavelength=wavelength)).run().backward(gradient)
        grads.append(wavelength.grad.item())
    assert grads[0] == pytest.approx(grads[1], rel=1e-12)
    assert grads[2] != pytest.approx(grads[0], rel=1e-3)
