"""The four classic golden images in the repository: what they are, and that every program still draws them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch.cli.main import main
from nanobrag_torch.parity.agreement import image_agreement, single_problems
from nanobrag_torch.parity.golden import load_cases

FOLDER = Path(__file__).parents[1] / "golden_data" / "classic"
CASES = json.loads((FOLDER / "provenance.json").read_text())["cases"]

EVERY = pytest.mark.parametrize("name", CASES)


def stored(name: str) -> np.ndarray:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return arrays["image"]


def cropped(name: str, values: np.ndarray) -> np.ndarray:
    s0, s1, f0, f1 = CASES[name]["crop"]
    edge = round(values.size**0.5)
    return values.reshape(edge, edge)[s0:s1, f0:f1]


@EVERY
def test_provenance(name):
    image, told = stored(name), CASES[name]
    assert hashlib.sha256(image.tobytes()).hexdigest() == told["sha256"]
    assert (image.shape, image.dtype) == ((128, 128), np.float32)
    assert float(image.sum(dtype=float)) == told["sum"]
    assert told["max"] == image.max() > 0


@EVERY
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_it_is_drawn_again(name, dtype, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*CASES[name]["args"], "-nopgm", "-noprogress", "-quiet", "-dtype", dtype]) == 0
    image = cropped(name, np.fromfile("floatimage.bin", np.float32))
    if dtype == "float64":
        assert image_agreement(image, stored(name)).problems() == []
    else:
        assert single_problems(image, stored(name)) == []


@EVERY
def test_the_c_side_draws_it_too(name, draw):
    drawn = draw(f"{' '.join(CASES[name]['args'])} -nopgm")
    assert image_agreement(cropped(name, drawn.c_image), stored(name)).problems() == []


@EVERY
def test_it_is_a_part_of_the_full_set(name, golden_folder):
    """The images of the full set come from the original program."""
    case = next(case for case in load_cases(golden_folder) if case.id == f"acc_{name}")
    first = case.facts.get("crop", (0, 0, 0, 0))
    s0, s1, f0, f1 = CASES[name]["crop"]
    part = case.expected()[s0 - first[0] : s1 - first[0], f0 - first[2] : f1 - first[2]]
    assert image_agreement(stored(name), part).problems() == []
