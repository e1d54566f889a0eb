"""argv -> Config: one pass over the words in their order, later words winning (specs: cli 1).

A scene named by `-scene` comes first, then headers named by `-expt`, `-mask` and `-img`, in this order, so that any
flag overrides them (specs: io_formats 6).
The result holds what was said and nothing more: `settle` supplies defaults, precedence and units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nanobrag_torch.cli.flags import FLAGS, NEVER_EXISTED, Flag
from nanobrag_torch.cli.flags.continued import meaning_elsewhere, said_of
from nanobrag_torch.cli.flags.words import is_number, looks_like_flag
from nanobrag_torch.config import (
    BackgroundConfig,
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    OutputConfig,
    PathConfig,
    ResponseConfig,
    SamplingConfig,
)
from nanobrag_torch.config.output import WITHOUT_EFFECT
from nanobrag_torch.errors import FileFormatError, InputError

_PARTS: dict[str, type[Any]] = {
    "crystal": CrystalConfig,
    "beam": BeamConfig,
    "detector": DetectorConfig,
    "sampling": SamplingConfig,
    "output": OutputConfig,
    "background": BackgroundConfig,
    "path": PathConfig,
    "response": ResponseConfig,
}
_COMMAND_LINE: dict[str, Any] = {"crystal.use_dump": True}
"""What holds for every command line, and only there (specs: deviations D58, D62)."""

LONGEST_FLAG = 40
"""Letters of an unknown word that are compared with the flags."""

SCENE_ENDING = ".toml"
"""A word with this ending where a flag is expected names a scene."""

_WITH_PANELS = ("panels", "pivot", "curved", "point_pixel")
"""Detector fields that go together with panels."""

_PART_OF = {name: part for part, kind in _PARTS.items() for name in kind.__dataclass_fields__}

_EXACT = {s: flag for flag in FLAGS for s in flag.spellings if not s.endswith("*")}
_PREFIX = {s[:-1]: flag for flag in FLAGS for s in flag.spellings if s.endswith("*")}


@dataclass(frozen=True)
class Parsed:
    """A command line, understood.

    Args:
        config: what was said.
        notes: lines for the user about words without effect.
        spelt: for every configuration field that was set (`distance_mm`), the flag as it was spelt.
        action: `run`, `help`, `version`, `completion` or `batch`.
        words: the command line, without flags that change no file.
    """

    config: Config
    notes: tuple[str, ...] = ()
    spelt: Mapping[str, str] = field(default_factory=dict)
    action: str = "run"
    words: tuple[str, ...] = ()


def parse(argv: Sequence[str]) -> Config:
    """What the command line says, as a `Config`.

    Args:
        argv: the words behind the program's name.

    Raises:
        InputError: an unknown word, or a missing or unsuitable value.
        FileFormatError: a header that cannot be read.
    """
    return parse_line(argv).config


def parse_line(argv: Sequence[str]) -> Parsed:
    """What the command line says, with notes and the spelling of every field.

    Help and version win over everything else on the line, then a batch. Raises as `parse`. specs: cli 1.
    """
    actions = [flag.action for flag in map(find_flag, argv) if flag is not None and flag.action]
    if actions:
        return Parsed(Config(), action=next((action for action in actions if action != "batch"), "batch"))
    uses = list(_uses(argv))
    said: dict[str, Any] = dict(_COMMAND_LINE)
    spelt: dict[str, str] = {}
    notes: list[str] = []
    listed = 1.0
    for kind in ("scene", "expt", "mask", "img"):
        names = [use.words[0] for use in uses if use.flag.name == f"-{kind}"]
        if names:
            header = _header(names[-1], kind, notes)
            listed = header.get("beam.wavelength_A", 1.0) if kind in ("scene", "expt") else listed
            said |= header
            spelt |= dict.fromkeys(map(bare, header), f"-{kind} {names[-1]}")
    for use in uses:
        said |= _added(said, use) if use.flag.repeats else use.values
        spelt |= dict.fromkeys(map(bare, use.values), use.word)
        if use.flag.says:
            notes.append(f"{use.word}: {use.flag.says}")
        if use.note:
            notes.append(use.note)
    _drop_beaten_distance(said, spelt)
    _settle_experiment_list(said, spelt, listed)
    return Parsed(_config(said), tuple(dict.fromkeys(notes)), spelt, words=_telling(uses))


def words_behind(action: str, words: Sequence[str]) -> Sequence[str]:
    """The words behind the first flag that asks for an action."""
    at = next(i for i, word in enumerate(words) if (flag := find_flag(word)) is not None and flag.action == action)
    return words[at + 1 :]


def find_flag(word: str) -> Flag | None:
    """The row that a word matches: exactly first, then by the longest starred spelling; one or two dashes."""
    word = word[1:] if word.startswith("--") else word
    if word in _EXACT:
        return _EXACT[word]
    prefixes = [prefix for prefix in _PREFIX if word.startswith(prefix)]
    return _PREFIX[max(prefixes, key=len)] if prefixes else None


def nearest(word: str) -> str:
    """Advice that names the known spelling closest to an unknown word."""
    import difflib

    spellings = [*_EXACT, *_PREFIX]
    bare_word = word.lstrip("-")
    found = difflib.get_close_matches(bare_word[:LONGEST_FLAG], [s[1:] for s in spellings], n=1, cutoff=0.6)
    if not found or (len(bare_word) < 6 and bare_word[:1].lower() != found[0][:1].lower()):
        return "see --help for all flags"
    return f"did you mean -{found[0]}?"


def bare(name: str) -> str:
    """`distance_mm` of `detector.distance_mm`."""
    return name.rpartition(".")[2]


@dataclass(frozen=True)
class _Use:
    """One flag on the line: the word as typed, its row, the words it took, and what they say."""

    word: str
    flag: Flag
    words: tuple[str, ...]
    values: Mapping[str, Any]
    note: str = ""


_IGNORED = Flag(("-",), "", "")


def _uses(argv: Sequence[str]) -> Sequence[_Use]:
    """Every flag of the line in its order, each with the words it takes."""
    uses: list[_Use] = []
    i = 0
    while i < len(argv):
        word, rest = argv[i], argv[i + 1 :]
        flag = find_flag(word)
        if flag is None and word.endswith(SCENE_ENDING) and not looks_like_flag(word):
            uses.append(_Use("-scene", _EXACT["-scene"], (word,), {"output.scene_file": word}))
            i += 1
            continue
        if flag is not None:
            use = _use(word, flag, rest)
        elif word.replace("--", "-", 1) in NEVER_EXISTED:
            taken = tuple(rest[: bool(rest) and is_number(rest[0])])
            text = f" and {taken[0]!r} behind it are" if taken else " is"
            use = _Use(word, _IGNORED, taken, {}, f"warning: {word}{text} ignored: there is no such flag")
        else:
            raise _stray(word, uses[-1] if uses else None)
        uses.append(use)
        i += 1 + len(use.words)
    return uses


def _telling(uses: Sequence[_Use]) -> tuple[str, ...]:
    """The words of a line, but for those of flags that change only what is said and how it is computed."""
    silent = [bool(use.flag.fields) and set(map(bare, use.flag.fields)) <= set(WITHOUT_EFFECT) for use in uses]
    kept = (use for use, dropped in zip(uses, silent, strict=True) if not dropped)
    return tuple(word for use in kept for word in (use.word, *use.words))


def _use(word: str, flag: Flag, rest: Sequence[str]) -> _Use:
    elsewhere = None if _stem(word) == word else meaning_elsewhere(word)
    if elsewhere is not None:
        raise InputError(word, f"means {elsewhere[0]} in other programs", f"write {elsewhere[1]}")
    takes = flag.takes
    count = takes.count(rest)
    words = tuple(rest[:count])
    expected = f"{word} {' '.join(takes.shown)}" + (f" ({flag.unit})" if flag.unit else "")
    cut = next((n for n, w in enumerate(words) if find_flag(w) is not None), len(words))
    if cut < count:
        what = f"{words[cut]!r} follows" if cut < len(words) else "nothing follows" if cut == 0 else "the line ends"
        problem = f"{count - cut} more value{'s' if count - cut > 1 else ''} expected, but {what}"
        raise InputError(word, problem, f"write {expected}")
    try:
        values = takes.values(words)
    except ValueError as error:
        raise InputError(word, str(error), f"write {expected}") from None
    values = {**values, **flag.sets}
    if flag.convention:
        values["detector.convention"] = flag.convention
    if flag.pivot:
        values["detector.pivot"] = flag.pivot
    return _Use(word, flag, words, values, said_of(word, _stem(word)))


def _stem(word: str) -> str:
    """The spelling, without its star, that a word matches."""
    word = word[1:] if word.startswith("--") else word
    return word if word in _EXACT else max((prefix for prefix in _PREFIX if word.startswith(prefix)), key=len)


def _added(said: Mapping[str, Any], use: _Use) -> dict[str, Any]:
    """The values of a flag that may be given several times, behind those of its earlier uses."""
    return {name: (*(said.get(name) or ()), *value) for name, value in use.values.items()}


def _stray(word: str, before: _Use | None) -> InputError:
    """The error about a word that is no flag and no value."""
    if looks_like_flag(word):
        return InputError(word, "unknown flag", nearest(word))
    advice = "" if is_number(word) else nearest(word)
    if before is not None and not advice.startswith("did"):
        advice = f"{' '.join((before.word, *before.words))} is complete without it"
    return InputError(repr(word), "belongs to no flag", advice or "see --help for all flags")


def _header(path: str, kind: str, notes: list[str]) -> dict[str, Any]:
    """{`component.field`: value} of a header; two-theta has no effect (specs: io_formats 6, deviations D36)."""
    try:
        if kind == "scene":
            from nanobrag_torch.io.scene_file import read_fields

            return read_fields(path)
        if kind == "expt":
            from nanobrag_torch.io.expt import config_fields, read_expt

            return config_fields(read_expt(path))
        from nanobrag_torch.io.smv import read_smv_header

        facts = read_smv_header(path)
        values = facts.values(kind)
    except FileFormatError as error:
        raise error.behind(f"-{kind}") from error
    if facts.twotheta:
        notes.append(f"warning: {path}: TWOTHETA={facts.twotheta:g} of the header has no effect; give -twotheta")
    return {f"{_PART_OF[name]}.{name}": value for name, value in values.items()}


def _drop_beaten_distance(said: dict[str, Any], spelt: dict[str, str]) -> None:
    """Forget a header's DISTANCE that a close distance overrides, so that nobody is told of a conflict."""
    if spelt.get("close_distance_mm") and spelt.get("distance_mm", "").startswith(("-img ", "-mask ")):
        del said["detector.distance_mm"], spelt["distance_mm"]


def _settle_experiment_list(said: dict[str, Any], spelt: Mapping[str, str], wavelength: float) -> None:
    """Let flags work on what `-expt` said: its panels stay where they are, and so does its crystal at any wavelength.

    The orientation matrix of the list is relative to its own wavelength (Å); `-mat` takes its place.

    Raises:
        InputError: a flag that would place or shape the detector another way.
    """
    if "detector.panels" not in said:
        return
    source = spelt["panels"]
    for name, value in said.items():
        part, _, own = name.partition(".")
        keeps = own in _WITH_PANELS or (own, value) == ("convention", "CUSTOM") or spelt.get(own, source) == source
        if part == "detector" and not keeps:
            raise InputError(spelt[own], f"the detector comes from {source}", "leave one of the two out")
    matrix = said.pop("crystal.orientation_matrix", None)
    if matrix is not None and "crystal.matrix_file" not in said:
        scale = said["beam.wavelength_A"] / wavelength
        said["crystal.orientation_matrix"] = tuple(tuple(x * scale for x in row) for row in matrix)


def _config(said: Mapping[str, Any]) -> Config:
    """The `Config` of {`component.field`: value}."""
    parts: dict[str, dict[str, Any]] = {name: {} for name in _PARTS}
    for name, value in said.items():
        part, _, own = name.partition(".")
        parts[part][own] = value
    return Config(**{name: make(**parts[name]) for name, make in _PARTS.items()})
