"""What a data set is made of, as said: a base scene, what varies around it, noise, labels and files; free of torch."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanobrag_torch.config import Config
from nanobrag_torch.dataset.distributions import Distribution
from nanobrag_torch.dataset.variables import PARTS
from nanobrag_torch.errors import InputError
from nanobrag_torch.io.files import PathLike
from nanobrag_torch.io.series import checksum

SCHEMA = 1
"""Version of the description, of the labels and of the manifest."""
MOST_IMAGES = 10**12
LARGEST_SEED = 2**63 - 1
LARGEST_COUNT = 65535
SUFFIXES = (".tar", ".zarr", ".h5")


@dataclass(frozen=True)
class Noise:
    """From expected photons to what is stored: Poisson deviates, times `gain`, plus `offset`, cut at `saturation`.

    With `photons` false the noise-free image is rounded to whole counts instead.
    """

    photons: bool = True
    gain: float = 1.0
    offset: int = 0
    saturation: int = LARGEST_COUNT


@dataclass(frozen=True)
class Labels:
    """What is stored beside the images.

    Args:
        reflections: whether reflections are listed.
        threshold: partiality from which a reflection is listed.
        radius: pixels around a spot's position that count as its own.
        masks: also an image that says of every pixel: background, or the number of its lattice.
        noise_free: also the expected photons of every pixel, float32.
        gradients: quantities by which the noise-free image is differentiated; a float32 image for each number.
        dials: also an experiment list and a reflection table per image, as DIALS reads them.
    """

    reflections: bool = True
    threshold: float = 0.01
    radius: int = 2
    masks: bool = False
    noise_free: bool = False
    gradients: tuple[str, ...] = ()
    dials: bool = False


@dataclass(frozen=True)
class Shards:
    """The files: their name with `#` for the number, whose suffix chooses the format, and how many images each has."""

    file: str = "shard-######.tar"
    images: int = 1000

    @property
    def suffix(self) -> str:
        """`.tar`, `.zarr` or `.h5`."""
        return os.path.splitext(self.file)[1].lower()


@dataclass(frozen=True)
class Population:
    """A population of images.

    Args:
        scene: the base.
        vary: distributions by name of what varies; see `variables.VARIABLES` and the fields of `Config`.
        images: how many.
        seed: of everything random; image number n of a seed is always the same.
        physics: `exact` or `nanobragg`.
        noise: from photons to counts.
        labels: what is stored beside the images.
        shards: the files.
        folder: where relative names of files begin.
        lines: line of every key in the description, for errors; no part of what the population is.
        path: the description's file.
    """

    scene: Config
    vary: Mapping[str, Distribution] = field(default_factory=dict)
    images: int = 1000
    seed: int = 0
    physics: str = "exact"
    noise: Noise = field(default_factory=Noise)
    labels: Labels = field(default_factory=Labels)
    shards: Shards = field(default_factory=Shards)
    folder: str = "."
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, compare=False, repr=False)
    path: str = "description"

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("images", self.images, 1, MOST_IMAGES),
            ("seed", self.seed, 0, LARGEST_SEED),
            ("shards.images", self.shards.images, 1, MOST_IMAGES),
            ("noise.saturation", self.noise.saturation, 1, LARGEST_COUNT),
            ("labels.radius", self.labels.radius, 0, 50),
        ):
            if not least <= value <= most:
                raise InputError(name, f"{value} is not between {least} and {most}")
        if self.shards.suffix not in SUFFIXES:
            raise InputError("shards.file", f"{self.shards.file} is of no known kind", f"use {', '.join(SUFFIXES)}")
        if not 0 < self.labels.threshold < 1:
            raise InputError("labels.threshold", f"{self.labels.threshold} is not between 0 and 1")

    @property
    def shard_count(self) -> int:
        """How many files."""
        return -(-self.images // self.shards.images)

    def numbers(self, shard: int) -> range:
        """The numbers of the images of a shard."""
        first = shard * self.shards.images
        return range(first, min(first + self.shards.images, self.images))

    def input_files(self) -> list[str]:
        """Every file that the scenes read, as said, in order."""
        parts = [getattr(self.scene, name) for name in PARTS]
        found = [getattr(part, f.name) for part in parts for f in dataclasses.fields(part) if f.name.endswith("_file")]
        found += [slab.table for slab in self.scene.background.materials or ()]
        for name, distribution in self.vary.items():
            if name == "model" or name.endswith("_file"):
                found += list(getattr(distribution, "of", ())) + [getattr(distribution, "value", None)]
        return sorted({name for name in found if isinstance(name, str)})

    def located(self, name: str) -> str:
        """A file's path from its name as said."""
        return str(Path(self.folder) / name)

    def identity(self) -> dict[str, Any]:
        """Everything that decides about a bit of the data set, as plain values; input files by their checksums.

        Raises:
            FileFormatError: a file cannot be read.
        """
        plain = {
            "schema": SCHEMA,
            "images": self.images,
            "seed": self.seed,
            "physics": self.physics,
            "scene": _said(self.scene),
            "vary": {
                name: {type(d).__name__.lower(): {k: v for k, v in dataclasses.asdict(d).items() if v is not None}}
                for name, d in self.vary.items()
            },
            "noise": dataclasses.asdict(self.noise),
            "labels": dataclasses.asdict(self.labels),
            "shards": dataclasses.asdict(self.shards),
            "inputs": {name: checksum(self.located(name)) for name in self.input_files()},
        }
        found: dict[str, Any] = json.loads(json.dumps(plain))
        return found


def _said(config: Config) -> dict[str, Any]:
    """Every field of a configuration that was said."""
    said = {}
    for part in (getattr(config, name) for name in PARTS):
        for f in dataclasses.fields(part):
            value = getattr(part, f.name)
            if value is not None and value != f.default:
                said[f.name] = value if isinstance(value, bool | int | float | str) else repr(value)
    return said


def shard_name(population: Population, shard: int) -> str:
    """The name of a shard's file.

    Raises:
        InputError: the name has too few of `#`.
    """
    from nanobrag_torch.io.series import numbered

    try:
        return numbered(population.shards.file, shard, population.shard_count)
    except InputError as error:
        raise InputError("shards.file", error.problem, error.advice) from None


def as_path(path: PathLike) -> Path:
    """A path without surprises."""
    return Path(os.fspath(path))
