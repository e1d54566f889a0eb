"""`nb-parity`: many command lines through both programs, in parallel; a table, worst first."""

from __future__ import annotations

import argparse
import csv
import json
import math
import multiprocessing
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nanobrag_torch import __version__
from nanobrag_torch.errors import FileFormatError, NanobragError, ParityError
from nanobrag_torch.guard import FAULT, complain, guarded, piece_of_work, work_for_another
from nanobrag_torch.io.reading import LARGEST_LIST, read_text
from nanobrag_torch.parity.agreement import DOUBLE, DOUBLE_TOPHAT, Bounds
from nanobrag_torch.parity.case import Line, Result, terms_of, try_line
from nanobrag_torch.parity.folders import TABLES, check_folder, inputs_of
from nanobrag_torch.parity.fuzz import random_line
from nanobrag_torch.parity.metrics import plain
from nanobrag_torch.parity.programs import CProgram, find_c_program
from nanobrag_torch.parity.shrink import shrink
from nanobrag_torch.parity.words import INPUT_FLAGS, Use, uses
from nanobrag_torch.parity.words import line as words_of

ALL_AGREE, USAGE, SOME_DISAGREE, NO_PROGRAM, FILES = 0, 1, 3, 2, 5
GROWTH = 4.0
"""How much more work a shorter line may be than the one it is made from."""
_LIMITS = ("relative_l2", "pixel", "floor", "of_max", "sum", "free")

DESCRIPTION = """\
Run a table of command lines, or random ones, through a C program and this one, and compare everything they
write: images, headers, printed numbers. Exit status: 0 all agree, 1 usage, 2 no C program, 3 some disagree,
5 files."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the lines and show the table.

    Returns:
        0 all agree, 1 usage, 2 no C program, 3 some disagree, 5 files; or what `guard` returns.
    """
    return guarded("nb-parity", _run, argv)


def _run(argv: list[str]) -> int:
    options = _options(argv)
    if options is None:
        return USAGE
    try:
        c = find_c_program(options.c_bin)
        lines = list(_lines(options))
        if options.outdir is not None:
            read = [said for line in lines for said in inputs_of(line.args) if os.path.isabs(said[0])]
            tables = [(path, "the table") for path in options.table]
            check_folder(options.outdir, TABLES, [*tables, *read, (c.path, "--c-bin")], "--outdir")
    except ParityError as error:
        return _complain(str(error), NO_PROGRAM)
    except (FileFormatError, OSError) as error:
        return _complain(str(error), FILES)
    except (NanobragError, ValueError) as error:
        return _complain(str(error), USAGE)
    begun = time.perf_counter()
    try:
        if options.outdir is not None:
            options.outdir.mkdir(parents=True, exist_ok=True)
        results = run_lines(lines, c, options.jobs, verbatim=options.verbatim)
        results.sort(key=lambda result: (-result.excess, result.id))
        shortest = {} if options.no_shrink else _shrunk(results, lines, c, options)
        _show(results, shortest, options.rows)
        if options.outdir is not None:
            save(results, shortest, {line.id: line for line in lines}, c, options.outdir)
    except OSError as error:
        return _complain(str(error), FILES)
    failed = sum(result.failed for result in results)
    print(_footer(results, failed, time.perf_counter() - begun), flush=True)
    return SOME_DISAGREE if failed else ALL_AGREE


def _options(argv: Sequence[str] | None) -> argparse.Namespace | None:
    parser = argparse.ArgumentParser(
        "nb-parity", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("table", nargs="*", type=Path, metavar="TABLE.yaml", help="tables of command lines")
    add("--version", action="version", version=f"nanobrag_torch {__version__}")
    add("--fuzz", type=int, default=0, metavar="N", help="also N random command lines")
    add("--seed", type=int, default=1, metavar="S", help="seed of the random lines [1]")
    add("--start", type=int, default=0, metavar="I", help="number of the first random line [0]")
    add("--only", default="", metavar="TEXT", help="lines whose id contains this text")
    add("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes [one per processor]")
    add("--outdir", type=Path, metavar="DIR", help="save table.csv, results.json and the inputs of failures")
    add("--rows", type=int, default=15, metavar="N", help="rows of the table that are printed [15]")
    add("--c-bin", metavar="PATH", help="C program [$NB_C_BIN, else the project's own reference]")
    add("--verbatim", action="store_true", help="an original gets the lines as they are, its defects show")
    add("--shrink", type=int, default=3, metavar="N", help="failing random lines that are made short [3]")
    add("--no-shrink", action="store_true", help="do not make failing lines short")
    try:
        options = parser.parse_args(argv)
    except SystemExit as end:
        if end.code:
            return None
        raise
    if not options.table and options.fuzz <= 0:
        parser.print_usage(sys.stderr)
        _complain("name a table of command lines, or give --fuzz N", USAGE)
        return None
    return options


def _complain(text: str, status: int) -> int:
    complain("nb-parity", text)
    return status


def _lines(options: argparse.Namespace) -> Iterator[Line]:
    for path in options.table:
        yield from (line for line in read_table(path) if options.only in line.id)
    for index in range(options.start, options.start + options.fuzz):
        made = random_line(options.seed, index)
        line = Line(f"random {options.seed}:{index}", tuple(made.args), made.files)
        if options.only in line.id:
            yield line


def read_table(path: Path) -> list[Line]:
    """The lines of a YAML table (docs/parity.md describes it); relative input files start from its folder.

    Raises:
        ValueError: the table is not what it should be; the message names the entry.
        FileFormatError: it cannot be read.
    """
    import yaml

    try:
        content = yaml.safe_load(read_text(path, LARGEST_LIST, "utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("lines"), list):
        raise ValueError(f"{path}: expected a mapping with a list called `lines`")
    common = str(content.get("common", ""))
    defaults = _bounds(f"{path}", content.get("bounds"))
    folder = path.resolve().parent
    found = [_entry(path, folder, n, entry, common, defaults) for n, entry in enumerate(content["lines"], 1)]
    repeated = {line.id for line in found if sum(other.id == line.id for other in found) > 1}
    if repeated:
        raise ValueError(f"{path}: several lines are called {', '.join(sorted(repeated))}")
    return found


def _entry(path: Path, folder: Path, number: int, entry: Any, common: str, defaults: dict[str, Any]) -> Line:
    where = f"{path}, line {number} of the table"
    if not isinstance(entry, dict) or not {"id", "args"} <= entry.keys():
        raise ValueError(f"{where}: expected `id` and `args`")
    stray = entry.keys() - {"id", "args", "bounds", "text"}
    if stray:
        raise ValueError(f"{where}: unknown {', '.join(sorted(stray))}")
    try:
        args = shlex.split(f"{common} {entry['args']}")
    except ValueError as error:
        raise ValueError(f"{where}: its args cannot be split into words ({error})") from error
    limits = {**defaults, **_bounds(where, entry.get("bounds"))}
    unknown = limits.keys() - set(_LIMITS)
    if unknown:
        raise ValueError(f"{where}: bounds are {', '.join(_LIMITS)}, not {', '.join(sorted(unknown))}")
    tophat = any(word.lstrip("-").startswith(("tophat", "binary_spots")) for word in args)
    bounds: Bounds | None = replace(DOUBLE_TOPHAT if tophat else DOUBLE, **limits) if limits else None
    return Line(str(entry["id"]), tuple(_with_whole_paths(args, folder)), bounds=bounds, text=entry.get("text", True))


def _bounds(where: str, said: Any) -> dict[str, Any]:
    """Bounds as a table says them: numbers by name.

    Raises:
        ValueError: something else.
    """
    if said is None:
        return {}
    if not isinstance(said, dict) or not all(isinstance(name, str) for name in said):
        raise ValueError(f"{where}: expected bounds by name")
    for name, value in said.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{where}: the bound {name} is {value!r}, expected a number")
    return said


def _with_whole_paths(args: Sequence[str], folder: Path) -> list[str]:
    """Input files that exist beside the table by their whole paths; variables in names are filled in."""
    parts = []
    for use in uses(args):
        values = use.values
        if values and use.name in INPUT_FLAGS:
            name = Path(os.path.expandvars(values[0]))
            values = (str(folder / name) if (folder / name).exists() else str(name), *values[1:])
        parts.append(Use(use.word, use.flag, values))
    return words_of(parts)


_PROGRAM: CProgram | None = None
_VERBATIM = False


def _prepare(c: CProgram, verbatim: bool = False) -> None:
    """A worker process: one thread, and no progress on anyone's terminal."""
    global _PROGRAM, _VERBATIM
    _PROGRAM, _VERBATIM = c, verbatim
    import torch

    torch.set_num_threads(1)
    if multiprocessing.parent_process() is not None:
        work_for_another()


def _try(line: Line) -> Result:
    assert _PROGRAM is not None
    try:
        with piece_of_work(), tempfile.TemporaryDirectory(prefix="nb-parity-") as name:
            return try_line(line, _PROGRAM, Path(name), verbatim=_VERBATIM)
    except KeyboardInterrupt:
        if multiprocessing.parent_process() is None:
            raise
        os._exit(FAULT)


def run_lines(lines: Iterable[Line], c: CProgram, jobs: int, *, verbatim: bool = False) -> list[Result]:
    """Every line through both programs, in `jobs` fresh processes; in this one if `jobs` is 1 or less."""
    lines = list(lines)
    jobs = min(jobs, len(lines))
    if jobs <= 1:
        _prepare(c, verbatim)
        return [_try(line) for line in lines]
    with multiprocessing.get_context("spawn").Pool(jobs, _prepare, (c, verbatim)) as pool:
        results = list(pool.imap_unordered(_try, lines, chunksize=1))
        pool.close()
        pool.join()
        return results


def _shrunk(
    results: Sequence[Result], lines: Sequence[Line], c: CProgram, options: argparse.Namespace
) -> dict[str, list[str]]:
    """The shortest failing form of the first few failing random lines, by id."""
    by_id = {line.id: line for line in lines}
    failing = [result for result in results if result.failed and result.id.startswith("random ")]
    _prepare(c, options.verbatim)
    return {result.id: shortest(by_id[result.id], result) for result in failing[: options.shrink]}


def shortest(line: Line, result: Result) -> list[str]:
    """The shortest line that fails as `result` did: the same kind of problem, the outputs left alone."""
    kind = _kind(result)
    most_terms = GROWTH * max(_terms(line, line.args), 10_000.0)

    def fails(args: Sequence[str]) -> bool:
        # Without its size flags a detector has a million pixels.
        if _terms(line, args) > most_terms:
            return False
        return kind in {_kind_of(problem) for problem in _try(replace(line, args=tuple(args))).problems}

    return shrink(line.args, fails)


def _terms(line: Line, args: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory(prefix="nb-parity-") as name:
        return terms_of(replace(line, args=tuple(args)), Path(name))


def _kind(result: Result) -> str:
    return _kind_of(result.problems[0])


def _kind_of(problem: str) -> str:
    """What went wrong, without its numbers: `image`, `ours crashed`, `printed (ours | C)`, ..."""
    return problem.partition(":")[0]


def _show(results: Sequence[Result], shortest_lines: dict[str, list[str]], rows: int) -> None:
    print(f"{'of bound':>9}  {'rel. L2':>8}  {'pixel':>8}  {'sum-1':>9}  {'C s':>6}  {'ours s':>6}  line")
    failed = sum(result.failed for result in results)
    told = max(rows, failed)
    for result in [*results[:told], *(r for r in results[told:] if r.explained)]:
        f = result.figures
        figures = "  ".join(_cell(f.get(n), w) for n, w in (("relative_l2", 8), ("worst_pixel", 8), ("sum", 9)))
        times = f"{result.seconds[0]:6.2f}  {result.seconds[1]:6.2f}"
        note = " refused by both" if result.status == (9, 9) else " equal in all bits" if result.equal else ""
        print(f"{result.excess:9.3g}  {figures}  {times}  {result.id}{note}")
        for problem in result.problems:
            print(f"{'':11}{problem}")
        for sentence in result.explained:
            print(f"{'':11}explained by {sentence}")
        if result.failed:
            print(f"{'':11}{shlex.join(result.args)}")
        if result.id in shortest_lines:
            print(f"{'':11}shortest: {shlex.join(shortest_lines[result.id])}")


def _cell(value: float | None, width: int) -> str:
    return " " * width if value is None else f"{value:{width}.2g}"


def _footer(results: Sequence[Result], failed: int, seconds: float) -> str:
    refused = sum(result.status == (9, 9) for result in results)
    equal = sum(result.equal for result in results)
    explained = sum(bool(result.explained) for result in results)
    known = f", {explained} explained by their deviation" if explained else ""
    good = [result.excess for result in results if not result.failed]
    worst = f"; the worst that agrees is at {max(good):.3g} of its bound" if good else ""
    return (
        f"{len(results)} lines in {seconds:.0f} s: {failed} disagree{known}, "
        f"{len(results) - failed - explained} agree "
        f"({equal} equal in all bits, {refused} refused by both){worst}"
    )


def save(
    results: Sequence[Result],
    shortest_lines: dict[str, list[str]],
    lines: dict[str, Line],
    c: CProgram,
    folder: Path,
) -> None:
    """The table as CSV and JSON, worst first, and a folder with the inputs of every failing line."""
    columns = (
        "id",
        "excess",
        "relative_l2",
        "worst_pixel",
        "worst_of_max",
        "sum",
        "c_s",
        "py_s",
        "problems",
        "explained",
        "args",
    )
    with open(folder / "table.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for r in results:
            figures = [r.figures.get(name, "") for name in columns[2:6]]
            writer.writerow(
                [
                    r.id,
                    r.excess,
                    *figures,
                    *r.seconds,
                    " / ".join(r.problems),
                    " / ".join(r.explained),
                    shlex.join(r.args),
                ]
            )
    told = {
        "c": {
            "program": c.path.name,
            "version": c.version,
            "sha256": c.sha256,
            "is_reference": c.is_reference,
        },
        "failed": sum(r.failed for r in results),
        "results": [plain(r.row()) for r in results],
        "shortest": shortest_lines,
    }
    (folder / "results.json").write_text(json.dumps(told, indent=1) + "\n")
    for result in results:
        if result.failed:
            words = shortest_lines.get(result.id, list(result.args))
            _keep_failure(folder / "failures" / re.sub(r"\W+", "_", result.id), lines[result.id], words)


def _keep_failure(place: Path, line: Line, words: Sequence[str]) -> None:
    """What is needed to run a failing line again: its inputs, and its words for a shell in the folder `run`."""
    for name in ("inputs", "run"):
        (place / name).mkdir(parents=True, exist_ok=True)
    for name, content in line.files.items():
        (place / "inputs" / name).write_bytes(content)
    (place / "run" / "command.txt").write_text(shlex.join(words) + "\n")


__all__ = ["main", "read_table", "run_lines", "save", "shortest"]


if __name__ == "__main__":
    sys.exit(main())
