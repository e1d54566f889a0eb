"""A scene as text: every field of `Config` in TOML, one table per component, and back.

    [crystal]
    cell_a = 100.0
    hkl_file = "P1.hkl"

    [[detector.panels]]
    origin_mm = [0.0, 0.0, 100.0]

What is not written was not specified. Names of files are relative to the folder of the scene. A table `[made]` says how
the scene came about and has no effect. Tensors are written by value.
"""

from __future__ import annotations

import os
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_args, get_origin

from nanobrag_torch.config import Config
from nanobrag_torch.errors import FileFormatError, InputError

MADE = "made"
"""Name of the table without effect."""
ALWAYS = ("use_dump", "physics")
"""Fields that are written even when they have their default, which differs between the command line and Python."""
FORMS = ("box", "ellipsoid")
"""Forms of a sample that are no file."""


class Array:
    """Stands for an array among the types of fields."""


class Table:
    """Stands for something made in Python that a text cannot hold."""


_NAMES = {
    "Real": float,
    "Vector": tuple[float, float, float],
    "np": types.SimpleNamespace(ndarray=Array),
    "StructureFactors": Table,
}
"""What the annotations of `config/` mean here; everything else in them is what it says."""
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")
_HEAD = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]\]?\s*(?:#.*)?$")
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


def kinds(component: type) -> dict[str, Any]:
    """Field name: type, of a dataclass of the configuration."""
    return typing.get_type_hints(component, localns=_NAMES)


def read_text(text: str, path: str, folder: str = "") -> dict[str, Any]:
    """{`component.field`: value} of a scene.

    Args:
        text: TOML.
        path: where it comes from, for errors.
        folder: what relative names of files are relative to.

    Raises:
        FileFormatError: with the line: not TOML, an unknown name, or a value of another kind.
    """
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = _PLACE.search(str(error))
        where = f"line {found[1]}" if found and found[1] else "the last line" if found else ""
        raise FileFormatError(path, where, f"not TOML: {_PLACE.sub('', str(error))}") from error
    return dict(_fields_of(tables, _Lines(text, path), folder))


def _fields_of(tables: Mapping[str, Any], lines: _Lines, folder: str) -> Iterator[tuple[str, Any]]:
    parts = {part.name: _component(part) for part in fields(Config)}
    for part, table in tables.items():
        if part == MADE:
            continue
        if part not in parts:
            raise lines.error(part, f"there is no [{part}], but {', '.join(f'[{name}]' for name in parts)}")
        if not isinstance(table, dict):
            raise lines.error(part, f"{part} is a table: write [{part}] and its fields below")
        for name, value in _converted(table, parts[part], part, lines).items():
            yield f"{part}.{name}", _moved(name, value, lambda file: os.path.join(folder, file))


def _component(part: Field[Any]) -> type:
    return typing.cast(type, part.default_factory)


def _converted(table: Mapping[str, Any], component: type, place: str, lines: _Lines) -> dict[str, Any]:
    known = kinds(component)
    for name in table:
        if name not in known:
            raise lines.error(f"{place}.{name}", f"[{place}] has no {name!r}{_nearest(name, known)}")
    return {name: _value(value, known[name], f"{place}.{name}", lines) for name, value in table.items()}


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    import difflib

    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]}?" if found else f"; it has {', '.join(known)}"


def _value(value: Any, kind: Any, place: str, lines: _Lines) -> Any:
    if get_origin(kind) in (typing.Union, types.UnionType):
        arms = [arm for arm in get_args(kind) if arm is not type(None)]
        for arm in arms:
            if _fits(value, arm):
                return _made(value, arm, place, lines)
        raise lines.error(place, f"{_shown(value)} is not {' or '.join(map(_words, arms))}")
    if not _fits(value, kind):
        raise lines.error(place, f"{_shown(value)} is not {_words(kind)}")
    return _made(value, kind, place, lines)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value of TOML is one of a kind, as far as its outside tells."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is Array or kind is object:
        return _depth(value) == 2 or (kind is object and _depth(value) == 3)
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
            return False
        wanted = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return all(_fits(one, each) for one, each in zip(value, wanted, strict=True))
    if is_dataclass(kind):
        return isinstance(value, dict)
    return kind is not Table and isinstance(value, kind)


def _made(value: Any, kind: Any, place: str, lines: _Lines) -> Any:
    """A value that fits its kind, as the configuration holds it."""
    if kind is Array:
        import numpy as np

        return np.array(value, dtype=np.float64)
    if kind is object:
        return _tuples(value)
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        wanted = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        pairs = enumerate(zip(value, wanted, strict=True))
        return tuple(_made(one, each, f"{place}.{i}", lines) for i, (one, each) in pairs)
    if is_dataclass(kind):
        component = typing.cast(type, kind)
        whole = _converted(value, component, place, lines)
        missing = [f.name for f in fields(component) if f.default is MISSING and f.name not in whole]
        if missing:
            raise lines.error(place, f"{missing[0]} is missing")
        return component(**whole)
    return value


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _depth(value: Any) -> int:
    """Levels of nested lists of numbers of equal lengths; 0 for anything else."""
    if not isinstance(value, list) or not value:
        return 0
    if all(_fits(one, float) for one in value):
        return 1
    inner = {(_depth(one), len(one)) for one in value if isinstance(one, list)}
    level = next(iter(inner))[0] if len(inner) == 1 and all(isinstance(one, list) for one in value) else 0
    return level + 1 if level else 0


def _words(kind: Any) -> str:
    """What a value should be."""
    simple = {float: "a number", int: "a whole number", bool: "true or false", str: "a text in quotes"}
    if kind in simple:
        return simple[kind]
    if kind is Table:
        return "something that a file can hold (it is made in Python)"
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        each = _words(inner[0]).partition(" ")[2]
        return f"a list, each {_words(inner[0])}" if inner[-1] is Ellipsis else f"{len(inner)} {each}s"
    return "a table" if is_dataclass(kind) else "a list of rows of numbers, all of one length"


def _shown(value: Any) -> str:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class _Lines:
    """Where names stand in a text: tables and arrays of tables by their heads, keys below them."""

    def __init__(self, text: str, path: str) -> None:
        self._path, self._found = path, dict[str, int]()
        table, counts = "", dict[str, int]()
        for number, line in enumerate(text.splitlines(), start=1):
            head, key = _HEAD.match(line), _KEY.match(line)
            if head is not None:
                table = head[2]
                if head[1] == "[[":
                    counts[table] = counts.get(table, -1) + 1
                    table = f"{table}.{counts[table]}"
                self._found.setdefault(table, number)
            elif key is not None:
                self._found.setdefault(f"{table}.{key[1]}" if table else key[1], number)

    def error(self, place: str, problem: str) -> FileFormatError:
        """The error about a place, or about what holds it."""
        while place and place not in self._found:
            place = place.rpartition(".")[0]
        return FileFormatError(self._path, f"line {self._found[place]}" if place else "", problem)


def _moved(name: str, value: Any, move: Any) -> Any:
    """The value of a field with `move` done to the names of files in it."""
    if isinstance(value, str) and value and (name.endswith("_file") or (name == "sample_form" and value not in FORMS)):
        return move(value)
    if name == "materials" and value is not None:
        from dataclasses import replace

        return tuple(replace(m, table=move(m.table)) if isinstance(m.table, str) else m for m in value)
    return value


def scene_text(
    config: Config, folder: str | None = None, made: Mapping[str, str] | None = None, without: Sequence[str] = ()
) -> str:
    """A configuration as TOML.

    Args:
        config: what was specified.
        folder: what names of files are written relative to; as they are, by default.
        made: `[made]`, how it came about.
        without: fields that are left out.

    Raises:
        InputError: a value that was made in Python and that a text cannot hold.
    """
    lines: list[str] = []
    if made:
        lines += [f"[{MADE}]", *(f"{name} = {_toml(value)}" for name, value in made.items()), ""]
    move = _same if folder is None else _relative(folder)
    for part in fields(Config):
        component = getattr(config, part.name)
        said = []
        for field in fields(component):
            value = getattr(component, field.name)
            if field.name in without or value is None:
                continue
            if field.name in ALWAYS or not _is_default(value, field):
                said.append(f"{field.name} = {_written(_moved(field.name, value, move), field.name)}")
        if said:
            lines += [f"[{part.name}]", *said, ""]
    return "\n".join(lines)


def _same(name: str) -> str:
    return name


def _relative(folder: str) -> Any:
    return lambda name: os.path.relpath(os.path.abspath(name), os.path.abspath(folder or "."))


def _is_default(value: Any, field: Field[Any]) -> bool:
    return isinstance(value, str | int | float | bool | tuple) and value == field.default


def _written(value: Any, name: str) -> str:
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        return "[\n" + "".join(f"    {_inline(one, name)},\n" for one in value) + "]"
    return _toml(value, name)


def _inline(component: Any, name: str) -> str:
    pairs = ((f, getattr(component, f.name)) for f in fields(component))
    said = [f"{f.name} = {_toml(v, name)}" for f, v in pairs if v is not None and not _is_default(v, f)]
    return "{" + ", ".join(said) + "}"


def _toml(value: Any, name: str = "") -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(one, name) for one in value) + "]"
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if hasattr(value, "tolist"):
        return _toml(value.tolist(), name)
    if isinstance(value, int | float):
        return repr(value)
    raise InputError(name, "was made in Python, and a scene file cannot hold it", "write it to a file and name that")


def _quoted(text: str) -> str:
    named = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(named.get(c) or (c if c.isprintable() else f"\\u{ord(c):04X}") for c in text) + '"'
