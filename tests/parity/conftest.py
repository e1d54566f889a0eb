from __future__ import annotations

import pytest

from nanobrag_torch.errors import ParityError
from nanobrag_torch.parity.programs import STANDIN, CProgram, find_c_program, own_program


@pytest.fixture(scope="session")
def original() -> CProgram:
    """A program with the original's defects: the one that `NB_C_BIN` names if it is one, else the stand-in."""
    try:
        named = find_c_program()
    except ParityError:
        named = None
    if named is not None and not named.is_reference:
        return named
    standin = own_program(STANDIN)
    if standin is None:
        pytest.skip("no program with the original's defects: make -C golden_suite_generator")
    return standin
