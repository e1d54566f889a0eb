from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from nanobrag_torch import errors
from nanobrag_torch.errors import (
    BackendUnavailable,
    CostError,
    FileFormatError,
    ImageError,
    InputError,
    LegacyDefectWarning,
    MemoryBudgetError,
    NanobragError,
    NanobragWarning,
    ParityError,
    UsageError,
    WorkersLost,
)


def test_every_error_has_one_root_and_a_builtin_kin():
    kin = {
        InputError: ValueError,
        UsageError: InputError,
        FileFormatError: ValueError,
        BackendUnavailable: RuntimeError,
        MemoryBudgetError: MemoryError,
        ImageError: ArithmeticError,
        CostError: RuntimeError,
        ParityError: RuntimeError,
        WorkersLost: RuntimeError,
    }
    for error, builtin in kin.items():
        assert issubclass(error, NanobragError)
        assert issubclass(error, builtin)
    assert issubclass(LegacyDefectWarning, NanobragWarning)
    assert issubclass(NanobragWarning, UserWarning)
    own = {x for x in vars(errors).values() if isinstance(x, type) and issubclass(x, NanobragError)}
    assert own == {*kin, NanobragError}


def test_messages_say_where_what_and_what_to_do():
    error = InputError("-distance", "-5 is not positive", "give a value above 0")
    assert str(error) == "-distance: -5 is not positive; give a value above 0"
    assert (error.field, error.problem, error.advice) == ("-distance", "-5 is not positive", "give a value above 0")
    assert str(InputError("-roi", "is empty")) == "-roi: is empty"
    assert str(FileFormatError(Path("a/b.hkl"), "line 3", "4 fields expected")) == "a/b.hkl: line 3: 4 fields expected"
    assert str(FileFormatError("b.hkl", "", "no such file")) == "b.hkl: no such file"
    assert str(BackendUnavailable("cuda", "no device")) == "cuda: no device"
    warning = LegacyDefectWarning("D26", "the cell is drawn with other angles")
    assert str(warning) == "D26: the cell is drawn with other angles"
    assert warning.identifier == "D26"


def test_they_are_caught_as_what_they_are():
    with pytest.raises(ValueError, match="-N"):
        raise InputError("-N", "is too large")


@pytest.mark.parametrize(
    "error",
    [
        InputError("-distance", "is 0", "give more"),
        FileFormatError("a", "line 3", "bad"),
        BackendUnavailable("x", "no"),
    ],
)
def test_errors_travel_between_processes(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
