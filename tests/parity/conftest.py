from __future__ import annotations

import pytest

from nanobrag_torch.errors import ParityError
from nanobrag_torch.parity.programs import CProgram, find_c_program


@pytest.fixture(scope="session")
def c_program() -> CProgram:
    """The C side; skips with the way to build it where there is none."""
    try:
        return find_c_program()
    except ParityError as error:
        pytest.skip(str(error))
