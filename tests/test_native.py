from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from nanobrag_torch import native


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder in the place of the one with the libraries."""
    monkeypatch.setattr(native, "import_module", lambda name: SimpleNamespace(__path__=[str(tmp_path)]))
    monkeypatch.setattr(native, "_FOUND", {})
    return tmp_path


@pytest.mark.parametrize("name", ["nanobrag_noise", "nanobrag_kernels"])
def test_a_library_is_there_or_there_is_a_reason(name):
    library = native.load(name)
    if library is None:
        assert name in native.why_missing(name)
    else:
        assert isinstance(library, ctypes.CDLL)
        assert native.why_missing(name) == ""


def test_one_that_was_not_built_says_what_to_do(folder):
    assert native.load("nanobrag_noise") is None
    assert native.why_missing("nanobrag_noise").startswith("libnanobrag_noise.so was not built: install a C compiler")


def test_one_that_cannot_be_loaded_says_why(folder):
    (folder / "libnanobrag_noise.so").write_bytes(b"not a library")
    assert native.load("nanobrag_noise") is None
    assert native.why_missing("nanobrag_noise").startswith("libnanobrag_noise.so cannot be loaded (")
