"""Old module names: they give the new module itself, with a warning, and other names stay unknown."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from nanobrag_torch.moved import MOVED


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_is_the_new_module(old, new):
    sys.modules.pop(f"nanobrag_torch.{old}", None)
    module = importlib.import_module(f"nanobrag_torch.{new}")
    with pytest.warns(DeprecationWarning, match=rf"nanobrag_torch\.{old} is now nanobrag_torch\.{new}"):
        assert importlib.import_module(f"nanobrag_torch.{old}") is module
    assert module.__spec__ is not None
    assert (module.__spec__.name, module.__name__) == (f"nanobrag_torch.{new}",) * 2
    assert module.__spec__.loader is module.__loader__
    del sys.modules[f"nanobrag_torch.{old}"]


def test_the_warning_points_at_the_import():
    code = "from nanobrag_torch.simulator import Simulator"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert "DeprecationWarning: nanobrag_torch.simulator is now nanobrag_torch.pipeline.simulator" in done.stderr


def test_other_names_are_unknown():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nanobrag_torch.nowhere")


def test_old_names_of_the_render_options_still_work():
    import nanobrag_torch.pipeline.render as render
    from nanobrag_torch import Config, CrystalConfig, Simulator, settle

    with pytest.warns(DeprecationWarning, match="RenderOptions"):
        assert render.Way is render.RenderOptions
    simulator = Simulator(settle(Config(crystal=CrystalConfig(cell_a=50.0, default_F=1.0))))
    with pytest.warns(DeprecationWarning, match=r"Simulator\.options"):
        assert simulator.way is simulator.options
    with pytest.raises(AttributeError, match="no attribute"):
        render.nothing_of_the_sort  # noqa: B018
