"""Fixtures that several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nanobrag_torch.parity.golden import Case, load_cases

COPIED = Path(__file__).parent / "golden_data"


def full_golden_set() -> Path | None:
    """The full golden set, which the environment variable NANOBRAG_GOLDEN names, or nothing."""
    name = os.environ.get("NANOBRAG_GOLDEN")
    return Path(name).resolve() if name else None


def pytest_configure(config: pytest.Config) -> None:
    """The marks that choose among the golden cases."""
    config.addinivalue_line("markers", "verdicts(*names): golden cases with one of these verdicts")
    config.addinivalue_line("markers", "having(name): golden cases with this field or stored array")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`golden_case`: every case of the full golden set, or of the copied part where that is not at hand."""
    if "golden_case" not in metafunc.fixturenames:
        return
    cases = load_cases(full_golden_set() or COPIED)
    for mark in metafunc.definition.iter_markers("verdicts"):
        cases = [case for case in cases if case.verdict in mark.args]
    for mark in metafunc.definition.iter_markers("having"):
        cases = [case for case in cases if case.facts.get(mark.args[0]) or mark.args[0] in case.stored()]
    metafunc.parametrize("golden_case", cases, ids=[case.id for case in cases])


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """The full golden set; skips where it is not at hand."""
    folder = full_golden_set()
    if folder is None:
        pytest.skip("NANOBRAG_GOLDEN does not name the golden set")
    return folder


@pytest.fixture(scope="session")
def copied_cases() -> dict[str, Case]:
    """The copied golden cases, by name."""
    return {case.id: case for case in load_cases(COPIED)}
