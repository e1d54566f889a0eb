"""Images for training: every number once, whoever makes it; targets where the table says."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from nanobrag_torch import FileFormatError, InputError
from nanobrag_torch.dataset import DiffractionDataset, Sample, SimulatedDiffraction, image_tensor, spot_map
from nanobrag_torch.dataset.images import Maker
from nanobrag_torch.dataset.main import main
from nanobrag_torch.dataset.reading import read_population
from nanobrag_torch.dataset.training import SHARDS_OPEN, sample_list


def number_and_sum(sample):
    return sample.number, int(sample.image.sum())


def same(one, other):
    assert (one.number, one.parameters) == (other.number, other.parameters)
    assert np.array_equal(one.image, other.image)
    for name, values in other.reflections.items():
        assert np.array_equal(one.reflections[name], values), name


def test_a_stored_set_is_read_by_number(write, tmp_path):
    path = write(("images: 3", "images: 2"))
    assert main(["make", str(path), "-o", str(tmp_path / "set")]) == 0
    stored = DiffractionDataset(tmp_path / "set")
    assert len(stored) == 7
    made = list(Maker(read_population(path)).samples(range(7)))
    for number in (6, 0, 3):
        same(stored[number], made[number])
    same(stored[-1], made[6])
    with pytest.raises(IndexError, match="image 7 of 7"):
        stored[7]
    same(pickle.loads(pickle.dumps(stored))[2], made[2])
    shuffled = DataLoader(DiffractionDataset(tmp_path / "set", number_and_sum), 3, True, collate_fn=sample_list)
    assert sorted(x for batch in shuffled for x in batch) == [number_and_sum(s) for s in made]


def test_few_files_stay_open(write, tmp_path):
    path = write(
        ("images: 7", "images: 10"), ("images: 3", "images: 1"), ("masks: true, noise_free: true", "radius: 1")
    )
    assert main(["make", str(path), "-o", str(tmp_path / "set")]) == 0
    stored = DiffractionDataset(tmp_path / "set", lambda sample: sample.number)
    assert [stored[i] for i in range(10)] == list(range(10))
    assert len(stored._open) == SHARDS_OPEN
    assert stored[0] == 0


def test_an_incomplete_set_is_refused(write, tmp_path):
    with pytest.raises(FileFormatError):
        DiffractionDataset(tmp_path)
    assert main(["make", str(write()), "-o", str(tmp_path / "set")]) == 0
    manifest = tmp_path / "set" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
    with pytest.raises(FileFormatError, match="start `nb-dataset make` again"):
        DiffractionDataset(tmp_path / "set")


@pytest.mark.parametrize(("ranks", "workers"), [(1, 1), (1, 3), (2, 1), (3, 4)])
def test_every_number_is_made_by_one(write, ranks, workers):
    population = read_population(write())
    for epoch in (0, 2):
        found = []
        for rank in range(ranks):
            one = SimulatedDiffraction(population, 29, first=100, rank=rank, ranks=ranks)
            one.set_epoch(epoch)
            for worker in range(workers):
                found += one.numbers(worker, workers)
        assert sorted(found) == list(range(100 + 29 * epoch, 129 + 29 * epoch))


def test_lengths_of_ranks_add_up(write):
    population = read_population(write())
    parts = [SimulatedDiffraction(population, 29, rank=rank, ranks=3) for rank in range(3)]
    assert [len(part) for part in parts] == [10, 10, 9]
    assert [len(part.numbers()) for part in parts] == [10, 10, 9]


def test_simulated_images_are_those_that_are_stored(write):
    population = read_population(write())
    made = list(Maker(population).samples(range(5)))
    for one, other in zip(SimulatedDiffraction(population, 3, first=2), made[2:], strict=True):
        same(one, other)
    loader = DataLoader(SimulatedDiffraction(population, 5, transform=number_and_sum), 2, collate_fn=sample_list)
    assert [x for batch in loader for x in batch] == [number_and_sum(s) for s in made]


def test_loader_processes_make_each_image_once(write):
    population = read_population(write(("masks: true, noise_free: true", "radius: 1")))
    expected = {number_and_sum(s) for s in Maker(population).samples(range(7))}
    simulated = SimulatedDiffraction(population, transform=number_and_sum)
    found = [x for batch in DataLoader(simulated, 2, num_workers=2, collate_fn=sample_list) for x in batch]
    assert len(found) == 7
    assert set(found) == expected


@pytest.mark.parametrize("wrong", [{"images": 0}, {"first": -1}, {"rank": 2, "ranks": 2}, {"rank": -1}])
def test_numbers_that_make_no_sense(write, wrong):
    with pytest.raises(InputError):
        SimulatedDiffraction(read_population(write()), **wrong)


def test_tensors_and_targets():
    table = {
        "panel": np.array([0, 0, 1]),
        "fast": np.array([3.99, 0.0, 4.2]),
        "slow": np.array([0.5, 2.0, 1.99]),
        "expected": np.array([9.0, 1.0, 4.0]),
    }
    image = np.arange(30, dtype=np.uint16).reshape(2, 3, 5)
    two = Sample(0, image, table, {})
    assert torch.equal(image_tensor(two), torch.arange(30.0).reshape(2, 3, 5))
    assert torch.nonzero(spot_map(two)).tolist() == [[0, 0, 3], [0, 2, 0], [1, 1, 4]]
    assert torch.nonzero(spot_map(two, 4.0)).tolist() == [[0, 0, 3], [1, 1, 4]]
    one = Sample(0, image[0], {name: values[:2] for name, values in table.items()}, {})
    assert image_tensor(one).shape == spot_map(one).shape == (1, 3, 5)
