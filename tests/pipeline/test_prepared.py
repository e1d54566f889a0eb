"""A simulator reuses what it settled: the same bits, nothing stale, nothing where a gradient is asked for."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from nanobrag_torch import Simulator, StructureFactors
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.pipeline import prepared, render
from nanobrag_torch.pipeline.jacobian import columns, rows_of


@pytest.fixture
def counted(monkeypatch):
    """How often a crystal's orientations were formed since the test began."""
    calls = []

    def lattice_of(*given):
        calls.append(given)
        return whole(*given)

    whole = render.lattice_of
    monkeypatch.setattr(render, "lattice_of", lattice_of)
    return calls


def image(simulator):
    return torch.cat([panel.detach().reshape(-1) for panel in simulator.run().panels])


def two_panels(experiment):
    near = experiment.detector.panel
    panels = near, near.replace(distance=near.distance * 1.5)
    return experiment.replace(detector=experiment.detector.replace(panels=panels))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_second_run_settles_nothing_and_gives_the_same_bits(small_scene, counted, dtype):
    simulator = Simulator(small_scene(), dtype=dtype)
    first = image(simulator)
    before = len(counted)
    assert torch.equal(image(simulator), first)
    assert len(counted) == before
    assert torch.equal(image(Simulator(small_scene(), dtype=dtype)), first)


def test_panels_share_one_crystal(small_scene, counted):
    simulator = Simulator(two_panels(small_scene()))
    simulator._table_checked = True
    simulator.run()
    assert len(counted) == 1


WRITES = {
    "misset": lambda e: e.crystal.misset.add_(0.01),
    "distance": lambda e: e.detector.panel.distance.mul_(1.1),
    "fluence": lambda e: e.beam.fluence.mul_(2.0),
    "weights": lambda e: e.beam.weights.mul_(3.0),
    "water": lambda e: e.crystal.water.mul_(2.0),
    "phi": lambda e: e.scan.start.add_(0.01),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_tensor_that_is_written_to_is_seen(small_scene, name):
    experiment = copy.deepcopy(small_scene())
    simulator = Simulator(experiment)
    before = image(simulator)
    WRITES[name](experiment)
    after = image(simulator)
    assert not torch.equal(after, before)
    assert torch.equal(after, image(Simulator(experiment)))


def test_another_experiment_and_other_memory_are_seen(small_scene):
    experiment = copy.deepcopy(small_scene())
    simulator = Simulator(experiment)
    before = image(simulator)
    experiment.crystal.misset.data = experiment.crystal.misset + 0.01
    moved = image(simulator)
    assert torch.equal(moved, image(Simulator(experiment)))
    assert not torch.equal(moved, before)
    simulator.experiment = small_scene()
    assert torch.equal(image(simulator), before)


def test_a_tensor_that_begins_to_ask_for_a_gradient_gets_it_from_every_run(small_scene):
    experiment = copy.deepcopy(small_scene())
    simulator = Simulator(experiment)
    simulator.run()
    distance = experiment.detector.panel.distance.requires_grad_()
    found = []
    for _ in range(2):
        (slope,) = torch.autograd.grad(simulator.run().values[0].sum(), distance)
        found.append(slope)
    assert found[0] == found[1] != 0
    with torch.no_grad():
        distance.mul_(1.1)
    assert torch.equal(image(simulator), image(Simulator(experiment)))
    distance.requires_grad_(False)
    assert torch.equal(image(simulator), image(Simulator(experiment)))


def test_forward_mode_goes_through_a_prepared_simulator(small_scene):
    experiment = small_scene()
    simulator = Simulator(experiment)
    simulator.run()
    start = QUANTITIES["distance"].take(experiment)

    def values(distance):
        simulator.experiment = QUANTITIES["distance"].put(experiment, distance)
        return simulator.run().values[0]

    slope = torch.func.jacfwd(values)(start)
    simulator.experiment = experiment
    _, expected = simulator.jacobian(["distance"])
    assert (slope - expected[:, 0]).norm() <= 1e-10 * expected.norm()


def test_threads_share_a_simulator(small_scene):
    simulator, alone = Simulator(two_panels(small_scene())), Simulator(two_panels(small_scene()))
    expected = image(alone)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: image(simulator), range(32)))
    assert all(torch.equal(values, expected) for values in found)


def test_at_most_one_scene_of_each_precision_is_kept_and_none_that_is_too_large(small_scene, monkeypatch):
    simulator = Simulator(small_scene(), dtype="float32")
    for _ in range(3):
        simulator.experiment = small_scene()
        simulator.run()
        simulator.jacobian(["distance"])
    assert set(simulator._preparations._kept) == {torch.float32, torch.float64}
    expected = image(simulator)
    monkeypatch.setattr(prepared, "LARGEST_KEPT", 3)
    other = Simulator(small_scene(), dtype="float32")
    assert torch.equal(image(other), expected)
    assert not other._preparations._kept


def test_a_copy_and_a_pickle_begin_empty(small_scene):
    simulator = Simulator(small_scene())
    expected = image(simulator)
    for other in (copy.deepcopy(simulator), pickle.loads(pickle.dumps(simulator))):
        assert not other._preparations._kept
        assert torch.equal(image(other), expected)


@pytest.mark.parametrize("name", ["misset", "distance", "wavelength", "fluence", "amplitudes"])
def test_variants_take_what_they_do_not_touch_from_the_prepared_scene(small_scene, name, monkeypatch):
    experiment = small_scene() if name == "distance" else two_panels(small_scene())
    table = StructureFactors(
        100.0 + torch.rand(5, 5, 5, dtype=torch.float64), (-2, -2, -2), torch.tensor(7.0, dtype=torch.float64)
    )
    experiment = experiment.replace(crystal=experiment.crystal.replace(structure_factors=table))
    value = QUANTITIES[name].take(experiment)
    variants = {name: torch.stack([value, value * 1.01 + 1e-3])}
    simulator = Simulator(experiment)
    first, again = simulator.run_many(variants), simulator.run_many(variants)
    assert simulator._preparations._kept
    monkeypatch.setattr(prepared, "LARGEST_KEPT", -1)
    settled_whole = Simulator(experiment).run_many(variants)
    expected = [Simulator(QUANTITIES[name].put(experiment, one)).run().panels for one in variants[name]]
    for index, images in enumerate(first):
        assert torch.equal(images, again[index])
        assert torch.equal(images, settled_whole[index])
        torch.testing.assert_close(images, torch.stack([panels[index] for panels in expected]), rtol=1e-12, atol=0.0)


def test_two_backward_passes_give_the_columns_of_forward_mode():
    numbers = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)

    def outputs(x):
        return torch.outer(x, x).sin(), x[0] * x[1:].exp(), x.norm()

    leaf = numbers.clone().requires_grad_()
    made = [*outputs(leaf), torch.ones(4)]
    *rows, none = rows_of(made, leaf)
    assert none.shape == (0, 4)
    for row, column in zip(rows, columns(outputs, numbers), strict=True):
        torch.testing.assert_close(row, column.movedim(-1, 0), rtol=1e-14, atol=1e-15)
    assert rows_of([torch.ones(2, 3)], leaf)[0].shape == (0, 2, 3)
