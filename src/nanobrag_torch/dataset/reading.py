"""From a description in YAML or TOML to a `Population`; free of torch. Errors name the line."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanobrag_torch.config import Config
from nanobrag_torch.dataset import variables
from nanobrag_torch.dataset.distributions import Choice, Distribution, Fixed, Rotations, distribution_of
from nanobrag_torch.dataset.marked import Marked, read_marked
from nanobrag_torch.dataset.population import (
    LARGEST_SEED,
    MOST_IMAGES,
    SCHEMA,
    SUFFIXES,
    Labels,
    Noise,
    Population,
    Shards,
)
from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.files import PathLike

SECTIONS = ("schema", "seed", "images", "physics", "scene", "vary", "noise", "labels", "shards")
PHYSICS = ("exact", "nanobragg")
MODEL_SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif", ".mtz", ".hkl")


def read_population(path: PathLike, images: int | None = None) -> Population:
    """Read and check a description.

    Args:
        path: a YAML file, or TOML by its suffix.
        images: another number of images than it says.

    Raises:
        FileFormatError: anything wrong in it, with the line.
    """
    said = read_marked(path)
    if images is not None:
        said = dataclasses.replace(said, value={**said.value, "images": images})
    return population_of(said, str(Path(os.fspath(path)).resolve().parent))


def population_of(said: Marked, folder: str = ".") -> Population:
    """The population that a tree of plain values describes; relative names of files begin at `folder`.

    Raises:
        FileFormatError: anything wrong in it.
    """
    said.keys(SECTIONS)
    schema = said.get("schema")
    if schema is not None and schema.whole() != SCHEMA:
        raise schema.error(f"{schema.value} is not known here; this program writes and reads {SCHEMA}")
    if said.get("scene") is None:
        raise said.error("scene is missing: a command line of nanobrag, or fields of its configuration")
    seed, images, physics = said.get("seed"), said.get("images"), said.get("physics")
    config = _scene(said["scene"])
    chosen_physics = "exact" if physics is None else physics.text(PHYSICS)
    population = Population(
        scene=config,
        vary=_vary(said.get("vary"), folder),
        images=1000 if images is None else images.whole(1, MOST_IMAGES),
        seed=0 if seed is None else seed.whole(0, LARGEST_SEED),
        physics=chosen_physics,
        noise=_noise(said.get("noise")),
        labels=_labels(said.get("labels")),
        shards=_shards(said.get("shards")),
        folder=folder,
        lines=said.lines,
        path=said.path,
    )
    _check_files(said, population)
    return population


def _scene(said: Marked) -> Config:
    """The base scene, from a command line or fields."""
    if isinstance(said.value, str):
        from nanobrag_torch.cli.parse import parse_line

        try:
            parsed = parse_line(shlex.split(said.value))
        except (InputError, FileFormatError, ValueError) as error:
            raise said.error(str(error)) from error
        if parsed.action != "run":
            raise said.error("the command line asks for something else than an image")
        config = parsed.config
        return dataclasses.replace(config, crystal=dataclasses.replace(config.crystal, use_dump=False))
    parts: dict[str, dict[str, Any]] = {part: {} for part in variables.PARTS}
    for name in said.keys(variables.PART_OF):
        value = said[name].value
        if isinstance(value, str) and not _is_text(name):
            value = said[name].number()
        parts[variables.PART_OF[name]][name] = tuple(value) if isinstance(value, list) else value
    made = {part: kind(**parts[part]) for part, kind in variables.PARTS.items()}
    return Config(**made)


def _is_text(name: str) -> bool:
    kind: Any = variables.PARTS[variables.PART_OF[name]]
    return "str" in str(kind.__dataclass_fields__[name].type)


def _vary(said: Marked | None, folder: str) -> dict[str, Distribution]:
    if said is None:
        return {}
    found: dict[str, Distribution] = {}
    for name in said.keys(variables.names()):
        entry = said[name]
        kind = entry.value
        distribution = _folder(entry, folder) if isinstance(kind, dict) and "folder" in kind else distribution_of(entry)
        _check_values(entry, name, distribution)
        found[name] = distribution
    for one, other in variables.clashes(list(found)):
        raise said[other].error(f"{one} varies too, and would overwrite it; leave one of them out")
    return found


def _check_values(said: Marked, name: str, distribution: Distribution) -> None:
    """Refuse values of a shape that the variable cannot take."""
    rotates = name in ("orientation", "misset_deg")
    if isinstance(distribution, Rotations) != rotates and (
        isinstance(distribution, Rotations) or name == "orientation"
    ):
        text = "only {rotations: all} and misset_deg turn a crystal" if rotates else "rotations are for orientation"
        raise said.error(text)
    if isinstance(distribution, Choice | Fixed):
        values = distribution.of if isinstance(distribution, Choice) else (distribution.value,)
        size = 6 if name == "cell" else 3 if name == "misset_deg" else 0
        for value in values:
            if size and not (isinstance(value, tuple) and len(value) == size):
                raise said.error(f"{value!r} is not a list of {size} numbers")
            if name == "model" and not isinstance(value, str):
                raise said.error(f"{value!r} is not the name of a file")
    elif name in ("cell", "model") or (name in variables.PART_OF and _is_text(name)):
        raise said.error("a choice was expected")
    elif name == "misset_deg" and not rotates:
        raise said.error("a choice of three angles was expected; orientation takes {rotations: all}")


def _folder(said: Marked, folder: str) -> Choice:
    """Every file of a folder, by name; with a suffix that readers know."""
    said.keys(["folder"])
    inner = said["folder"]
    name = inner.text()
    try:
        names = sorted(os.listdir(Path(folder) / name))
    except OSError as error:
        raise inner.error(f"{name} cannot be read: {error.strerror}") from error
    if said.place[-1] == "model":
        names = [n for n in names if n.lower().removesuffix(".gz").endswith(MODEL_SUFFIXES)]
    if not names:
        raise inner.error(f"{name} holds no file of a known kind")
    return Choice(tuple(os.path.join(name, n) for n in names))


def _noise(said: Marked | None) -> Noise:
    if said is None:
        return Noise()
    said.keys(f.name for f in dataclasses.fields(Noise))
    readers: Mapping[str, Any] = {
        "photons": Marked.flag,
        "gain": lambda m: m.number(1e-6, 1e6),
        "offset": lambda m: m.whole(0, 65535),
        "saturation": lambda m: m.whole(1, 65535),
    }
    return Noise(**{name: readers[name](said[name]) for name in said.value})


def _labels(said: Marked | None) -> Labels:
    if said is None:
        return Labels()
    readers: Mapping[str, Any] = {
        "reflections": Marked.flag,
        "threshold": lambda m: m.number(1e-9, 0.999),
        "radius": lambda m: m.whole(0, 50),
        "masks": Marked.flag,
        "noise_free": Marked.flag,
        "dials": Marked.flag,
        "gradients": lambda m: tuple(part.text() for part in m.items()),
    }
    return Labels(**{name: readers[name](said[name]) for name in said.keys(readers)})


def _shards(said: Marked | None) -> Shards:
    if said is None:
        return Shards()
    said.keys(("file", "images"))
    shards = Shards()
    if (file := said.get("file")) is not None:
        name = file.text()
        if os.path.basename(name) != name or os.path.splitext(name)[1].lower() not in SUFFIXES:
            raise file.error(f"{name} is not a file name that ends in {', '.join(SUFFIXES)}")
        shards = dataclasses.replace(shards, file=name)
    if (images := said.get("images")) is not None:
        shards = dataclasses.replace(shards, images=images.whole(1, MOST_IMAGES))
    return shards


def _check_files(said: Marked, population: Population) -> None:
    """Refuse a description whose files are not there, before anything is made."""
    for name in population.input_files():
        if not os.path.isfile(population.located(name)):
            place = next((p for p in said.lines if _names_file(said, p, name)), ("scene",))
            raise Marked(said.path, None, said.lines, place).error(f"there is no file {population.located(name)}")


def _names_file(said: Marked, place: tuple[str | int, ...], name: str) -> bool:
    value = said.value
    for key in place:
        value = value[key]
    return bool(value == name)
