"""Images from which provably small terms were left out: never more than the tolerance, and with gradients to match."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobrag_torch import Simulator, StructureFactors
from nanobrag_torch.errors import BackendUnavailable, InputError, TableRangeWarning
from nanobrag_torch.kernels import cpu

pytestmark = pytest.mark.skipif(
    cpu.why_not(torch.device("cpu"), torch.float64, "square", False) is not None, reason="not built"
)

SHAPES = ("square", "round", "gauss", "tophat")


def with_table(experiment, seed, interpolate):
    """The experiment with random amplitudes, some of them negative, inside a table that does not reach everywhere."""
    generator = torch.Generator().manual_seed(seed)
    values = 100.0 * torch.randn(13, 11, 15, generator=generator, dtype=torch.float64)
    table = StructureFactors(values, (-6, -5, -7), torch.tensor(3.0, dtype=torch.float64))
    crystal = experiment.crystal.replace(structure_factors=table, interpolate=interpolate)
    return experiment.replace(crystal=crystal)


def brightest(image):
    return max(float(values.max()) for values in image.values)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    physics=st.sampled_from(("nanobragg", "exact")),
    lookup=st.sampled_from(("one F", "table", "interpolated")),
    curved=st.booleans(),
    samples=st.integers(1, 2),
    layers=st.integers(1, 2),
    size=st.tuples(st.integers(1, 40), st.integers(1, 30)),
    N=st.tuples(*[st.floats(0.6, 30.0)] * 3),
    distance=st.floats(20.0, 300.0),
    misset=st.tuples(*[st.floats(0.0, 90.0)] * 3),
    fraction=st.floats(1e-9, 2.0),
    seed=st.integers(0, 1000),
)
def test_no_pixel_loses_more(
    small_scene, shape, physics, lookup, curved, samples, layers, size, N, distance, misset, fraction, seed
):
    experiment = small_scene(
        physics,
        crystal={"shape": shape, "Na": N[0], "Nb": N[1], "Nc": N[2], "misset_deg": misset, "water_um": 0.0},
        detector={
            "curved": curved, "distance_mm": distance, "pixels_f": size[0], "pixels_s": size[1],
            "thickness_um": 300.0, "thick_steps": layers, "attenuation_depth_um": 500.0,
        },
        sampling={"oversample": samples},
    )  # fmt: skip
    if lookup != "one F":
        experiment = with_table(experiment, seed, lookup == "interpolated")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableRangeWarning)
        full = Simulator(experiment).run()
    tolerance = fraction * max(brightest(full), 1e-30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableRangeWarning)
        short = Simulator(experiment, tolerance=tolerance).run()
    for whole, rest in zip(full.values, short.values, strict=True):
        lost = whole - rest
        assert (lost >= -1e-12 * whole.abs() - 1e-300).all()
        assert (lost <= tolerance * (1 + 1e-9)).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_much_is_left_out(small_scene, shape, dtype):
    """A narrow spot lies in few tiles; what is left out is known by the exact zeros and the smaller sums."""
    experiment = small_scene(
        "exact",
        crystal={"shape": shape, "Na": 40.0, "Nb": 40.0, "Nc": 40.0, "water_um": 0.0},
        detector={"pixels_f": 160, "pixels_s": 120, "pixel_mm": 0.1},
    )
    full = Simulator(experiment, dtype=dtype).run().values[0]
    tolerance = 0.01 * float(full.max())
    short = Simulator(experiment, dtype=dtype, tolerance=tolerance).run().values[0]
    assert (short == 0).double().mean() > (0.05 if shape == "square" else 0.2)
    assert (full - short).max() <= tolerance


def test_everything_may_go(small_scene):
    experiment = small_scene(crystal={"water_um": 0.0})
    image = Simulator(experiment, tolerance=1e30).run(solid_angle=True)
    assert image.values[0].eq(0).all()
    whole = Simulator(experiment).run(solid_angle=True)
    assert image.solid_angle == whole.solid_angle


def test_a_background_stays(small_scene):
    experiment = small_scene()
    dark = experiment.replace(crystal=experiment.crystal.replace(structure_factors=StructureFactors.constant(0.0)))
    image = Simulator(experiment, tolerance=1e30).run().values[0]
    assert (image - Simulator(dark).run().values[0]).abs().max() <= 1e-12 * image.max()


def test_gradients_are_those_of_what_was_summed(small_scene):
    experiment = small_scene(
        "exact",
        crystal={"Na": 22.0, "Nb": 24.0, "Nc": 19.0, "water_um": 0.0},
        detector={"pixels_f": 70, "pixels_s": 50, "pixel_mm": 0.2},
    )
    full, whole = Simulator(experiment).jacobian(["misset", "distance"])
    simulator = Simulator(experiment, tolerance=3e-3 * float(full.max()))
    values, columns = simulator.jacobian(["misset", "distance"])
    assert torch.equal(simulator.run().values[0] == 0, values == 0)
    assert (values < full).any()
    assert not torch.equal(columns, whole)
    misset = experiment.crystal.misset.clone().requires_grad_()
    turned = experiment.replace(crystal=experiment.crystal.replace(misset=misset))
    image = Simulator(turned, tolerance=simulator.options.tolerance).run().values[0]
    weights = torch.linspace(-1.0, 1.7, len(image), dtype=torch.float64)
    (found,) = torch.autograd.grad((image * weights).sum(), misset)
    assert (found - columns[:, :3].T @ weights).norm() <= 1e-9 * found.norm()


def test_bits_do_not_depend_on_threads_or_on_reports(small_scene):
    experiment = small_scene(
        crystal={"Na": 12.0, "water_um": 0.0}, detector={"pixels_f": 70, "pixels_s": 90, "pixel_mm": 0.2}
    )
    tolerance = 1e-3 * brightest(Simulator(experiment).run())
    before, images = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            images.append(Simulator(experiment, tolerance=tolerance).run().values[0])
    finally:
        torch.set_num_threads(before)
    reported = Simulator(experiment, tolerance=tolerance).run(progress=lambda pixels: None).values[0]
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], reported)


def test_lists_of_pixels_and_variants_keep_to_it_too(small_scene):
    experiment = small_scene(
        crystal={"Na": 12.0, "water_um": 0.0}, detector={"pixels_f": 70, "pixels_s": 90, "pixel_mm": 0.2}
    )
    full = Simulator(experiment).run().values[0]
    tolerance = 1e-3 * float(full.max())
    simulator = Simulator(experiment, tolerance=tolerance)
    order = torch.randperm(6300, generator=torch.Generator().manual_seed(1))[:500]
    listed = simulator.run(torch.stack([order // 70, order % 70], dim=1)).values[0]
    assert ((full[order] - listed >= -1e-12 * full[order]) & (full[order] - listed <= tolerance)).all()
    fluence = experiment.beam.fluence * torch.tensor([1.0, 0.5], dtype=torch.float64)
    bright, half = simulator.run_many({"fluence": fluence})[0].reshape(2, -1)
    assert ((full - bright >= -1e-12 * full) & (full - bright <= tolerance)).all()
    assert (bright - 2 * half).abs().max() <= 1e-12 * bright.max()


def test_it_is_refused_where_nothing_keeps_to_it(small_scene):
    experiment = small_scene()
    for tolerance in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="tolerance"):
            Simulator(experiment, tolerance=tolerance)
    with pytest.raises(BackendUnavailable, match="tolerance"):
        Simulator(experiment, tolerance=1.0, backend="reference").run()
