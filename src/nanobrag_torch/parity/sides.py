"""Both sides of a comparison, run on the same words, with their times and their float images."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.cli.parse import parse_line
from nanobrag_torch.errors import ParityError
from nanobrag_torch.parity.printed import printed_numbers
from nanobrag_torch.parity.process import Outcome, run, shown
from nanobrag_torch.parity.programs import CProgram, our_command
from nanobrag_torch.parity.words import FLOAT_FILE, OURS_ONLY, portable, uses, without
from nanobrag_torch.parity.workarounds import for_original

ONE_PIXEL = ("-roi", "0", "0", "0", "0")
KEPT_FILES = ("intimage.img", "image.pgm", "noiseimage.img")


class RunnerFailed(ParityError):
    """One side crashed, refused its line, or ran out of time; `outcome` holds its logs."""

    def __init__(self, side: str, outcome: Outcome, args: Sequence[str]) -> None:
        self.side, self.outcome = side, outcome
        lines = outcome.last_lines()
        text = f"the {side} side {outcome.ending()}: {shown(outcome.command)}"
        culprit = _named_flag(lines, args)
        if culprit:
            text += f"\nit objects to {culprit}"
        super().__init__(text + "".join(f"\n  | {line}" for line in lines or ["(it said nothing)"]))


def _named_flag(lines: Sequence[str], args: Sequence[str]) -> str:
    """The flag of the line that its last words name, or empty."""
    said = re.findall(r"-{1,2}[A-Za-z4]\w*", " ".join(lines))
    return next((use.word for use in uses(args) if use.word.startswith("-") and use.word in said), "")


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Args:
        args: the words both sides get.
        c: the C program.
        py_bin: words that start our side instead of this package, or `None`.
        extra: words that only our side gets (`-dtype`, `-device`).
        limit: seconds for one run, or `None`.
        repeat: pairs of runs.
        threads: threads on both sides, or `None` for all.
        timed: whether start-up is measured by separate runs.
        verbatim: an original nanoBragg gets the words as they are, its defects with them.
    """

    args: tuple[str, ...]
    c: CProgram
    py_bin: str | None = None
    extra: tuple[str, ...] = ()
    limit: float | None = None
    repeat: int = 1
    threads: int | None = None
    timed: bool = True
    verbatim: bool = False


@dataclass
class Side:
    """One side's result: its words, its first run, and its times in seconds (one entry per repeat)."""

    name: str
    command: tuple[str, ...]
    first: Outcome
    image: NDArray[np.float32]
    printed: dict[str, Any]
    wall: list[float] = field(default_factory=list)
    startup: list[float] = field(default_factory=list)
    render: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def times(self) -> dict[str, Any]:
        """Medians with all their values."""
        rows = {"wall": self.wall, "startup": self.startup, "render": self.render}
        return {f"{name}_s": {"median": median(v), "all": v} for name, v in rows.items() if v}


@dataclass
class Sides:
    """Both sides, and what was changed for an original nanoBragg."""

    c: Side
    py: Side
    changes: list[str]
    doubts: list[str]

    def ratios(self) -> dict[str, float]:
        """C time over ours, for rendering alone and for whole processes."""
        found = {}
        if self.c.render and self.py.render and median(self.py.render) > 0:
            found["render"] = median(self.c.render) / median(self.py.render)
        if self.c.wall and self.py.wall:
            found["process"] = median(self.c.wall) / median(self.py.wall)
        return found


def run_both(plan: Plan, log: Path) -> Sides:
    """Run both sides, alternately when repeated, each in an empty folder of its own.

    Args:
        plan: what to run.
        log: folder for the logs; the integer, grey and noise images are moved there too.

    Raises:
        RunnerFailed: a side ended badly or ran out of time; its logs are in `log`.
        ParityError: the line cannot be given to this C program.
        OSError: a folder or file cannot be used.
    """
    base = Path.cwd()
    args = portable(plan.args, base)
    c_words, changes, doubts = _c_words(plan, args)
    py_words = [*args, *plan.extra, "-floatfile", FLOAT_FILE, "-noprogress"]
    if plan.py_bin is None:
        py_words += ["-threads", str(plan.threads or thread_count())]
    c: Side | None = None
    py: Side | None = None
    for turn in range(plan.repeat):
        c = _c_turn(plan, c_words, log, turn, c)
        py = _py_turn(plan, py_words, log, turn, py)
    assert c is not None
    assert py is not None
    return Sides(c, py, changes, doubts)


def _c_words(plan: Plan, args: list[str]) -> tuple[list[str], list[str], list[str]]:
    plain = without(args, OURS_ONLY)
    ending = ["-floatfile", FLOAT_FILE, "-noprogress"]
    if plan.c.is_reference or plan.verbatim:
        return [*plain, *ending], [], []
    line = for_original(plain, parse_line(args).config)
    return [*line.words, *ending], line.changes, line.doubts


def run_c(plan: Plan, log: Path, name: str) -> Side:
    """The C side alone, once, untimed; its logs are called `name`.

    Raises:
        RunnerFailed: it ended badly or ran out of time.
    """
    args = portable(plan.args, Path.cwd())
    words, changes, _ = _c_words(plan, args)
    command = (str(plan.c.path), *words)
    environment = {"OMP_NUM_THREADS": str(plan.threads or thread_count())}
    with tempfile.TemporaryDirectory(prefix="nb-c-") as folder:
        outcome = run(command, Path(folder), limit=plan.limit, log=log, name=name, environment=environment)
        if not outcome.ok:
            raise RunnerFailed("C", outcome, plan.args)
        image, printed = _image_of(outcome, Path(folder))
    return Side("C", command, outcome, image, printed, facts={"changes": changes})


def thread_count(environment: Mapping[str, str] | None = None) -> int:
    """Threads for both sides where none are asked for: `OMP_NUM_THREADS` where it is a number, else every processor."""
    said = (os.environ if environment is None else environment).get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(said) if said.isdecimal() and int(said) > 0 else len(os.sched_getaffinity(0))


def _c_turn(plan: Plan, words: list[str], log: Path, turn: int, side: Side | None) -> Side:
    threads = plan.threads or thread_count()
    environment = {"OMP_NUM_THREADS": str(threads)}
    command = (str(plan.c.path), *words)
    with tempfile.TemporaryDirectory(prefix="nb-c-") as name:
        outcome = run(command, Path(name), limit=plan.limit, log=log, name=_log("c", turn), environment=environment)
        if not outcome.ok:
            raise RunnerFailed("C", outcome, plan.args)
        if side is None:
            side = Side("C", command, outcome, *_image_of(outcome, Path(name)), facts={"threads": threads})
            _keep(Path(name), log, "c")
    side.wall.append(outcome.seconds)
    if plan.timed:
        with tempfile.TemporaryDirectory(prefix="nb-c-") as name:
            short = (*command, *ONE_PIXEL)
            start = run(short, Path(name), limit=plan.limit, log=Path(name), environment=environment)
        if start.ok:
            side.startup.append(start.seconds)
            side.render.append(max(outcome.seconds - start.seconds, 0.0))
    return side


def _py_turn(plan: Plan, words: list[str], log: Path, turn: int, side: Side | None) -> Side:
    figures: dict[str, Any] = {}
    threads = {"OMP_NUM_THREADS": str(plan.threads or thread_count())}
    with tempfile.TemporaryDirectory(prefix="nb-py-") as name:
        folder = Path(name) / "run"
        folder.mkdir()
        clock = Path(name) / "clock.json"
        clocked = (sys.executable, "-m", "nanobrag_torch.parity.clocked", str(clock), "0")
        start = clocked if plan.py_bin is None else our_command(plan.py_bin)
        outcome = run((*start, *words), folder, limit=plan.limit, log=log, name=_log("py", turn), environment=threads)
        if not outcome.ok:
            raise RunnerFailed("Python", outcome, plan.args)
        if clock.exists():
            figures = json.loads(clock.read_text())
        if side is None:
            command = (*our_command(plan.py_bin), *words)
            side = Side("Python", command, outcome, *_image_of(outcome, folder), facts=_facts(figures))
            _keep(folder, log, "py")
    wall = outcome.seconds - figures.get("extra_s", 0.0)
    side.wall.append(wall)
    if figures:
        side.render += figures["render_s"]
        side.startup.append(wall - sum(figures["render_s"]))
    elif plan.timed:
        with tempfile.TemporaryDirectory(prefix="nb-py-") as name:
            short = run((*side.command, *ONE_PIXEL), Path(name), limit=plan.limit, log=Path(name), environment=threads)
        if short.ok:
            side.startup.append(short.seconds)
            side.render.append(max(wall - short.seconds, 0.0))
    return side


def _facts(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in figures.items() if key not in ("render_s", "extra_s")}


def _log(side: str, turn: int) -> str:
    return side if turn == 0 else f"{side}_repeat{turn}"


def _image_of(outcome: Outcome, folder: Path) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """The float image [slow, fast], by the numbers of pixels that the run printed, and all it printed."""
    printed = printed_numbers(outcome.stdout)
    values = np.fromfile(folder / FLOAT_FILE, np.float32)
    fast, slow = printed.get("fpixels"), printed.get("spixels")
    if fast is None or slow is None:
        edge = round(len(values) ** 0.5)
        fast, slow = (edge, edge) if edge * edge == len(values) else (len(values), 1)
    if fast * slow != len(values):
        raise OSError(f"{FLOAT_FILE} of {shown(outcome.command[:1])} holds {len(values)} pixels, not {fast} x {slow}")
    return values.reshape(slow, fast), printed


def _keep(folder: Path, log: Path, side: str) -> None:
    """Move the written images beside the logs, with the side in front of their names."""
    shutil.copyfile(folder / FLOAT_FILE, log / f"{side}_{FLOAT_FILE}")
    for name in KEPT_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, log / f"{side}_{name}")
