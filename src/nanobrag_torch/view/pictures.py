"""What the page shows of one image: its pixels as they are, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.io.scene import Scene

if TYPE_CHECKING:
    from nanobrag_torch.pipeline.image import Image

SHOWN_AS_THEY_ARE = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


@dataclass(frozen=True, eq=False)
class Spots:
    """Reflections of one kind (`predicted`, `observed`) on an image.

    Args:
        kind: which.
        places: [n, 2] fast, slow, pixels from the outer corner of the first.
        indices: [n, 3]; 0 0 0 where a reflection has none.
    """

    kind: str
    places: NDArray[np.float64]
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class Picture:
    """One panel of one image.

    Args:
        name: what the page calls it.
        pixels: [slow, fast], in one of the types `SHOWN_AS_THEY_ARE`.
        scene: where the pixels stand, and the crystal if it is known; `None` = unknown.
        panel: which panel of the scene it is.
        meanings: values that are no measurement, and what they mean.
        notes: lines for the reader.
        frame: its number in a series, from 1, or `None`.
        spots: reflections to draw over it.
        diverging: whether 0 is in the middle of the colours: a difference.
    """

    name: str
    pixels: NDArray[Any]
    scene: Scene | None = None
    panel: int = 0
    meanings: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    frame: int | None = None
    spots: tuple[Spots, ...] = ()
    diverging: bool = False


def pictures_of(image: Image, name: str = "image") -> list[Picture]:
    """The panels of a rendered image, in float32 as it would be written."""
    from nanobrag_torch.pipeline.describe import describe

    scene = describe(image.experiment)
    panels = image.numpy()
    return [Picture(panel_name(name, scene, i), values, scene, i) for i, values in enumerate(panels)]


def panel_name(name: str, scene: Scene, panel: int) -> str:
    """The name of an image, with that of the panel where there are several."""
    if len(scene.panels) == 1:
        return name
    return f"{name}, {scene.panels[panel].name or f'panel {panel}'}"


def native(pixels: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in a type that the page can hold: 64-bit integers in the smallest that holds them."""
    if pixels.dtype.name in SHOWN_AS_THEY_ARE:
        return pixels
    if np.issubdtype(pixels.dtype, np.integer) or pixels.dtype == np.bool_:
        low, high = int(pixels.min(initial=0)), int(pixels.max(initial=0))
        for name in ("uint8", "uint16", "int32", "uint32"):
            limits = np.iinfo(name)
            if limits.min <= low and high <= limits.max:
                return pixels.astype(name)
    return pixels.astype(np.float64)
