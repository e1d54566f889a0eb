"""What PDB files state in fixed columns, which gemmi takes for 0 when it is no number."""

from __future__ import annotations

import math

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.reading import PathLike, read_bytes, unpacked
from nanobrag_torch.text import real

_NUMBERS = {"x": (30, 38), "y": (38, 46), "z": (46, 54), "occupancy": (54, 60), "B": (60, 66)}
_MAY_BE_BLANK = ("occupancy", "B")
_LAST = ("END", "MASTER")
"""Records that end a file."""


def check_pdb_lines(path: PathLike) -> bool:
    """Refuse atoms whose numbers are not numbers; whether the file says where it ends.

    Raises:
        FileFormatError: names the line and the number, or the line that was cut off.
    """
    content = unpacked(path, read_bytes(path))
    text = content.decode("latin-1")
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if line[:6].upper() in ("ATOM  ", "HETATM"):
            _check_atom(path, f"line {number}", line, cut=number == len(lines) and not text.endswith(("\n", "\r")))
    last = next((line for line in reversed(lines) if line.strip()), "")
    return last.rstrip().upper().startswith(_LAST)


def _check_atom(path: PathLike, where: str, line: str, cut: bool) -> None:
    if cut and len(line.rstrip()) < _NUMBERS["B"][1]:
        raise FileFormatError(path, where, "the file is truncated: it ends within an atom")
    for name, (start, end) in _NUMBERS.items():
        word = line[start:end].strip()
        if not word and name in _MAY_BE_BLANK:
            continue
        try:
            value = real(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            problem = f"{name} is {word!r}, not a number, in columns {start + 1} to {end}"
            raise FileFormatError(path, where, problem)
