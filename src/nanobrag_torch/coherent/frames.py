"""Measured far-field frames, in memory or read from a file as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.hdf5_files import check_size, open_hdf5, read_entry


class Frames(Protocol):
    """Frames of photons [count, size, size], the direct beam at pixel size/2."""

    count: int
    size: int

    def read(self, numbers: Sequence[int]) -> Tensor:
        """Frames [B, size, size] in double of ascending numbers [B]."""


class MemoryFrames:
    """Frames that are in memory: [count, size, size]."""

    def __init__(self, counts: Tensor) -> None:
        if counts.dim() != 3 or counts.shape[1] != counts.shape[2] or not min(counts.shape):
            raise InputError("frames", f"their shape is {list(counts.shape)}", "give [frames, size, size], not empty")
        self.counts = counts
        self.count, self.size = int(counts.shape[0]), int(counts.shape[1])

    def read(self, numbers: Sequence[int]) -> Tensor:
        """Frames [B, size, size] in double."""
        return self.counts[list(numbers)].to(torch.float64)


class FileFrames:
    """Frames of a data set in an HDF5 file, read by hyperslabs; nothing is kept. A context manager."""

    def __init__(self, path: str, dataset: str) -> None:
        import h5py

        self.path, self.dataset = path, dataset
        self.file = open_hdf5(path, cache_bytes=1 << 20)
        if dataset not in self.file:
            self.file.close()
            raise FileFormatError(path, dataset, "there is no such data set")
        self.data = self.file[dataset]
        if not isinstance(self.data, h5py.Dataset) or self.data.dtype.kind not in "biuf":
            self.file.close()
            raise FileFormatError(path, dataset, "it is not a data set of real numbers")
        shape = self.data.shape
        if len(shape) != 3 or shape[1] != shape[2] or not min(shape):
            self.file.close()
            raise FileFormatError(path, dataset, f"its shape is {list(shape)}, not [frames, size, size]")
        self.count, self.size = int(shape[0]), int(shape[1])
        try:
            check_size(path, self.data, 1)
        except FileFormatError:
            self.file.close()
            raise

    def read(self, numbers: Sequence[int]) -> Tensor:
        """Frames [B, size, size] in double."""
        found = np.empty((len(numbers), self.size, self.size))
        for row, number in enumerate(numbers):
            found[row] = read_entry(self.path, self.data, number)
        return torch.from_numpy(found)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> FileFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def batches(count: int, size: int, generator: torch.Generator | None = None) -> Iterator[list[int]]:
    """All numbers below `count` in ascending batches; which are together is drawn by the generator, if there is one."""
    order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
    for some in torch.split(order, size):
        yield sorted(some.tolist())


def checked_sum(frames: Frames, mask: Tensor, batch: int = 32) -> Tensor:
    """Photons [N, N] of all frames together, looking at every one.

    Raises:
        InputError: a frame has values that are not finite where it is not masked, or no photon there.
    """
    if tuple(mask.shape) != (frames.size, frames.size):
        raise InputError("mask", f"its shape is {list(mask.shape)}", f"give [{frames.size}, {frames.size}]")
    if not bool(mask.any()):
        raise InputError("mask", "every pixel is masked", "leave some pixels")
    total = torch.zeros(frames.size, frames.size, dtype=torch.float64)
    for numbers in batches(frames.count, batch):
        read = frames.read(numbers)
        good = torch.where(mask, read, 0.0)
        if not bool(torch.isfinite(good).all()):
            number = numbers[int((~torch.isfinite(good)).flatten(1).any(1).nonzero()[0])]
            raise InputError("frames", f"frame {number} has values that are not finite", "mask those pixels")
        if bool((good.flatten(1).sum(1) <= 0).any()):
            number = numbers[int((good.flatten(1).sum(1) <= 0).nonzero()[0])]
            raise InputError("frames", f"frame {number} has no photon outside the mask", "leave it out")
        total = total + good.sum(0)
    return total
