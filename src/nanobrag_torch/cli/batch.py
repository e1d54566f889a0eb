"""Many command lines in one process: each is run and reported; those that fail do not stop the others."""

from __future__ import annotations

import shlex
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nanobrag_torch import engine
from nanobrag_torch.cli.outputs import output_names
from nanobrag_torch.cli.parse import find_flag, parse_line
from nanobrag_torch.cli.running import complain
from nanobrag_torch.errors import FileFormatError, InputError, NanobragError
from nanobrag_torch.guard import FAULT, TRACEBACK, in_one_line
from nanobrag_torch.io.reading import LARGEST_LIST, read_text
from nanobrag_torch.io.registry import FileRegistry

Run = Callable[[Sequence[str], str, FileRegistry], int]
"""Runs the words of a command line and returns its status; the text stands before what is refused, and the files are
in use already."""

REFUSED = 9


@dataclass(frozen=True)
class Job:
    """A command line of a batch: the number of its line, its words, or why it has none."""

    line: int
    words: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Done:
    """How a job ended."""

    job: Job
    status: int
    seconds: float


def run_batch(words: Sequence[str], run: Run) -> int:
    """Run the command lines of the file behind `-batch`, each behind the other words given with it.

    A line that would overwrite a file of an earlier line is refused.

    Args:
        words: the command line with `-batch`.
        run: what runs a command line.

    Returns:
        0, or 9 when any line was refused, or 70 when any other one failed.

    Raises:
        InputError: no file is named, or more than one.
        FileFormatError: the file is missing or holds no command line.
    """
    name, common = batch_words(words)
    found = list(jobs(name))
    if not found:
        raise FileFormatError(name, "", "holds no command line")
    files = FileRegistry()
    files.reads(name, "-batch")

    def one(job: Job) -> Done:
        print(f"batch line {job.line}: {shlex.join(job.words)}", flush=True)
        began = time.perf_counter()
        ended = Done(job, _status(name, job, common, files, run), time.perf_counter() - began)
        print(f"batch line {job.line}: status {ended.status}, {ended.seconds:.2f} s", flush=True)
        return ended

    return _report(name, [done for _, done in engine.map(one, found)])


def batch_words(words: Sequence[str]) -> tuple[str, list[str]]:
    """The file behind `-batch`, and the other words.

    Raises:
        InputError: nothing follows, a flag does, or it is given twice.
    """
    places = [i for i, word in enumerate(words) if (flag := find_flag(word)) is not None and flag.action == "batch"]
    first = places[0]
    if len(places) > 1:
        raise InputError(words[places[1]], "is given twice", "name one file")
    if first + 1 == len(words) or find_flag(words[first + 1]) is not None:
        raise InputError(words[first], "a file was expected", f"write {words[first]} file")
    return words[first + 1], [*words[:first], *words[first + 2 :]]


def jobs(name: str) -> Iterator[Job]:
    """The command lines of a file: one per line, quoted as for a shell; `#` begins a comment where a word could."""
    content = read_text(name, LARGEST_LIST, "utf-8").replace("\r\n", "\n")
    for number, text in enumerate(content.split("\n"), start=1):
        try:
            words = tuple(shlex.split(_without_comment(text)))
        except ValueError as error:
            yield Job(number, problem=f"{str(error).lower()}: {text.strip()}")
            continue
        if words:
            yield Job(number, words)


def _without_comment(text: str) -> str:
    """A line up to a `#` that stands where a word begins, outside quotes."""
    quote, escaped, begins = "", False, True
    for place, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and begins:
            return text[:place]
        begins = letter.isspace() and not quote and not escaped
    return text


def _status(name: str, job: Job, common: list[str], taken: FileRegistry, run: Run) -> int:
    """Run one job and note its files."""
    where = f"{name} line {job.line}: "
    words = [*common, *job.words]
    if job.problem:
        complain(where + job.problem)
        return REFUSED
    if any(flag.action == "batch" for flag in map(find_flag, words) if flag is not None):
        complain(f"{where}-batch: a batch cannot hold another one; write its lines here")
        return REFUSED
    files = _files(words)
    for file in files:
        earlier = taken.owner(file)
        if earlier is not None:
            complain(f"{where}{file} is the file of {earlier} too, and would overwrite it; name another one")
            return REFUSED
    try:
        status = run(words, where, taken.copy())
    except Exception as error:  # a fault of the program must not take the other lines with it
        if any(word in TRACEBACK for word in words):
            complain(traceback.format_exc().replace("\n", " | "))
        complain(f"{where}failed: {in_one_line(error)}")
        return FAULT
    if status == 0:
        for file in files:
            taken.reads(file, f"line {job.line}")
    return status


def _files(words: Sequence[str]) -> list[str]:
    """The files that a command line writes; none of a series, which looks after its own, nor devices."""
    try:
        said = parse_line(words)
    except NanobragError:
        return []
    if said.action != "run" or said.config.output.frames is not None:
        return []
    names = output_names(said.config.output).values()
    return list(names)


def _report(name: str, done: Sequence[Done]) -> int:
    """The table of all jobs, and the status of the batch."""
    failed = [one for one in done if one.status != 0]
    print(f"\n{'line':>6s} {'status':>6s} {'seconds':>9s}")
    for one in done:
        print(f"{one.job.line:6d} {one.status:6d} {one.seconds:9.2f}")
    if not failed:
        print(f"all {len(done)} command lines of {name} succeeded", flush=True)
        return 0
    lines = ", ".join(str(one.job.line) for one in failed)
    complain(f"{len(failed)} of {len(done)} command lines of {name} failed: line {lines}")
    return REFUSED if any(one.status == REFUSED for one in failed) else max(one.status for one in failed)
