"""Reflections over an image: where they are predicted, and where they were observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.files import PathLike
from nanobrag_torch.io.reflection_table import Flag, ReflectionTable
from nanobrag_torch.view.pictures import Picture, Spots

PREDICTED, OBSERVED = "predicted", "observed"
COLUMNS = {PREDICTED: "xyzcal.px", OBSERVED: "xyzobs.px.value"}


@dataclass(frozen=True)
class Layer:
    """Reflections of one kind.

    Args:
        kind: `PREDICTED` or `OBSERVED`.
        places: [n, 3] fast, slow (pixels from the outer corner of the first), image (n - 1 to n on image n).
        images: [n, 2] first image, and one past the last, that show each, counted from 0.
        panel: [n].
        indices: [n, 3]; 0 0 0 where a reflection has none.
        still: whether the image says nothing, so that each is shown on every one.
    """

    kind: str
    places: NDArray[np.float64]
    images: NDArray[np.int64]
    panel: NDArray[np.int64]
    indices: NDArray[np.int64]
    still: bool = False

    def on(self, panel: int, image: int | None) -> Spots:
        """Those of a panel that an image shows, counted from 1; of all images for `None`."""
        chosen = self.panel == panel
        if image is not None and not self.still:
            chosen &= (self.images[:, 0] < image) & (image <= self.images[:, 1])
        return Spots(self.kind, self.places[chosen, :2], self.indices[chosen])


def layers_of(refl: PathLike | None, expt: PathLike | None, predict: bool) -> list[Layer]:
    """The layers of a reflection table, of a prediction, or of both; a prediction replaces that of the table.

    Raises:
        InputError: a prediction without an experiment, or a table without places.
        FileFormatError: a file that is not what it should be.
    """
    found: list[Layer] = []
    if predict:
        if expt is None:
            raise InputError("--predict", "no experiment is given", "add --expt FILE")
        found += _predicted(expt)
    if refl is not None:
        found += _stored(refl, (OBSERVED,) if predict else (OBSERVED, PREDICTED))
    return found


def with_reflections(pictures: Sequence[Picture], layers: Sequence[Layer], every: bool = False) -> list[Picture]:
    """The pictures with the reflections of their panel and image, or of every image."""
    return [
        replace(p, spots=tuple(layer.on(p.panel, None if every else p.frame) for layer in layers)) for p in pictures
    ]


def _predicted(expt: PathLike) -> list[Layer]:
    """One layer for each experiment; of a scan, each reflection on the images that its rocking curve touches."""
    from nanobrag_torch.io.expt_list import read_expt_list
    from nanobrag_torch.spots import predict, regions

    found = []
    for number, experiment in enumerate(read_expt_list(expt)):
        if experiment.crystal is None:
            raise InputError("--predict", f"experiment {number} of {expt} has no crystal", "give an indexed one")
        table = predict(experiment, number=number)
        found.append(
            _layer(table if experiment.still else regions(table, experiment).table, PREDICTED, experiment.still)
        )
    return found


def _stored(path: PathLike, kinds: Sequence[str]) -> list[Layer]:
    from nanobrag_torch.io.refl import read_refl

    table = read_refl(path)
    found = [_layer(table, kind) for kind in kinds if COLUMNS[kind] in table]
    if not found:
        names = " or ".join(COLUMNS[kind] for kind in kinds)
        raise InputError("--refl", f"{path} has no column {names}", "give a table of spots or predictions")
    return found


def _layer(table: ReflectionTable, kind: str, still: bool = False) -> Layer:
    if kind == PREDICTED and "flags" in table and table.flagged(Flag.PREDICTED).any():
        table = table.select(table.flagged(Flag.PREDICTED))
    places = np.asarray(table[COLUMNS[kind]], dtype=np.float64)
    finite = np.asarray(np.isfinite(places).all(axis=1))
    table, places = table.select(finite), places[finite]
    if "bbox" in table:
        images = np.asarray(table.boxes[:, 4:6], dtype=np.int64)
    else:
        first = np.floor(places[:, 2]).astype(np.int64)
        images = np.stack([first, first + 1], axis=1)
    none = np.zeros((len(places), 3), dtype=np.int64)
    indices = table.indices.astype(np.int64) if "miller_index" in table else none
    panel = table.panel if "panel" in table else np.zeros(len(places), dtype=np.int64)
    return Layer(kind, places, images, panel, indices, still)
