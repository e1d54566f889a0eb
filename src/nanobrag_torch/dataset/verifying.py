"""Whether a data set is still as it was made: checksums, and some images made anew, compared bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nanobrag_torch.dataset.draws import deviates
from nanobrag_torch.dataset.images import Maker, Sample
from nanobrag_torch.dataset.making import read_manifest, versions
from nanobrag_torch.dataset.marked import Marked, text_marked
from nanobrag_torch.dataset.population import Population
from nanobrag_torch.dataset.reading import population_of
from nanobrag_torch.dataset.shards import open_shard, shard_checksum, size_of
from nanobrag_torch.errors import FileFormatError

Say = Callable[[str], None]


def verify(folder: Path, sample: int, inputs: str | None, say: Say) -> list[str]:
    """What is wrong with a data set, one line each; none if all is well.

    Args:
        folder: the data set.
        sample: how many images, spread over it by chance, are made anew.
        inputs: where relative names of input files begin; by default where they did.
        say: called with what is compared.

    Raises:
        NanobragError: there is no data set, or its images cannot be made here.
    """
    manifest = read_manifest(folder)
    if not manifest["complete"]:
        return ["it is not complete: start `nb-dataset make` again"]
    problems = []
    for shard in manifest["shards"]:
        path = folder / shard["file"]
        if size_of(path) != shard["bytes"]:
            problems.append(f"{shard['file']} is missing" if not path.exists() else f"{shard['file']} has another size")
        elif shard_checksum(path) != shard["sha256"]:
            problems.append(f"{shard['file']} has another checksum")
    say(f"{len(manifest['shards'])} checksums compared, {len(problems)} differ")
    good = [shard for shard in manifest["shards"] if not any(p.startswith(shard["file"]) for p in problems)]
    if sample and good:
        problems += _remade(folder, manifest, good, sample, inputs, say)
    return problems


def population_of_manifest(folder: Path, manifest: dict[str, Any], inputs: str | None = None) -> Population:
    """The population that a data set was made from.

    Raises:
        FileFormatError: the data set was made in Python and kept no description, or it does not match what was made.
    """
    if not manifest["description"]:
        raise FileFormatError(folder, "", "it was made in Python: make its images anew from the same Population")
    said: Marked = text_marked(manifest["description_file"], manifest["description"])
    said = Marked(said.path, {**said.value, "images": manifest["population"]["images"]}, said.lines)
    return population_of(said, inputs or manifest["inputs"])


def _remade(
    folder: Path, manifest: dict[str, Any], shards: list[dict[str, Any]], sample: int, inputs: str | None, say: Say
) -> list[str]:
    """Images that come out differently."""
    population = population_of_manifest(folder, manifest, inputs)
    if population.identity() != manifest["population"]:
        return ["its description or an input file is not what it was made from"]
    if versions() != manifest["versions"]:
        say("made with other versions than those here: " + json.dumps(manifest["versions"]))
    total = sum(shard["images"][1] - shard["images"][0] for shard in shards)
    count = min(sample, total)
    chosen = np.unique(
        (deviates(population.seed, range(count), "verify", 1)[:, 0] + np.arange(count)) * (total / count)
    )
    problems, maker, before = [], Maker(population), 0
    for shard in shards:
        first, last = shard["images"]
        mine = [int(c) - before for c in chosen if before <= int(c) < before + last - first]
        before += last - first
        stored = open_shard(folder / shard["file"]) if mine else None
        for place in mine:
            assert stored is not None
            (again,) = maker.samples([first + place])
            if not _same(stored[place], again):
                problems.append(f"image {first + place} comes out differently")
    say(f"{count} images made again, {len(problems)} differ")
    return problems


def _same(one: Sample, other: Sample) -> bool:
    """Whether two samples agree in every bit."""
    arrays = {"image": one.image, **one.reflections, **one.extra}
    others = {"image": other.image, **other.reflections, **other.extra}
    if one.number != other.number or arrays.keys() != others.keys():
        return False
    alike = all(
        a.dtype == others[n].dtype and np.array_equal(a, others[n], equal_nan=a.dtype.kind == "f")
        for n, a in arrays.items()
    )
    return alike and _text(one) == _text(other)


def _text(sample: Sample) -> str:
    return json.dumps(sample.parameters, sort_keys=True)
