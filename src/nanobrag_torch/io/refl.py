"""Reflection tables of DIALS (`.refl`): MessagePack of a name, a version and columns of little-endian bytes.

The layout is `["dials::af::reflection_table", 1, {"identifiers": {number: name}, "nrows": n, "data": {column:
[type, [rows, bytes]]}}]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.files import Opening, PathLike, read_bytes, whole_file
from nanobrag_torch.io.reflection_table import COLUMNS, KINDS, Opaque, ReflectionTable, kind_of

_NAME, _VERSION = "dials::af::reflection_table", 1


def read_refl(path: PathLike) -> ReflectionTable:
    """A reflection table; columns of types that are not understood are kept as they come.

    Raises:
        FileFormatError: missing, not a reflection table, cut short, or a column that is not what its name or the
            number of rows says.
        InputError: the package msgpack is not installed.
    """
    msgpack = _msgpack(path)
    content = read_bytes(path)
    try:
        found = msgpack.unpackb(content, strict_map_key=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise FileFormatError(path, "", "not a reflection table of DIALS (MessagePack), or cut short") from error
    if not (isinstance(found, list) and len(found) == 3 and found[0] == _NAME and isinstance(found[2], dict)):
        raise FileFormatError(path, "", f"not a reflection table of DIALS: it does not start with {_NAME!r}")
    if found[1] != _VERSION:
        raise FileFormatError(path, "", f"version {found[1]!r} of the format, only {_VERSION} is known")
    rows, data, names = (found[2].get(key) for key in ("nrows", "data", "identifiers"))
    if not isinstance(rows, int) or isinstance(rows, bool) or rows < 0 or not isinstance(data, dict):
        raise FileFormatError(path, "", "nrows or data is missing or not what it should be")
    columns: dict[str, NDArray[Any]] = {}
    opaque: dict[str, Opaque] = {}
    for name, stored in data.items():
        kind, content = _stored(path, name, stored, rows)
        if kind in KINDS:
            columns[str(name)] = _column(path, str(name), kind, content, rows)
        else:
            opaque[str(name)] = Opaque(kind, content)
    return ReflectionTable(columns, _identifiers(path, names), opaque)


def _stored(path: PathLike, name: object, stored: object, rows: int) -> tuple[str, bytes]:
    """Type and bytes of a column."""
    where = f"column {name}"
    match stored:
        case [str(kind), [int(count), bytes(content)]]:
            if count != rows:
                raise FileFormatError(path, where, f"{count} rows, expected {rows}")
            return kind, content
    raise FileFormatError(path, where, "expected a type, a number of rows and bytes")


def _column(path: PathLike, name: str, kind_name: str, content: bytes, rows: int) -> NDArray[Any]:
    kind, where = KINDS[kind_name], f"column {name}"
    if COLUMNS.get(name, kind_name) != kind_name:
        raise FileFormatError(path, where, f"its type is {kind_name}, expected {COLUMNS[name]}")
    if len(content) != rows * kind.row_bytes:
        raise FileFormatError(path, where, f"{len(content)} bytes, expected {rows * kind.row_bytes} for {rows} rows")
    return np.frombuffer(content, dtype=kind.element).reshape(rows, *kind.shape)


def _identifiers(path: PathLike, names: object) -> dict[int, str]:
    if names is None:
        return {}
    if not isinstance(names, Mapping) or not all(
        isinstance(key, int) and isinstance(name, str) for key, name in names.items()
    ):
        raise FileFormatError(path, "identifiers", "expected numbers of experiments and their names")
    return dict(names)


def write_refl(path: PathLike, table: ReflectionTable, *, opening: Opening = whole_file, field: str = "") -> None:
    """Write a reflection table; `field` names the flag in errors.

    Raises:
        InputError: the file cannot be written, or the package msgpack is not installed.
    """
    msgpack, rows = _msgpack(field or path), len(table)
    data: dict[str, Any] = {}
    for name, values in table.columns.items():
        kind = kind_of(name, values)
        data[name] = [kind.name, [rows, np.ascontiguousarray(values, dtype=kind.element).tobytes()]]
    data.update((name, [column.kind, [rows, column.data]]) for name, column in table.opaque.items())
    identifiers = {int(number): name for number, name in table.identifiers.items()}
    content = [_NAME, _VERSION, {"identifiers": identifiers, "nrows": rows, "data": dict(sorted(data.items()))}]
    with opening(path, field) as file:
        file.write(msgpack.packb(content, use_bin_type=True))


def _msgpack(field: PathLike) -> Any:
    try:
        import msgpack
    except ImportError as error:
        raise InputError(
            str(field), "reflection tables need the package msgpack", "pip install 'nanobrag_torch[refine]'"
        ) from error
    return msgpack
