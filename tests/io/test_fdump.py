from __future__ import annotations

import struct

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.fdump import read_dump, write_dump
from nanobrag_torch.io.hkl import ReflectionGrid


def grid(shape=(2, 3, 4), origin=(-1, 0, 5)) -> ReflectionGrid:
    return ReflectionGrid(np.random.default_rng(0).random(shape), origin, 7, 2.0)


def test_size_and_header_of_the_example_of_the_specification(tmp_path):
    """specs: structure_factors 6."""
    write_dump(tmp_path / "F", grid((13, 15, 17), (-6, -7, -8)))
    content = (tmp_path / "F").read_bytes()
    assert content.startswith(b"-6 6 -7 7 -8 8\n\f")
    assert len(content) == 32272


def test_padding_is_zero_and_l_runs_fastest(tmp_path):
    written = grid()
    write_dump(tmp_path / "F", written)
    stored = np.fromfile(tmp_path / "F", offset=len(b"-1 0 0 2 5 8\n\f")).reshape(3, 4, 5)
    np.testing.assert_array_equal(stored[:2, :3, :4], written.values)
    stored[:2, :3, :4] = 0.0
    assert not stored.any()


def test_what_is_written_is_read(tmp_path):
    written = grid()
    write_dump(tmp_path / "F", written)
    read = read_dump(tmp_path / "F", 9.0)
    np.testing.assert_array_equal(read.values, written.values)
    assert (read.origin, read.count, read.default_F, read.given) == ((-1, 0, 5), 24, 9.0, None)


def test_a_first_amplitude_that_begins_with_white_space_is_not_skipped(tmp_path):
    """specs: deviations D11."""
    value = 50.00000000000023
    assert struct.pack("<d", value)[0] == 0x20
    write_dump(tmp_path / "F", ReflectionGrid(np.full((2, 2, 2), value), (0, 0, 0), 8))
    assert (read_dump(tmp_path / "F").values == value).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content[:-8], "expected 480; delete"),
        (lambda content: content + b"x", "481 bytes behind"),
        (lambda content: content.replace(b"\n\f", b"\n"), "not a structure-factor dump"),
        (lambda content: b"0 0 1", "not a structure-factor dump"),
        (lambda content: b"", "not a structure-factor dump"),
        (lambda content: b"0 -5 0 1 0 1\n\f", "not those of a grid"),
        (lambda content: b"0 99999 0 99999 0 99999\n\f", "not those of a grid"),
        (lambda content: content[:14] + struct.pack("d", np.nan) + content[22:], "not a finite number"),
    ],
)
def test_anything_else_is_refused(tmp_path, change, words):
    write_dump(tmp_path / "F", grid())
    (tmp_path / "F").write_bytes(change((tmp_path / "F").read_bytes()))
    with pytest.raises(FileFormatError, match=words):
        read_dump(tmp_path / "F")
