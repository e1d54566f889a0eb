"""Target registration errors on the pairs of scripts/check_register.py, against bounds and SimpleITK."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nanobrag_torch.register import register

HERE = Path(__file__).parent
STORED = json.loads((HERE / "simpleitk.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pairs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_register", HERE.parents[1] / "scripts" / "check_register.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["identity", "rotation"])
def test_affine_maps_under_noise_and_a_bias_field(pairs: ModuleType, name: str) -> None:
    given = pairs.pair(name, pairs.NOISE, 1)
    found = register(given.moving, given.fixed, "affine", "mind")
    error = pairs.target_error(given, found.field.numpy())
    theirs = min(values[0] for values in STORED["errors"][f"{name}, noise {pairs.NOISE:g}"].values())
    assert found.converged
    assert error <= pairs.BOUNDS["affine", pairs.NOISE]
    assert error <= pairs.PEER_FACTOR * theirs


def test_the_stored_results_know_where_they_come_from(pairs: ModuleType) -> None:
    """And SimpleITK was set up well enough to leave the identity alone."""
    assert STORED["program"].startswith("SimpleITK ")
    assert (HERE.parents[1] / STORED["made by"]).exists()
    assert set(STORED["errors"]) == {f"{name}, noise {n:g}" for name in pairs.MODELS for n in (0.0, pairs.NOISE)}
    for noise in (0.0, pairs.NOISE):
        assert max(max(values) for values in STORED["errors"][f"identity, noise {noise:g}"].values()) < 0.5


def test_the_stored_results_are_those_of_the_installed_program(pairs: ModuleType) -> None:
    pytest.importorskip("SimpleITK")
    sys.path.insert(0, str(HERE.parents[1] / "scripts"))
    try:
        peers = importlib.import_module("register_peers")
    finally:
        sys.path.pop(0)
    found = peers.scored(pairs.pair("shift", pairs.NOISE, 1), "affine", "mattes", 5)
    np.testing.assert_allclose(found, STORED["errors"][f"shift, noise {pairs.NOISE:g}"]["Mattes"][0], atol=0.02)


def test_the_pairs_are_what_they_say(pairs: ModuleType) -> None:
    """The inverse that images are made with is one."""
    slow, fast = np.mgrid[: pairs.SIZE, : pairs.SIZE].astype(float)
    for truth in pairs.TRUTHS.values():
        back = np.stack(truth(*pairs.inverse(truth, slow, fast)))
        assert np.abs(back - np.stack([slow, fast])).max() < 1e-9
    displaced = np.stack(pairs.bent(slow, fast)) - np.stack([slow, fast])
    assert 5.9 < np.abs(displaced).max() <= 6.0
