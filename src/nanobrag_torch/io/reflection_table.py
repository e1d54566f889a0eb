"""The one table of predicted, observed and refined reflections, with the columns and conventions of DIALS.

Positions are (fast, slow, image): pixels from the outer corner of pixel (0, 0), so that its centre is (0.5, 0.5), and
images from the start of image 1 of the scan's own numbers (image n covers n - 1 to n). Millimetres are those on the
panel, angles of the spindle are radians. Intensities are counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


class Flag(IntFlag):
    """What the bits of the column `flags` mean (DIALS, reflection table)."""

    PREDICTED = 1 << 0
    OBSERVED = 1 << 1
    INDEXED = 1 << 2
    USED_IN_REFINEMENT = 1 << 3
    STRONG = 1 << 5
    REFERENCE_SPOT = 1 << 6
    DONT_INTEGRATE = 1 << 7
    INTEGRATED_SUM = 1 << 8
    INTEGRATED_PRF = 1 << 9
    OVERLOADED = 1 << 10
    OVERLAPPED_BG = 1 << 11
    OVERLAPPED_FG = 1 << 12
    FOREGROUND_INCLUDES_BAD_PIXELS = 1 << 14
    BACKGROUND_INCLUDES_BAD_PIXELS = 1 << 15
    USED_IN_MODELLING = 1 << 16
    CENTROID_OUTLIER = 1 << 17


@dataclass(frozen=True)
class Kind:
    """A type of columns: its name in files, the little-endian element, and the shape of a row."""

    name: str
    element: str
    shape: tuple[int, ...] = ()

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return np.dtype(self.element).itemsize * int(np.prod(self.shape, dtype=np.int64))


KINDS = {
    kind.name: kind
    for kind in (
        Kind("bool", "?"),
        Kind("int", "<i4"),
        Kind("std::size_t", "<u8"),
        Kind("double", "<f8"),
        Kind("vec2<double>", "<f8", (2,)),
        Kind("vec3<double>", "<f8", (3,)),
        Kind("mat3<double>", "<f8", (9,)),
        Kind("int6", "<i4", (6,)),
        Kind("cctbx::miller::index<>", "<i4", (3,)),
    )
}
"""Every type of columns that is understood; others are kept as they come (`Opaque`)."""

COLUMNS = {
    "miller_index": "cctbx::miller::index<>",
    "id": "int",
    "imageset_id": "int",
    "panel": "std::size_t",
    "flags": "std::size_t",
    "entering": "bool",
    "bbox": "int6",
    "n_signal": "int",
    "d": "double",
    "s1": "vec3<double>",
    "rlp": "vec3<double>",
    "partiality": "double",
    "delpsical.rad": "double",
    "zeta": "double",
    "xyzobs.px.value": "vec3<double>",
    "xyzobs.px.variance": "vec3<double>",
    "xyzobs.mm.value": "vec3<double>",
    "xyzobs.mm.variance": "vec3<double>",
    "xyzcal.px": "vec3<double>",
    "xyzcal.mm": "vec3<double>",
    "intensity.sum.value": "double",
    "intensity.sum.variance": "double",
    "intensity.prf.value": "double",
    "intensity.prf.variance": "double",
    "background.mean": "double",
    "background.sum.value": "double",
    "background.sum.variance": "double",
}
"""Types of the columns that have a meaning here, and in DIALS."""


@dataclass(frozen=True)
class Opaque:
    """A column of a type that is not understood (shoeboxes, strings), as it stands in its file."""

    kind: str
    data: bytes


@dataclass(frozen=True)
class ReflectionTable:
    """Reflections as columns of equal length.

    Args:
        columns: arrays [n, ...] by their names in DIALS; `COLUMNS` lists those with a meaning here, others are free.
        identifiers: name of the experiment behind each value of the column `id`.
        opaque: columns that are only passed on; a selection of rows drops them.

    Raises:
        ValueError: columns of different lengths, or of a shape that no type of `KINDS` has.
    """

    columns: Mapping[str, NDArray[Any]]
    identifiers: Mapping[int, str] = field(default_factory=dict)
    opaque: Mapping[str, Opaque] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of different lengths: {lengths}")
        object.__setattr__(self, "columns", {name: _as_kind(name, v) for name, v in self.columns.items()})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    @property
    def indices(self) -> NDArray[np.int32]:
        """Miller indices [n, 3]; (0, 0, 0) = not indexed."""
        return self.columns["miller_index"]

    @property
    def panel(self) -> Whole:
        """Number of the panel [n]."""
        return np.asarray(self.columns["panel"], dtype=np.int64)

    @property
    def experiment(self) -> Whole:
        """Number of the experiment [n]; -1 = none."""
        return np.asarray(self.columns["id"], dtype=np.int64)

    @property
    def flags(self) -> NDArray[np.uint64]:
        """Bits [n] of `Flag`; 0 where there is no such column."""
        return self.columns.get("flags", np.zeros(len(self), dtype=np.uint64))

    @property
    def observed(self) -> Floats:
        """Centroids [n, 3]: fast, slow (pixels), image."""
        return self.columns["xyzobs.px.value"]

    @property
    def predicted(self) -> Floats:
        """Predicted positions [n, 3]: fast, slow (pixels), image."""
        return self.columns["xyzcal.px"]

    @property
    def phi(self) -> Floats:
        """Predicted spindle angle [n], radians."""
        return self.columns["xyzcal.mm"][:, 2]

    @property
    def boxes(self) -> NDArray[np.int32]:
        """Bounding boxes [n, 6]: first and one past the last of fast, slow and image."""
        return self.columns["bbox"]

    def flagged(self, flag: Flag) -> NDArray[np.bool_]:
        """Whether every bit of `flag` is set [n]."""
        return np.asarray((self.flags & np.uint64(flag)) == np.uint64(flag))

    def indexed(self) -> NDArray[np.bool_]:
        """Whether a reflection belongs to an experiment and has indices [n]."""
        return np.asarray((self.experiment >= 0) & (self.indices != 0).any(axis=1))

    def select(self, rows: NDArray[np.bool_] | NDArray[np.integer[Any]]) -> ReflectionTable:
        """Some of the rows, by a mask [n] or their numbers."""
        return replace(self, columns={name: v[rows] for name, v in self.columns.items()}, opaque={})

    def with_columns(self, columns: Mapping[str, ArrayLike]) -> ReflectionTable:
        """With columns added or replaced."""
        return replace(self, columns={**self.columns, **{name: np.asarray(v) for name, v in columns.items()}})


def joined(tables: Sequence[ReflectionTable]) -> ReflectionTable:
    """Tables below each other, with the columns that all of them have.

    Raises:
        ValueError: no table, or one number of an experiment that stands for two names.
    """
    if not tables:
        raise ValueError("no table to join")
    identifiers: dict[int, str] = {}
    for table in tables:
        for number, name in table.identifiers.items():
            if identifiers.setdefault(number, name) != name:
                raise ValueError(f"experiment {number} is {identifiers[number]!r} in one table and {name!r} in another")
    names = [name for name in tables[0].columns if all(name in table for table in tables)]
    return ReflectionTable({name: np.concatenate([table[name] for table in tables]) for name in names}, identifiers)


def kind_of(name: str, values: NDArray[Any]) -> Kind:
    """The type of a column: that of its name in `COLUMNS`, or what its elements and shape say.

    Raises:
        ValueError: no type fits.
    """
    shape, element = values.shape[1:], values.dtype.kind
    if name in COLUMNS:
        kind = KINDS[COLUMNS[name]]
        if shape != kind.shape and not (kind.shape == (9,) and shape == (3, 3)):
            raise ValueError(f"column {name} has rows of shape {shape}, expected {kind.shape} ({kind.name})")
        return kind
    whole = {(): "std::size_t" if element == "u" else "int", (3,): "cctbx::miller::index<>", (6,): "int6"}
    real = {(): "double", (2,): "vec2<double>", (3,): "vec3<double>", (9,): "mat3<double>", (3, 3): "mat3<double>"}
    by_element: dict[str, dict[tuple[int, ...], str]] = {"b": {(): "bool"}, "i": whole, "u": whole, "f": real}
    found = by_element.get(element, {}).get(shape)
    if found is None:
        raise ValueError(f"column {name} has rows of shape {shape} and type {values.dtype}, which no table can hold")
    return KINDS[found]


def _as_kind(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    kind = kind_of(name, array)
    if array.dtype.kind == "f" and kind.element != "<f8":
        raise ValueError(f"column {name} holds real numbers, expected {kind.name}")
    return np.ascontiguousarray(array.reshape(len(array), *kind.shape), dtype=np.dtype(kind.element).newbyteorder("="))
