"""A YAML or TOML file as plain values, with the line of every key; free of torch."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike, read_bytes

Place = tuple[str | int, ...]
"""The keys that lead to a value."""


@dataclass(frozen=True)
class Marked:
    """A value of a description with its place, so that whoever dislikes it can say where it stands.

    Args:
        path: the file, or what stands for it.
        value: plain Python.
        lines: line by place; empty for a description made in Python.
        place: where the value is.
    """

    path: str
    value: Any
    lines: Mapping[Place, int]
    place: Place = ()

    @property
    def name(self) -> str:
        """The place as a person writes it: `vary.distance_mm`."""
        return ".".join(map(str, self.place))

    def error(self, problem: str) -> FileFormatError:
        """An error about this value, naming its line."""
        place = self.place
        while place and place not in self.lines:
            place = place[:-1]
        where = f"line {self.lines[place]}" if place in self.lines else ""
        return FileFormatError(self.path, where, f"{self.name}: {problem}" if self.place else problem)

    def __getitem__(self, key: str | int) -> Marked:
        return Marked(self.path, self.value[key], self.lines, (*self.place, key))

    def get(self, key: str) -> Marked | None:
        """The value of a key, or `None`."""
        return self[key] if key in self.value else None

    def keys(self, known: Iterable[str] | None = None) -> list[str]:
        """The keys of a mapping, all among `known`.

        Raises:
            FileFormatError: it is no mapping, or has an unknown key; the nearest known one is offered.
        """
        if not isinstance(self.value, Mapping):
            raise self.error(f"{self.value!r} is not a mapping of keys to values")
        names = [str(key) for key in self.value]
        known = None if known is None else list(known)
        for name in names if known is not None else ():
            assert known is not None
            if name not in known:
                raise self[name].unknown(name, known)
        return names

    def unknown(self, name: str, known: Iterable[str]) -> FileFormatError:
        """The error of an unknown name, with the nearest known one."""
        known = list(known)
        near = difflib.get_close_matches(name, known, 1, 0.5)
        advice = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}" if len(known) < 25 else ""
        return self.error(f"{name} is not known" + (f"; {advice}" if advice else ""))

    def items(self) -> list[Marked]:
        """The entries of a list; one value stands for a list of one."""
        if not isinstance(self.value, list | tuple):
            return [self]
        return [self[index] for index in range(len(self.value))]

    def number(self, least: float | None = None, most: float | None = None) -> float:
        """A finite number within bounds.

        Raises:
            FileFormatError: it is none.
        """
        value = self.value
        if isinstance(value, str):
            # YAML 1.1 takes 1e25 for a word.
            try:
                value = float(value)
            except ValueError:
                raise self.error(f"{value!r} is not a number") from None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or value != value
            or abs(value) == float("inf")
        ):
            raise self.error(f"{value!r} is not a finite number")
        if least is not None and value < least or most is not None and value > most:
            raise self.error(f"{value} is not {_range(least, most)}")
        return value

    def whole(self, least: int | None = None, most: int | None = None) -> int:
        """A whole number within bounds; raises as `number`."""
        value = self.number(least, most)
        if value != int(value):
            raise self.error(f"{value} is not a whole number")
        return int(value)

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.error(f"{self.value!r} is neither true nor false")
        return self.value

    def text(self, choices: Iterable[str] | None = None) -> str:
        """A text, one of `choices` if there are any."""
        if not isinstance(self.value, str):
            raise self.error(f"{self.value!r} is not a text")
        if choices is not None and self.value not in choices:
            raise self.unknown(self.value, choices)
        return self.value


def _range(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f"between {least:g} and {most:g}"
    return f"at least {least:g}" if least is not None else f"at most {most:g}"


def read_marked(path: PathLike) -> Marked:
    """Read a description; the suffix tells TOML, everything else is YAML.

    Raises:
        FileFormatError: missing, not of its format, or a key given twice.
    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(path, "", f"not a text in UTF-8: {error.reason}") from error
    return text_marked(path, text)


def text_marked(path: PathLike, text: str) -> Marked:
    """A description from its text; raises as `read_marked`."""
    if str(path).lower().endswith(".toml"):
        value, lines = _toml(path, text)
    else:
        value, lines = _yaml(path, text)
    if not isinstance(value, dict):
        raise FileFormatError(path, "", "holds no keys with values")
    return Marked(str(path), value, lines)


def _yaml(path: PathLike, text: str) -> tuple[Any, dict[Place, int]]:
    import yaml

    lines: dict[Place, int] = {}
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        value = None if node is None else _plain(path, node, loader, (), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}"
        raise FileFormatError(path, where, f"not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise FileFormatError(path, "", f"not YAML: {str(error).splitlines()[0]}") from error
    finally:
        loader.dispose()
    return value, lines


def _plain(path: PathLike, node: Any, loader: Any, place: Place, lines: dict[Place, int]) -> Any:
    """The value of a YAML node, noting lines; of a key, the line where the key stands."""
    import yaml

    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in found:
                raise FileFormatError(path, f"line {line}", f"{key} is given twice")
            lines[*place, key] = line
            found[key] = _plain(path, value_node, loader, (*place, key), lines)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(path, child, loader, (*place, index), lines) for index, child in enumerate(node.value)]
    return loader.construct_object(node, deep=True)


_HEADING = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*([A-Za-z0-9_.\-"' ]+?)\s*=""")


def _toml(path: PathLike, text: str) -> tuple[Any, dict[Place, int]]:
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        where = f"line {found[1]}" if found else ""
        raise FileFormatError(path, where, f"not TOML: {re.sub(r' [(]at .*', '', str(error))}") from error
    lines: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if heading := _HEADING.match(line):
            table = _dotted(heading[1])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_dotted(key[1])), number)
    return value, lines


def _dotted(name: str) -> Place:
    return tuple(part.strip().strip("\"'") for part in name.split("."))
