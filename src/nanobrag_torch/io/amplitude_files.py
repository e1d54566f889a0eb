"""Which format a file of structure factors has: text table, MTZ or reflection mmCIF (specs: structure_factors 7)."""

from __future__ import annotations

import os
import stat
import zlib

from nanobrag_torch.io.reading import PathLike

TEXT, MTZ, CIF = "text", "mtz", "cif"
_GZIP = b"\x1f\x8b"
_START = 65536


def amplitude_format(path: PathLike) -> str:
    """`mtz`, `cif` or `text`: by the suffix (`.mtz`, `.cif`, `.mmcif`, gzipped or not), or else by how the file begins.

    A file that cannot be opened is taken for text, whose reader says why.
    """
    name = os.fspath(path).lower()
    if name.endswith(".mtz"):
        return MTZ
    if name.removesuffix(".gz").endswith((".cif", ".mmcif")):
        return CIF
    start = _start(path)
    if start.startswith(b"MTZ "):
        return MTZ
    for line in start.splitlines():
        if line.strip() and not line.lstrip().startswith(b"#"):
            return CIF if line.lstrip().lower().startswith(b"data_") else TEXT
    return TEXT


def brings_cell(path: PathLike) -> bool:
    """Whether a file of structure factors has a format that states the unit cell."""
    return amplitude_format(path) != TEXT


def _start(path: PathLike) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        with open(path, "rb") as file:
            start = file.read(_START)
        if start.startswith(_GZIP):
            start = zlib.decompressobj(wbits=31).decompress(start, _START)
    except (OSError, ValueError, zlib.error):
        return b""
    return start
