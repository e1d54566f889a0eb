"""Surfaces of triangles: Wavefront OBJ files (vertices and faces)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike, read_lines


def read_obj(path: PathLike) -> NDArray[np.float64]:
    """Triangles [T, 3, 3] of the faces of a file, in its units; a face of more corners becomes a fan.

    Raises:
        FileFormatError: names the line: a vertex or face that cannot be read; or the surface is not closed, or its
            faces are seen clockwise from outside.
    """
    vertices: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        where = f"line {number}"
        if words[:1] == ["v"]:
            vertices.append(_vertex(path, where, words[1:]))
        elif words[:1] == ["f"]:
            corners = [_corner(path, where, word, len(vertices)) for word in words[1:]]
            if len(corners) < 3:
                raise FileFormatError(path, where, f"a face of {len(corners)} corners, expected 3 or more")
            triangles += [(corners[0], b, c) for b, c in zip(corners[1:], corners[2:], strict=False)]
    if not triangles:
        raise FileFormatError(path, "", "no face in the file, expected lines `f a b c`")
    edges = [edge for a, b, c in triangles for edge in ((a, b), (b, c), (c, a))]
    if len(set(edges)) != len(edges) or {(b, a) for a, b in edges} != set(edges):
        raise FileFormatError(
            path, "", "the surface is not closed: some edge has not exactly two faces, seen both ways"
        )
    surface = np.array(vertices)[np.array(triangles)]
    if np.einsum("ti,ti->", surface[:, 0], np.cross(surface[:, 1], surface[:, 2])) <= 0:
        raise FileFormatError(path, "", "the faces run clockwise seen from outside; turn them around")
    return np.asarray(surface)


def _vertex(path: PathLike, where: str, words: list[str]) -> list[float]:
    try:
        values = [float(word) for word in words[:3]]
    except ValueError:
        values = []
    if len(values) != 3 or not np.isfinite(values).all():
        raise FileFormatError(path, where, "expected three finite numbers behind v")
    return values


def _corner(path: PathLike, where: str, word: str, count: int) -> int:
    first = word.split("/")[0]
    number = int(first) if first.lstrip("-").isdigit() else 0
    place = number - 1 if number > 0 else count + number
    if number == 0 or not 0 <= place < count:
        raise FileFormatError(path, where, f"{word!r} is no vertex of the {count} before it")
    return place
