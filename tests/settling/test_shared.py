"""Files that many scenes name are read once, and again when they change."""

from __future__ import annotations

import dataclasses
import os

import pytest

from nanobrag_torch import Config, CrystalConfig, FileFormatError, settle
from nanobrag_torch.settling.shared import SharedInputs


def scene(path, **crystal):
    return Config(crystal=CrystalConfig(cell_a=50.0, hkl_file=str(path), **crystal))


def test_read_once_and_again_when_changed(tmp_path):
    path = tmp_path / "a.hkl"
    path.write_text("0 0 1 5\n")
    shared = SharedInputs()
    first = settle(scene(path, Na=3.0), inputs=shared(scene(path, Na=3.0)))
    second = settle(scene(path, shape="gauss"), inputs=shared(scene(path, shape="gauss")))
    assert shared.reads == 1
    one, other = (e.crystal.structure_factors.values for e in (first, second))
    assert one is not None
    assert other is not None
    assert one.data_ptr() == other.data_ptr()
    path.write_text("0 0 1 50\n")
    os.utime(path, ns=(1, 1))
    assert float(settle(scene(path), inputs=shared(scene(path))).crystal.structure_factors.values.max()) == 50
    assert shared.reads == 2


@pytest.mark.parametrize("change", [{"default_F": 3.0}, {"use_dump": True}])
def test_what_else_decides_about_the_content(tmp_path, change):
    path = tmp_path / "a.hkl"
    path.write_text("0 0 1 5\n")
    shared = SharedInputs()
    config = scene(path)
    shared(config)
    shared(dataclasses.replace(config, crystal=dataclasses.replace(config.crystal, **change)))
    assert shared.reads == 2


def test_only_so_many_are_kept(tmp_path):
    shared = SharedInputs(most=2)
    for name in "abca":
        (tmp_path / name).write_text("0 0 1 5\n")
        shared(scene(tmp_path / name))
    assert shared.reads == 4


def test_a_missing_file_is_told_of(tmp_path):
    with pytest.raises(FileFormatError, match="unable to open"):
        SharedInputs()(scene(tmp_path / "none"))
