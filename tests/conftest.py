"""Fixtures that several test folders share."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from nanobrag_torch.config import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig
from nanobrag_torch.errors import NanobragWarning, ParityError
from nanobrag_torch.parity.golden import Case, load_cases
from nanobrag_torch.parity.programs import CProgram, find_c_program

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


@pytest.fixture(scope="session")
def small_scene():
    """A function that settles a triclinic crystal on 16 x 20 pixels in a few orientations, under water."""

    def small(physics="nanobragg", crystal=None, detector=None, sampling=None):
        cell = dict(cell_a=40.0, cell_b=45.0, cell_c=50.0, cell_alpha=80.0, cell_beta=85.0, cell_gamma=95.0)
        said = Config(
            crystal=CrystalConfig(
                **cell, **{"misset_deg": (10.0, 20.0, 30.0), "Na": 3.0, "Nb": 4.0, "Nc": 2.0, "default_F": 100.0,
                "mosaic_spread_deg": 0.5, "mosaic_domains": 3, "water_um": 5.0, **(crystal or {})},
            ),
            beam=BeamConfig(wavelength_A=1.2, polarization_factor=0.7),
            detector=DetectorConfig(
                **{"distance_mm": 60.0, "pixels_f": 20, "pixels_s": 16, "pixel_mm": 0.8, **(detector or {})}
            ),
            sampling=SamplingConfig(
                **{"oversample": 1, "phi_deg": 1.0, "osc_deg": 2.0, "phi_steps": 2, **(sampling or {})}
            ),
        )  # fmt: skip
        from nanobrag_torch.settling import settle

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NanobragWarning)
            return settle(said, physics)

    return small


@pytest.fixture(scope="session")
def c_program() -> CProgram:
    """The C side; skips with the way to build it where there is none."""
    try:
        return find_c_program()
    except ParityError as error:
        pytest.skip(str(error))
