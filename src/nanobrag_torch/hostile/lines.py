"""Bad command lines, by the thousand: every flag with every kind of bad value, every input damaged in every way."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from nanobrag_torch.cli.flags import FLAGS, Flag
from nanobrag_torch.cli.parse import find_flag
from nanobrag_torch.hostile.mutate import NUMBERS, mutated
from nanobrag_torch.hostile.seeds import seeds
from nanobrag_torch.hostile.targets import SCENE

PLACES = (
    "missing/folder/name",
    ".",
    "..",
    "/",
    "/dev/zero",
    "/dev/full",
    "pipe",
    "a" * 300,
    "\udcff.bin",
    "-",
    "",
    "a b",
)
"""Names that no file should have."""
INPUTS = {
    "-hkl": "hkl",
    "-mat": "matrix",
    "-sourcefile": "sources",
    "-spectrum": "spectrum",
    "-img": "smv",
    "-mask": "smv",
    "-expt": "expt",
    "-model": "model",
    "-batch": "batch",
    "-dump": "dump",
}
"""Kind of file behind a flag."""
NAMED = {"-hkl mtz": ("-hkl", "in.mtz", "mtz"), "-hkl cif": ("-hkl", "in.cif", "cif")}
LATE = ("-expt", "-batch", "-help", "-version", "-h")


@dataclass(frozen=True)
class BadLine:
    """Words, files that they find in the folder, and what is special: `pipe` = a FIFO of this name."""

    words: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    about: str = ""


def bad_lines(seed: int = 1, damaged: int = 100) -> Iterator[BadLine]:
    """All of them; those with damaged files depend on the seed, `damaged` for each kind."""
    yield from _values()
    yield from _names()
    yield from _overwritten()
    yield from _damaged(seed, damaged)


def _values() -> Iterator[BadLine]:
    """Every flag that takes numbers, each of them replaced."""
    for flag in FLAGS:
        if flag.action or flag.name in LATE or not flag.takes.shown or _is_name(flag):
            continue
        words = flag.example_words
        place = next(n for n, word in enumerate(words) if find_flag(word) is flag)
        for number in NUMBERS:
            for at in range(place + 1, len(words)):
                line = [*words[:at], number, *words[at + 1 :]]
                yield BadLine((*SCENE, *line), about=f"{flag.name} value {at - place}")


def _is_name(flag: Flag) -> bool:
    return any(word in ("file", "device") for word in flag.takes.shown)


def _names() -> Iterator[BadLine]:
    """Every flag that takes a file, with names that no file should have."""
    for flag in FLAGS:
        if flag.action or not any(word == "file" for word in flag.takes.shown):
            continue
        for place in PLACES:
            yield BadLine((*SCENE, flag.name, place), {"pipe": b""} if place == "pipe" else {}, f"{flag.name} name")
    for device in (
        "meta",
        "mps",
        "xla",
        "hip",
        "vulkan",
        "ipu",
        "mtia",
        "fpga",
        "privateuseone",
        "cuda:99",
        "",
        "cpu:-1",
    ):
        yield BadLine((*SCENE, "-device", device), about="-device")


def _overwritten() -> Iterator[BadLine]:
    """Outputs that are inputs, and outputs that are one file."""
    good = {f"in.{kind}": stored[0] for kind, stored in seeds().items()}
    outputs = ("-floatfile", "-intfile", "-pgmfile", "-noisefile", "-png", "-cbf", "-nexus")
    for flag, kind in INPUTS.items():
        if flag in ("-batch", "-dump"):
            continue
        for output in outputs:
            for name in (f"in.{kind}", f"./in.{kind}", f"link.{kind}"):
                files = {**good, f"link.{kind}": b"-> in." + kind.encode()}
                yield BadLine((*SCENE, flag, f"in.{kind}", output, name), files, "output is input")
    for n, first in enumerate(outputs):
        for second in outputs[n + 1 :]:
            yield BadLine((*SCENE, first, "same.out", second, "./same.out"), about="two outputs, one file")
    for output in outputs:
        files = {"in.hkl": good["in.hkl"]}
        yield BadLine((*SCENE, "-hkl", "in.hkl", "-dump", "x.bin", output, "x.bin"), files, "output is dump")
        yield BadLine((*SCENE, output, "Fdump.bin"), {"Fdump.bin": seeds()["dump"][0]}, "output is dump")
    yield BadLine((*SCENE, "-hkl", "in.hkl", "-dump", "in.hkl"), {"in.hkl": good["in.hkl"]}, "dump is input")


def _damaged(seed: int, count: int) -> Iterator[BadLine]:
    """Every input, damaged."""
    places = {flag: (flag, f"in.{kind}", kind) for flag, kind in INPUTS.items()} | NAMED
    for flag, name, kind in places.values():
        stored = seeds()[kind]
        for number in range(count + len(stored)):
            rng = random.Random(f"bad line {flag} {seed} {number}")
            content = stored[number] if number < len(stored) else mutated(rng, stored)
            words = tuple(word for word in SCENE if flag != "-dump" or word not in ("-default_F", "50"))
            yield BadLine((*words, flag, name), {name: content}, f"{flag} {kind} damaged")
