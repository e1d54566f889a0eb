"""Data sets for training: shards by number, and images that are made as they are asked for."""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from nanobrag_torch.dataset.images import Maker, Sample
from nanobrag_torch.dataset.making import read_manifest
from nanobrag_torch.dataset.population import Population
from nanobrag_torch.dataset.shards import Shard, open_shard
from nanobrag_torch.errors import FileFormatError, InputError

Transform = Callable[[Sample], Any]

SHARDS_OPEN = 8


class DiffractionDataset(Dataset[Any]):
    """A data set on disk, image by image.

    Args:
        folder: of `nb-dataset make`; it must be complete.
        transform: makes what training wants of a `Sample`; called in the process that loads.

    Raises:
        FileFormatError: there is no complete data set.
    """

    def __init__(self, folder: str | Path, transform: Transform | None = None) -> None:
        self.folder, self.transform = Path(folder), transform
        manifest = read_manifest(self.folder)
        if not manifest["complete"]:
            raise FileFormatError(folder, "", "the data set is not complete: start `nb-dataset make` again")
        self._files = [shard["file"] for shard in manifest["shards"]]
        self._ends = [shard["images"][1] for shard in manifest["shards"]]
        self._open: OrderedDict[int, Shard] = OrderedDict()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> Any:
        if number < 0:
            number += len(self)
        if not 0 <= number < len(self):
            raise IndexError(f"image {number} of {len(self)}")
        place = bisect.bisect_right(self._ends, number)
        first = 0 if place == 0 else self._ends[place - 1]
        sample = self._shard(place)[number - first]
        return sample if self.transform is None else self.transform(sample)

    def __getstate__(self) -> dict[str, Any]:
        """Without open files, which no other process can use."""
        return {**self.__dict__, "_open": OrderedDict()}

    def _shard(self, place: int) -> Shard:
        if place not in self._open:
            self._open[place] = open_shard(self.folder / self._files[place])
            if len(self._open) > SHARDS_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(place)
        return self._open[place]


class SimulatedDiffraction(IterableDataset[Any]):
    """Images of a population, made as they are asked for; never stored, never the same twice unless asked for again.

    Every worker of every rank makes numbers of its own: rank r of R with worker w of W makes n, n + RW, n + 2RW, ...
    of the epoch's numbers, beginning at n = first + rW + w.

    Args:
        population: what to make.
        images: numbers of one epoch over all ranks; by default the population's.
        first: number of the first image; keep others for validation.
        device: where images are rendered, `None` = processor.
        transform: makes what training wants of a `Sample`.
        rank: of this process, by default that of `torch.distributed`, or 0.
        ranks: how many processes there are.

    Raises:
        InputError: numbers that make no sense.
    """

    def __init__(
        self,
        population: Population,
        images: int | None = None,
        *,
        first: int = 0,
        device: str | None = None,
        transform: Transform | None = None,
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        self.population, self.device, self.transform = population, device, transform
        self.images, self.first = population.images if images is None else images, first
        self.rank, self.ranks = _place(rank, ranks)
        self.epoch = 0
        self._maker: Maker | None = None
        if self.images < 1 or first < 0:
            raise InputError("images", f"{self.images} from {first}", "give 1 or more, from 0 or more")

    def set_epoch(self, epoch: int) -> None:
        """Choose the numbers of an epoch: those behind the ones of all before it."""
        self.epoch = epoch

    def numbers(self, worker: int = 0, workers: int = 1) -> range:
        """The numbers that a worker of this rank makes."""
        start = self.first + self.epoch * self.images
        return range(start + self.rank * workers + worker, start + self.images, self.ranks * workers)

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        own = self.numbers() if info is None else self.numbers(info.id, info.num_workers)
        if self._maker is None:
            self._maker = Maker(self.population, self.device)
        for sample in self._maker.samples(own):
            yield sample if self.transform is None else self.transform(sample)

    def __len__(self) -> int:
        return len(range(self.rank, self.images, self.ranks))

    def __getstate__(self) -> dict[str, Any]:
        """Without what was prepared: every worker prepares for itself."""
        return {**self.__dict__, "_maker": None}


def image_tensor(sample: Sample) -> Tensor:
    """Counts as float32 [panels, slow, fast]."""
    image = torch.from_numpy(sample.image.astype(np.float32))
    return image if image.ndim == 3 else image[None]


def spot_map(sample: Sample, least_photons: float = 0.0) -> Tensor:
    """1 at the pixel of every listed reflection with at least so many expected photons, else 0; as `image_tensor`."""
    shape = sample.image.shape if sample.image.ndim == 3 else (1, *sample.image.shape)
    found = torch.zeros(shape)
    table = sample.reflections
    bright = table["expected"] >= least_photons
    places = (table["panel"].astype(np.int64), table["slow"].astype(np.int64), table["fast"].astype(np.int64))
    found[tuple(torch.from_numpy(place[bright]) for place in places)] = 1.0
    return found


def sample_list(samples: Sequence[Any]) -> list[Any]:
    """A batch as the list of its samples: `collate_fn` for samples that no tensor holds."""
    return list(samples)


def _place(rank: int | None, ranks: int | None) -> tuple[int, int]:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    ranks = (torch.distributed.get_world_size() if distributed else 1) if ranks is None else ranks
    rank = (torch.distributed.get_rank() if distributed else 0) if rank is None else rank
    if not 0 <= rank < ranks:
        raise InputError("rank", f"{rank} of {ranks}", "give 0 to one less than the number of ranks")
    return rank, ranks
