"""Scenes as text: every field there and back, and one line about whatever is wrong."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from nanobrag_torch.cli.flags import FLAGS
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.config import (
    Amorphous,
    BackgroundConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    Incoherent,
    OtherLattice,
    PanelConfig,
    SamplingConfig,
)
from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.scene_file import read_scene, write_scene
from nanobrag_torch.io.scene_toml import Array, Table, kinds, read_text, scene_text
from nanobrag_torch.kernels.structure_factors import StructureFactors

READS = {"-expt", "-mask", "-img", "-scene"}
"""Flags that read their file at once."""


def back(config: Config, tmp_path: Any) -> Config:
    write_scene(tmp_path / "scene.toml", config)
    return read_scene(tmp_path / "scene.toml")


@pytest.mark.parametrize("component", fields(Config), ids=lambda part: part.name)
def test_every_field_has_a_kind_that_a_scene_knows(component):
    """A new type in `config/` needs an entry in `scene_toml._NAMES`."""
    for name, kind in kinds(component.default_factory).items():
        assert kind is not Table or name == "structure_factors"


@pytest.mark.parametrize(
    "flag", [f for f in FLAGS if f.gives and f.name not in READS and not f.action], ids=lambda f: f.name
)
def test_what_a_flag_says_comes_back(flag, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = parse(flag.example_words)
    left_out = replace(config.output, save_scene_file=None, scene_file=None)
    write_scene("scene.toml", config)
    assert read_scene("scene.toml") == replace(config, output=left_out)


def test_values_of_every_form_come_back(tmp_path):
    panel = PanelConfig((1.0, -2.5e-7, 100.1), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 10, 20, 0.1, name='a "b"\\\n')
    config = Config(
        crystal=CrystalConfig(
            cell_a=torch.tensor(0.1, dtype=torch.float64) * 3,
            lattices=(OtherLattice(0.25, (1.0, 2.0, 3.0), "k,h,-l"), OtherLattice(0.1)),
            orientation_matrix=((0.1, 0.2, 0.3), (1.0, 2.0, 1e-300), (0.0, 0.0, 1 / 3)),
            N_off=(1.0, 0.0, float("inf")),
        ),
        detector=DetectorConfig(panels=(panel, replace(panel, thickness_um=320.0))),
        sampling=SamplingConfig(roi=(1, 2, 3, 4)),
        background=BackgroundConfig(compton=(Incoherent("H2O", 0.1, 1.0),)),
    )
    found = back(config, tmp_path)
    assert found.crystal.cell_a == float(torch.tensor(0.1, dtype=torch.float64) * 3)
    assert found == replace(config, crystal=replace(config.crystal, cell_a=found.crystal.cell_a))


def test_arrays_come_back(tmp_path):
    mask = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    slab = Amorphous(np.array([[0.0, 2.0], [0.1, 1.0]]), 0.1, 1.0, 18.0)
    config = Config(sampling=SamplingConfig(mask=(mask, mask)), background=BackgroundConfig(materials=(slab,)))
    found = back(config, tmp_path)
    assert isinstance(found.sampling.mask, tuple)
    assert all(np.array_equal(one, mask) for one in found.sampling.mask)
    assert found.background.materials is not None
    assert np.array_equal(found.background.materials[0].table, slab.table)
    one = back(Config(sampling=SamplingConfig(mask=mask)), tmp_path)
    assert np.array_equal(one.sampling.mask, mask)
    assert kinds(BackgroundConfig)["curve"] == Array | None


def test_names_of_files_are_relative_to_the_scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    write_scene("a/b/scene.toml", Config(crystal=CrystalConfig(hkl_file="a/P1.hkl")))
    assert 'hkl_file = "../P1.hkl"' in (tmp_path / "a/b/scene.toml").read_text()
    assert read_scene("a/b/scene.toml").crystal.hkl_file == "a/b/../P1.hkl"


def test_what_only_python_holds_is_refused(tmp_path):
    table = StructureFactors(torch.ones(1, 1, 1, dtype=torch.float64), (0, 0, 0), torch.tensor(0.0))
    with pytest.raises(InputError, match="structure_factors: was made in Python"):
        write_scene(tmp_path / "scene.toml", Config(crystal=CrystalConfig(structure_factors=table)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[crystal]\ncell_a = 5\ncell_gama = 3", "line 3: [crystal] has no 'cell_gama'; did you mean cell_gamma?"),
        ("[crystal]\n\ncell_a = 'five'", "line 3: 'five' is not a number"),
        ("[crystal]\nmosaic_domains = 2.5", "line 2: 2.5 is not a whole number"),
        ("[crystal]\nuse_dump = 1", "line 2: 1 is not true or false"),
        ("[crystal]\ncell_a = true", "line 2: true is not a number"),
        ("[crystal]\nmisset_deg = [1, 2]", "line 2: [1, 2] is not 3 numbers"),
        ("[sampling]\nroi = [1, 2, 3, 4.5]", "line 2: [1, 2, 3, 4.5] is not 4 whole numbers"),
        ("[crystals]\n", "line 1: there is no [crystals], but [crystal]"),
        ("beam = 5\n", "line 1: beam is a table"),
        ("[crystal\n", "line 1: not TOML"),
        ("[crystal]\ncell_a = 1\ncell_a = 2\n", "not TOML"),
        ("[crystal]\nstructure_factors = 3\n", "line 2: 3 is not something that a file can hold"),
        ("[[detector.panels]]\norigin_mm = [0, 0, 1]\n", "line 1: fast_vector is missing"),
        ("[sampling]\nmask = [[1, 2], [3]]\n", "line 2: [[1, 2], [3]] is not a list of rows"),
        ("[crystal]\nhkl_file = 5\n", "line 2: 5 is not a text in quotes"),
    ],
)
def test_errors_name_the_line(text, message):
    with pytest.raises(FileFormatError) as error:
        read_text(text, "scene.toml")
    assert f"scene.toml: {message}" in str(error.value) or f": {message}" in str(error.value)


def test_how_it_was_made_has_no_effect():
    text = scene_text(Config(), made={"program": "x", "command": 'a "b"'})
    assert read_text(text, "scene.toml") == {"crystal.use_dump": False, "output.physics": "nanobragg"}
