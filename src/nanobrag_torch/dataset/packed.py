"""The labels of many images as plain columns, and back; what HDF5 and Zarr shards share. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.dataset.images import Sample

Columns = dict[str, NDArray[Any]]

START = "reflections_start"
"""Row at which an image's reflections begin, and one more for the end."""
TEXT = "text_"
"""Begins the name of a column of texts: UTF-8 bytes [n, width], filled up with 0."""


def packed(samples: Sequence[Sample]) -> Columns:
    """Everything but what is as large as an image: numbers, parameters and reflections of all images."""
    found: Columns = {"number": np.array([sample.number for sample in samples], dtype=np.int64)}
    for name in samples[0].parameters:
        values = [sample.parameters[name] for sample in samples]
        if isinstance(values[0], str):
            found[f"parameters/{TEXT}{name}"] = _bytes(values)
        else:
            found[f"parameters/{name}"] = np.asarray(values)
    counts = [len(next(iter(sample.reflections.values()), ())) for sample in samples]
    found[START] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    for name in samples[0].reflections:
        found[f"reflections/{name}"] = np.concatenate([sample.reflections[name] for sample in samples])
    return found


def unpacked(columns: Columns, place: int, image: NDArray[Any], extra: dict[str, NDArray[Any]]) -> Sample:
    """The sample at a place."""
    start, end = (int(x) for x in columns[START][place : place + 2])
    parameters: dict[str, Any] = {}
    reflections: Columns = {}
    for name, values in columns.items():
        group, _, own = name.partition("/")
        if group == "reflections":
            reflections[own] = values[start:end]
        elif group == "parameters" and own.startswith(TEXT):
            parameters[own.removeprefix(TEXT)] = bytes(values[place]).rstrip(b"\0").decode()
        elif group == "parameters":
            parameters[own] = values[place].tolist()
    return Sample(int(columns["number"][place]), image, reflections, parameters, extra)


def _bytes(texts: Sequence[str]) -> NDArray[np.uint8]:
    raw = [text.encode() for text in texts]
    width = max(map(len, raw), default=1) or 1
    return np.frombuffer(b"".join(line.ljust(width, b"\0") for line in raw), dtype=np.uint8).reshape(len(raw), width)
