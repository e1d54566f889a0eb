"""Many variants at once: each is what `put` would make, with gradients; and what does not fit is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nanobrag_torch import Simulator, StructureFactors
from nanobrag_torch.errors import InputError
from nanobrag_torch.models.quantities import QUANTITIES

NAMES = [
    "misset", "cell_lengths", "N", "mosaic_spread", "fluence", "water", "wavelength", "distance", "beam_centre", "phi",
]  # fmt: skip


def some(experiment, names, count, seed=0):
    """Values near those of an experiment."""
    generator = torch.Generator().manual_seed(seed)
    starts = {name: QUANTITIES[name].take(experiment).detach() for name in names}
    return {
        name: start * (1 + 0.05 * torch.rand(count, *start.shape, generator=generator, dtype=torch.float64))
        for name, start in starts.items()
    }


def put(experiment, variants, number):
    for name, values in variants.items():
        experiment = QUANTITIES[name].put(experiment, values[number])
    return experiment


@pytest.mark.parametrize("physics", ["nanobragg", "exact"])
@pytest.mark.parametrize("water", [0.0, 5.0])
def test_each_variant_is_the_image_of_its_own_experiment(small_scene, physics, water):
    experiment = small_scene(physics, crystal={"water_um": water})
    names = [name for name in NAMES if water or name != "water"]
    variants = some(experiment, names, 4)
    (images,) = Simulator(experiment).run_many(variants)
    (single,) = Simulator(experiment, dtype="float32").run_many(variants, out_dtype=torch.float32)
    assert images.shape == (4, 16, 20)
    assert single.dtype == torch.float32
    for number in range(4):
        alone = Simulator(put(experiment, variants, number)).run().values[0].reshape(16, 20)
        assert (images[number] - alone).abs().max() <= 1e-14 * alone.max()
        assert (single[number] - alone).norm() <= 1e-5 * alone.norm()


@pytest.mark.parametrize("physics", ["nanobragg", "exact"])
def test_gradients_are_those_of_one_after_another(small_scene, physics):
    experiment = small_scene(physics)
    variants = {name: values.requires_grad_() for name, values in some(experiment, NAMES, 3).items()}
    (images,) = Simulator(experiment).run_many(variants)
    weights = torch.rand(images.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found = torch.autograd.grad((images * weights).sum(), list(variants.values()))
    loss = torch.zeros((), dtype=torch.float64)
    for number in range(3):
        alone = Simulator(put(experiment, variants, number), backend="reference").run().values[0]
        loss = loss + (alone * weights[number].reshape(-1)).sum()
    expected = torch.autograd.grad(loss, list(variants.values()))
    for name, a, b in zip(variants, found, expected, strict=True):
        assert (a - b).norm() <= 1e-8 * b.norm(), name


def test_amplitudes_vary_and_have_gradients_shared_or_not(small_scene):
    experiment = small_scene(crystal={"water_um": 0.0})
    values = 100.0 + torch.rand(5, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shared = values.clone().requires_grad_()
    table = StructureFactors(shared, (-2, -2, -2), torch.tensor(7.0, dtype=torch.float64))
    experiment = experiment.replace(crystal=experiment.crystal.replace(structure_factors=table))
    turns = some(experiment, ["misset"], 3)
    (images,) = Simulator(experiment).run_many(turns)
    (by_shared,) = torch.autograd.grad(images.sum(), shared)
    own = torch.stack([values] * 3).requires_grad_()
    (again,) = Simulator(experiment).run_many({**turns, "amplitudes": own})
    (by_own,) = torch.autograd.grad(again.sum(), own)
    assert torch.equal(images, again)
    assert (by_own.sum(0) - by_shared).norm() <= 1e-12 * by_shared.norm()


def test_regions_panels_and_the_plain_definition(small_scene):
    experiment = small_scene(sampling={"roi": (3, 9, 2, 12)})
    near = experiment.detector.panel
    panels = (near, near.replace(distance=near.distance * 1.5))
    experiment = experiment.replace(detector=experiment.detector.replace(panels=panels))
    variants = some(experiment, ["misset", "wavelength"], 2)
    images = Simulator(experiment).run_many(variants)
    plain = Simulator(experiment, backend="reference").run_many(variants)
    assert len(images) == 2
    for number in range(2):
        alone = Simulator(put(experiment, variants, number)).run()
        for panel in range(2):
            whole = torch.zeros(16, 20, dtype=torch.float64)
            whole[2:13, 3:10] = alone.values[panel].reshape(11, 7)
            assert (images[panel][number] - whole).abs().max() <= 1e-14 * whole.max()
            assert torch.equal(images[panel][number] == 0, whole == 0)
            assert (plain[panel][number] - whole).norm() <= 1e-10 * whole.norm()


@hypothesis_settings(max_examples=10, deadline=None)
@given(count=st.integers(1, 9), threads=st.integers(1, 3), seed=st.integers(0, 99))
def test_an_image_does_not_depend_on_its_company(small_scene, count, threads, seed):
    experiment = small_scene()
    variants = some(experiment, ["misset", "fluence"], count, seed)
    (images,) = Simulator(experiment).run_many(variants)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        last = {name: values[-1:] for name, values in variants.items()}
        assert torch.equal(Simulator(experiment).run_many(last)[0][0], images[-1])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({}, "no quantity is named"),
        ({"missset": torch.zeros(2, 3)}, "missset: it is not a quantity"),
        ({"misset": torch.zeros(3, dtype=torch.float64)}, r"give \[B, 3\] of torch.float64"),
        ({"misset": torch.zeros(2, 3)}, "of torch.float32"),
        ({"misset": torch.zeros(2, 3).double(), "phi": torch.zeros(3).double()}, "the same number of each"),
    ],
)
def test_what_does_not_fit_is_refused(small_scene, variants, message):
    with pytest.raises(InputError, match=message):
        Simulator(small_scene()).run_many(variants)
