"""The package itself: its names, and what importing them does not do."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nanobrag_torch


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", nanobrag_torch.__all__)
def test_every_public_name_is_there(name):
    assert getattr(nanobrag_torch, name) is not None
    assert name in dir(nanobrag_torch)


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'Settle'"):
        _ = nanobrag_torch.Settle


def test_importing_the_package_does_not_import_torch():
    assert "torch" not in modules_after("import nanobrag_torch")


def test_names_load_what_they_need_and_no_more():
    assert "torch" not in modules_after("from nanobrag_torch import Config, InputError")
    assert "torch" in modules_after("from nanobrag_torch import Simulator")
