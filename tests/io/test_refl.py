"""Reflection tables: what DIALS wrote is read, what is written is the same, and damage is refused in a line."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.refl import read_refl, write_refl
from nanobrag_torch.io.reflection_table import Flag, Opaque, ReflectionTable, joined

msgpack = pytest.importorskip("msgpack")


def table(n: int = 3) -> ReflectionTable:
    rng = np.random.default_rng(3)
    return ReflectionTable(
        {
            "miller_index": np.arange(3 * n).reshape(n, 3) - 2,
            "id": np.zeros(n, int),
            "panel": np.arange(n),
            "flags": np.full(n, Flag.PREDICTED | Flag.INDEXED),
            "xyzobs.px.value": rng.normal(size=(n, 3)),
            "entering": np.arange(n) % 2 == 0,
            "bbox": rng.integers(0, 99, (n, 6)),
            "own.matrix": rng.normal(size=(n, 3, 3)),
            "own.number": rng.normal(size=n),
            "own.pair": rng.normal(size=(n, 2)),
        },
        {0: "sweep"},
        {"shoebox": Opaque("Shoebox<>", b"\x01\x02")},
    )


def test_the_bytes_of_a_table_of_one_row(tmp_path):
    """Byte by byte, by hand from the MessagePack specification and the layout of DIALS."""
    write_refl(tmp_path / "a.refl", ReflectionTable({"d": np.array([1.5])}, {0: "x"}))
    name = b"dials::af::reflection_table"
    expected = b"\x93" + bytes([0xA0 | len(name)]) + name + b"\x01\x83"
    expected += b"\xabidentifiers\x81\x00\xa1x" + b"\xa5nrows\x01"
    expected += b"\xa4data\x81\xa1d\x92\xa6double\x92\x01\xc4\x08" + struct.pack("<d", 1.5)
    assert (tmp_path / "a.refl").read_bytes() == expected


def test_written_and_read(tmp_path):
    write_refl(tmp_path / "a.refl", table())
    found = read_refl(tmp_path / "a.refl")
    assert len(found) == 3
    assert found.identifiers == {0: "sweep"}
    assert found.opaque == table().opaque
    assert set(found.columns) == set(table().columns)
    for name, values in table().columns.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    assert found.flagged(Flag.INDEXED).all()
    assert not found.flagged(Flag.STRONG).any()
    write_refl(tmp_path / "b.refl", found)
    assert (tmp_path / "a.refl").read_bytes() == (tmp_path / "b.refl").read_bytes()


def test_types_are_those_of_dials(tmp_path):
    write_refl(tmp_path / "a.refl", table())
    data = msgpack.unpackb((tmp_path / "a.refl").read_bytes(), strict_map_key=False)[2]["data"]
    assert {name: stored[0] for name, stored in data.items()} == {
        "miller_index": "cctbx::miller::index<>",
        "id": "int",
        "panel": "std::size_t",
        "flags": "std::size_t",
        "xyzobs.px.value": "vec3<double>",
        "entering": "bool",
        "bbox": "int6",
        "own.matrix": "mat3<double>",
        "own.number": "double",
        "own.pair": "vec2<double>",
        "shoebox": "Shoebox<>",
    }


def test_selection_and_joining():
    some = table(5).select(np.array([4, 0]))
    np.testing.assert_array_equal(some.panel, [4, 0])
    assert some.opaque == {}
    both = joined([some, table(2).with_columns({"more": np.zeros(2)})])
    np.testing.assert_array_equal(both.panel, [4, 0, 0, 1])
    assert "more" not in both
    with pytest.raises(ValueError, match="experiment 0 is 'sweep' in one"):
        joined([table(), ReflectionTable(table().columns, {0: "other"})])


def test_tables_that_cannot_be():
    with pytest.raises(ValueError, match="different lengths"):
        ReflectionTable({"id": np.zeros(2, int), "panel": np.zeros(3, int)})
    with pytest.raises(ValueError, match="column s1 has rows of shape"):
        ReflectionTable({"s1": np.zeros((2, 2))})
    with pytest.raises(ValueError, match="column panel holds real numbers"):
        ReflectionTable({"panel": np.zeros(2)})
    with pytest.raises(ValueError, match="which no table can hold"):
        ReflectionTable({"own": np.zeros((2, 5))})


def pack(change) -> bytes:
    data = {"d": ["double", [2, bytes(16)]], "panel": ["std::size_t", [2, bytes(16)]]}
    content = ["dials::af::reflection_table", 1, {"identifiers": {0: "x"}, "nrows": 2, "data": data}]
    change(content)
    return msgpack.packb(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a reflection table"),
        (b"\x80\x03cdials", "not a reflection table"),
        (pack(lambda c: None)[:60], "cut short"),
        (pack(lambda c: c.pop()), "does not start with"),
        (pack(lambda c: c.__setitem__(0, "other")), "does not start with"),
        (pack(lambda c: c.__setitem__(1, 2)), "version 2"),
        (pack(lambda c: c[2].pop("nrows")), "nrows"),
        (pack(lambda c: c[2].update(nrows=-1)), "nrows"),
        (pack(lambda c: c[2].update(data=[])), "nrows or data"),
        (pack(lambda c: c[2].update(nrows=3)), "column d: 2 rows, expected 3"),
        (pack(lambda c: c[2].update(identifiers={0: 1})), "identifiers: expected"),
        (pack(lambda c: c[2]["data"].update(d=["double", [2, bytes(15)]])), "column d: 15 bytes, expected 16"),
        (pack(lambda c: c[2]["data"].update(d=["double", [2, "x"]])), "column d: expected a type"),
        (pack(lambda c: c[2]["data"].update(d=3)), "column d: expected a type"),
        (pack(lambda c: c[2]["data"].update(panel=["int", [2, bytes(8)]])), "column panel: its type is int"),
    ],
)
def test_refusals(tmp_path, content, words):
    (tmp_path / "a.refl").write_bytes(content)
    with pytest.raises(FileFormatError, match=words) as caught:
        read_refl(tmp_path / "a.refl")
    assert "\n" not in str(caught.value)


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_refused_in_one_line_or_read(tmp_path, data):
    write_refl(tmp_path / "a.refl", table())
    content = bytearray((tmp_path / "a.refl").read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    (tmp_path / "b.refl").write_bytes(bytes(content))
    message = refusal(tmp_path / "b.refl")
    assert message is None or ("\n" not in message and "b.refl" in message)


def refusal(path) -> str | None:
    try:
        read_refl(path)
    except FileFormatError as error:
        return str(error)
    return None


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileFormatError, match="unable to open"):
        read_refl(tmp_path / "none.refl")
