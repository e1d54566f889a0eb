"""The forward model against ptychi, by frames that it drew (scripts/coherent_peers.py): it need not be here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nanobrag_torch.coherent.ptychography import intensities

STORED = json.loads((Path(__file__).parent / "ptychi.json").read_text())
REAL = torch.float64


def field(parts) -> torch.Tensor:
    return torch.complex(*(torch.tensor(part, dtype=REAL) for part in parts))


@pytest.mark.parametrize("scan", STORED["scans"], ids=lambda scan: f"{len(scan['probe'][0])} modes")
def test_frames_are_those_of_ptychi(scan):
    """One mode at places between pixels, and two modes at whole ones: ptychi moves only the first mode by the rest."""
    frames = torch.tensor(scan["frames"], dtype=REAL)
    corners = torch.tensor(scan["corners"], dtype=REAL)
    found = intensities(field(STORED["object"]), field(scan["probe"]), corners)
    assert float((found - frames).abs().max()) <= 1e-10 * float(frames.max())
    assert float((found - frames.flip(1)).abs().max()) > 0.1 * float(frames.max())


def test_where_the_frames_come_from():
    assert {"ptychi", "torch", "numpy", "python"} == set(STORED["versions"])
    assert [len(scan["probe"][0]) for scan in STORED["scans"]] == [1, 2]
    between = torch.tensor(STORED["scans"][0]["corners"], dtype=REAL).frac()
    assert float(between.abs().max()) > 0.1
