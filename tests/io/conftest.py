from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write_experiments(tmp_path: Path) -> Callable[[object], Path]:
    """A function that writes an experiment list of DIALS, text or what becomes JSON, and returns its path."""

    def write(what: object) -> Path:
        path = tmp_path / "a.expt"
        path.write_text(what if isinstance(what, str) else json.dumps(what))
        return path

    return write
