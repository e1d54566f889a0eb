import logging

import pytest
import torch

from nanobrag_torch.errors import BackendUnavailable
from nanobrag_torch.kernels import backends, reference

CPU = torch.device("cpu")


def test_the_reference_is_tried_last():
    assert list(backends.BACKENDS)[-1] == "reference"


def test_the_first_that_can_serve_is_taken(monkeypatch):
    chosen = backends.choose(None, CPU, torch.float64, "square", False)
    able = [b for b in backends.BACKENDS.values() if b.why_not(CPU, torch.float64, "square", False) is None]
    assert chosen is able[0]
    monkeypatch.setattr(backends, "BACKENDS", {"reference": reference})
    assert backends.choose(None, CPU, torch.float64, "square", False) is reference


def test_a_named_backend_raises_with_its_reason(monkeypatch):
    class Never:
        def why_not(self, *_):
            return "it is Sunday; use reference"

    monkeypatch.setattr(backends, "BACKENDS", {"never": Never(), "reference": reference})
    with pytest.raises(BackendUnavailable, match="never: it is Sunday"):
        backends.choose("never", CPU, torch.float64, "square", False)
    assert backends.choose(None, CPU, torch.float64, "square", False) is reference


def test_the_choice_is_logged_once(caplog):
    backends._tell.cache_clear()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            backends.choose(None, CPU, torch.float64, "square", False)
    assert len([r for r in caplog.records if "computes on cpu" in r.message]) == 1
