"""Fixtures that several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """The full golden set, which the environment variable NANOBRAG_GOLDEN names."""
    name = os.environ.get("NANOBRAG_GOLDEN")
    if not name:
        pytest.skip("NANOBRAG_GOLDEN does not name the golden set")
    return Path(name)
