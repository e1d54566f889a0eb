"""Scenes in files: TOML of their own, or within the NeXus, miniCBF and JSON files that were made from them."""

from __future__ import annotations

import json
import os
from typing import Any

from nanobrag_torch.config import Config
from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.cbf import LINE_MARK
from nanobrag_torch.io.files import Opening, whole_file
from nanobrag_torch.io.made import UNSAVED, made_of
from nanobrag_torch.io.reading import LARGEST_DATA, LARGEST_LIST, PathLike, read_bytes, unpacked
from nanobrag_torch.io.scene_toml import read_text, scene_text

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_fields(path: PathLike) -> dict[str, Any]:
    """{`component.field`: value} of the scene in a file of any of these kinds.

    Raises:
        FileFormatError: unreadable, without a scene, or with one that is wrong, with its line.
    """
    text = _text_of(path)
    return read_text(text, os.fspath(path), os.path.dirname(os.fspath(path)))


def read_scene(path: PathLike) -> Config:
    """The configuration in a TOML file, or that of a NeXus or miniCBF image; raises as `read_fields`."""
    parts: dict[str, dict[str, Any]] = {}
    for name, value in read_fields(path).items():
        part, _, own = name.partition(".")
        parts.setdefault(part, {})[own] = value
    whole = Config()
    return Config(**{part: type(getattr(whole, part))(**values) for part, values in parts.items()})


def write_scene(path: PathLike, config: Config, *, opening: Opening = whole_file, field: str = "") -> None:
    """Write a configuration as TOML, names of files relative to its folder.

    Raises:
        InputError: it cannot be written, or the configuration holds what only Python can.
    """
    text = scene_text(config, os.path.dirname(os.fspath(path)), made_of(config), UNSAVED)
    with opening(path, field) as file:
        file.write(text.encode("utf-8"))


def _text_of(path: PathLike) -> str:
    head = read_bytes(path)
    if head.startswith(_HDF5):
        return _of_nexus(path)
    content = unpacked(path, head, LARGEST_DATA)
    if content.startswith(b"###CBF"):
        header = content.partition(b"_array_data.data")[0].decode("utf-8", "replace")
        marked = (line.partition(f"# {LINE_MARK}") for line in header.splitlines())
        return _found(path, "\n".join(rest for before, mark, rest in marked if mark and not before))
    if len(content) > LARGEST_LIST:
        raise FileFormatError(path, "", f"is larger than {LARGEST_LIST} bytes, the most that a scene has")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FileFormatError(path, f"line {line}", "not a scene: neither text in UTF-8, NeXus nor CBF") from error
    return _of_json(path, text) if text.lstrip().startswith("{") else text


def _of_nexus(path: PathLike) -> str:
    from nanobrag_torch.io.apart import read_nexus_apart

    return _found(path, read_nexus_apart(path, slice(0, 0)).made)


def _of_json(path: PathLike, text: str) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, "", f"neither TOML nor JSON: {error}") from error
    scene = found.get("scene") if isinstance(found, dict) else None
    return _found(path, scene if isinstance(scene, str) else "")


def _found(path: PathLike, text: str) -> str:
    if not text.strip():
        raise FileFormatError(path, "", "carries no scene: it was not written by a command of nanobrag")
    return text
