"""Descriptions: what they mean, and the line of whatever is wrong in them."""

from __future__ import annotations

import pytest

from nanobrag_torch.dataset.distributions import Choice, Fixed, LogNormal, Rotations
from nanobrag_torch.dataset.reading import read_population
from nanobrag_torch.dataset.scenes import Scenes
from nanobrag_torch.errors import FileFormatError

TOML = """\
seed = 3
images = 10
scene = "-cell 60 70 80 90 90 90 -default_F 100 -N 5 -lambda 1 -distance 100 -detpixels 32"

[vary]
orientation = {rotations = "all"}
distance_mm = {normal = {mean = 100, sd = 1}}

[shards]
file = "a-###.h5"
"""


def test_yaml(write):
    found = read_population(write())
    assert (found.seed, found.images, found.shard_count) == (7, 7, 3)
    assert found.scene.beam.fluence == 1e26
    assert found.vary["orientation"] == Rotations()
    assert found.vary["fluence"] == LogNormal(1e26, 0.3)
    assert found.vary["lattices"] == Choice((1, 2))
    assert list(found.numbers(2)) == [6]
    assert read_population(write(), images=4).images == 4


def test_toml_and_command_line(write):
    found = read_population(write(name="d.toml", text=TOML))
    assert found.scene.crystal.cell_b == 70.0
    assert found.shards.suffix == ".h5"


def test_folder_of_files(write, tmp_path):
    (tmp_path / "models").mkdir()
    for name in ("b.pdb", "a.mtz", "notes.txt"):
        (tmp_path / "models" / name).touch()
    found = read_population(write(("orientation: {rotations: all}", "model: {folder: models}")))
    assert found.vary["model"] == Choice(("models/a.mtz", "models/b.pdb"))


def test_a_plain_value_is_fixed(write):
    assert read_population(write(("lattices: {choice: [1, 2]}", "lattices: 2"))).vary["lattices"] == Fixed(2)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("seed: 7", "sead: 7", "line 1: sead: sead is not known; did you mean seed?"),
        ("seed: 7", "seed: -1", "line 1: seed: -1 is not between"),
        ("seed: 7", "seed: 1\nseed: 2", "line 2: seed is given twice"),
        ("images: 7", "images: 1.5", "line 2: images: 1.5 is not a whole number"),
        ("distance_mm", "distanse_mm", "line 11: scene.distanse_mm: .*did you mean distance_mm?"),
        ("rotations: all", "rotations: some", "line 21: vary.orientation.rotations: 'some'"),
        ("log_normal: [1e26, 0.3]", "log_normal: [-1, 0.3]", "line 22: .*median -1 is not positive"),
        ("log_normal: [1e26, 0.3]", "uniform: [3, 2]", "line 22: .*nothing lies between 3 and 2"),
        ("log_normal: [1e26, 0.3]", "normal: [3]", "line 22: .*sd missing"),
        ("log_normal: [1e26, 0.3]", "gamma: [3]", "line 22: .*gamma is not known"),
        ("log_normal: [1e26, 0.3]", "uniform: [.nan, 2]", "line 22: vary.fluence.uniform.0: nan is not a finite"),
        ("log_normal: [1e26, 0.3]", "uniform: [1, .inf]", "line 22: vary.fluence.uniform.1: inf is not a finite"),
        ("lattices: {", "latices: {", "line 23: vary.latices: .*did you mean lattices?"),
        ("choice: [1, 2]", "choice: []", "line 23: .*nothing to choose from"),
        ("choice: [1, 2]", "choice: [1, 2], weights: [2, -1]", "line 23: .*positive numbers or 0"),
        ("choice: [1, 2]", "choice: [1, 2], weights: [0, 0]", "line 23: .*not all 0"),
        ("choice: [1, 2]", "choice: [1, 2], weights: [1]", "line 23: .*1 weights for 2 values"),
        (
            "  fluence: {log",
            "  misset_deg: {choice: [[1, 2, 3]]}\n  fluence: {log",
            "line 22: .*orientation varies too",
        ),
        ("masks: true", "masks: 3", "line 24: labels.masks: 3 is neither true nor false"),
        ("s-##.tar", "s.zip", "line 25: shards.file: s.zip"),
        ("  water_um: 1", "  hkl_file: nowhere.hkl", "line 19: .*there is no file .*nowhere.hkl"),
        ("seed: 7", "schema: 2", "line 1: schema: 2 is not known"),
        ("seed: 7", "seed: [", "line .*not YAML"),
    ],
)
def test_what_is_wrong_stands_with_its_line(write, old, new, problem):
    with pytest.raises(FileFormatError, match=f"d.yaml: {problem}"):
        read_population(write((old, new)))


def test_toml_lines(write):
    with pytest.raises(FileFormatError, match="d.toml: line 7: vary.distanse_mm: .*did you mean distance_mm"):
        read_population(write(("distance_mm", "distanse_mm"), name="d.toml", text=TOML))
    with pytest.raises(FileFormatError, match="line 2: not TOML"):
        read_population(write(("images = 10", "images = ="), name="d.toml", text=TOML))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("  distance_mm: 100", "  distance_mm: -100", "line 11: distance_mm"),
        ("lattices: {choice: [1, 2]}", "distance_mm: {normal: [1, 5]}", "line 23: .*image 1 would have"),
        ("lattices: {choice: [1, 2]}", "shape: {choice: [cube]}", "line 23: .*shape"),
        ("lattices: {choice: [1, 2]}", "cell_change_deg: {uniform: [80, 89]}", "line 23: .*no cell has such angles"),
    ],
)
def test_scenes_that_cannot_be_settled(write, old, new, problem):
    population = read_population(write((old, new)))
    with pytest.raises(FileFormatError, match=problem):
        Scenes(population).blocks(range(7))
