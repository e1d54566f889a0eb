"""What a random command line is collected in: groups of words that stay together, files, and what is known so far."""

from __future__ import annotations

import random

from nanobrag_torch.cli.flags import FLAGS
from nanobrag_torch.parity.fuzz_files import Cell, number

Value = str | int | float
INPUT_FOLDER = "../inputs"

_SPELLINGS = {flag.name: flag.spellings for flag in FLAGS}
_ENDINGS = {
    "-lambda": ("", "0"),
    "-wave": ("", "length"),
    "-pixel": ("", "_size"),
    "-Xbeam": ("", "_mm"),
    "-Ybeam": ("", "_mm"),
    "-osc": ("", "_range"),
    "-mosaic_dom": ("", "ains"),
    "-mosaic_spr": ("", "ead"),
    "-mosaici": ("ty", ""),
    "-sourcefile": ("", "s"),
}


class Builder:
    """Collects flags in groups, each group a few words that stay together."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.groups: list[list[str]] = []
        self.files: dict[str, bytes] = {}
        self.pixels = (16, 16)
        self.wavelength = 1.0
        self.pixel = 0.4
        self.distance = 100.0
        self.cell: Cell = (40.0, 45.0, 50.0, 90.0, 90.0, 90.0)
        self.counts = [4, 4, 4]
        self.terms = 1.0
        self.table = self.curved = False
        self.beam = [1.0, 0.0, 0.0]

    def maybe(self, chance: float) -> bool:
        """True with this chance."""
        return self.rng.random() < chance

    def flag(self, name: str, *values: Value) -> None:
        """Add a flag with its values as a group of words."""
        self.groups.append(self.words(name, *values))

    def words(self, name: str, *values: Value) -> list[str]:
        """A flag, spelt in one of its ways, with its values as words."""
        shown = [number(self.rng, v) if isinstance(v, float) else str(v) for v in values]
        return [self.spelt(name), *shown]

    def spelt(self, name: str) -> str:
        """One of the flag's spellings, continued where the table allows it, with one or two dashes."""
        spelling = self.rng.choice(_SPELLINGS[name])
        if spelling.endswith("*"):
            spelling = spelling[:-1]
            spelling += self.rng.choice(_ENDINGS.get(spelling, ("",)))
        return "-" + spelling if self.maybe(0.05) else spelling

    def integer(self, value: int) -> str:
        """A whole number, now and then written as a real one."""
        return f"{value}.0" if self.maybe(0.03) else str(value)

    def file(self, name: str, content: str | bytes) -> str:
        """Keep an input file and tell the name by which the line calls it."""
        self.files[name] = content.encode() if isinstance(content, str) else content
        return f"{INPUT_FOLDER}/{name}"
