"""`nb-trace`: every quantity on the way to one pixel; with `--compare`, where the C side first parts from ours."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanobrag_torch import __version__
from nanobrag_torch.errors import InputError, NanobragError, ParityError
from nanobrag_torch.guard import complain, guarded
from nanobrag_torch.parity.folders import TRACES, check_folder, inputs_of
from nanobrag_torch.parity.process import run
from nanobrag_torch.parity.programs import BUILD, REFERENCE, CProgram, find_c_program, own_program
from nanobrag_torch.parity.words import OURS_ONLY, portable, without

if TYPE_CHECKING:
    import torch

    from nanobrag_torch.models import Experiment
    from nanobrag_torch.parity.trace_compare import Difference
    from nanobrag_torch.pipeline.trace import Tap

AGREE, USAGE, RUNNER, DIFFER, FILES = 0, 1, 2, 3, 5
TIME_LIMIT_S = 120.0

DESCRIPTION = """\
Print the quantities of one pixel of any command line as `TRACE_PY:` lines. Exit status: 0 done or equal, 1 usage,
2 the C side failed, 3 the traces differ, 5 files."""


def _options(argv: Sequence[str]) -> argparse.Namespace:
    words = list(argv)
    cutting = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        "nb-trace", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s "
        "--pixel SLOW FAST [--kernel] [--taps A,B,...] [--all] [--compare] [--json] [--out-dir DIR] [--tag TAG] -- ARGS"
    )  # fmt: skip
    add = parser.add_argument
    add("--pixel", nargs=2, type=int, required=True, metavar=("SLOW", "FAST"), help="the pixel")
    add(
        "--taps",
        default="",
        metavar="A,B,...",
        help="quantities, or groups of them (f_cell, omega, polar, ...) [all]",
    )
    add(
        "--all",
        action="store_true",
        help="every source and mosaic domain, not only sources 0 and 2 and domain 0",
    )
    add(
        "--kernel",
        action="store_true",
        help="the numbers of the compiled kernel itself, in place of those of the plain definition",
    )
    add(
        "--compare",
        action="store_true",
        help="name the first quantity that differs from the C side, or with --kernel from the plain definition",
    )
    add("--tolerance", type=float, metavar="X", help="largest relative difference [1e-9; -dtype float32: 1e-6]")
    add("--json", action="store_true", help="print JSON instead of lines")
    add("--out-dir", type=Path, metavar="DIR", help="also write the traces and the comparison there")
    add("--tag", default="", metavar="TAG", help="part of the names of these files")
    add(
        "--c-bin",
        metavar="PATH",
        help="C program with -trace_pixel [$NB_C_BIN, else the project's own reference]",
    )
    add(
        "--time-limit",
        type=float,
        default=TIME_LIMIT_S,
        metavar="S",
        help=f"seconds for the C side [{TIME_LIMIT_S:g}]",
    )
    add("--version", action="version", version=f"nanobrag_torch {__version__}")
    options = parser.parse_args(words[:cutting])
    options.args = words[cutting + 1 :]
    if not options.args:
        parser.error("put the simulators' command line behind `--`")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Trace one pixel.

    Returns:
        0 done or equal, 1 usage, 2 the C side failed, 3 the traces differ, 5 files; or what `guard` returns.
    """
    return guarded("nb-trace", _run, argv)


def _run(words: list[str]) -> int:
    try:
        options = _options(words)
    except SystemExit as end:
        return USAGE if end.code else 0
    try:
        return _trace(options)
    except ParityError as error:
        return _complain(str(error), RUNNER)
    except (NanobragError, ValueError) as error:
        return _complain(str(error), USAGE)
    except OSError as error:
        return _complain(str(error), FILES)


def _complain(text: str, status: int) -> int:
    complain("nb-trace", text)
    return status


def settled(args: Sequence[str]) -> Experiment:
    """The experiment that the command line describes, in the mode of physics that it asks for."""
    from nanobrag_torch.cli.parse import parse_line
    from nanobrag_torch.settling import settle
    from nanobrag_torch.settling.checks import check
    from nanobrag_torch.settling.inputs import read_inputs

    parsed = parse_line(args)
    if parsed.action != "run":
        raise InputError(args[0], "is no scene", "give the command line of a render")
    config = parsed.config
    check(config)
    inputs = read_inputs(config)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        experiment: Experiment = settle(config, physics=config.output.physics, inputs=inputs)
    for warning in heard:
        print(f"nb-trace: warning: {warning.message}", file=sys.stderr)
    return experiment


def _trace(options: argparse.Namespace) -> int:
    import torch

    from nanobrag_torch.cli.parse import parse_line
    from nanobrag_torch.parity.trace_compare import SINGLE_TOLERANCE, TOLERANCE, chosen, differences
    from nanobrag_torch.parity.trace_shown import drawn, sentence, traced_value

    if options.out_dir is not None:
        check_folder(options.out_dir, TRACES, inputs_of(options.args), "--out-dir")
    args = _with_misset_seed(portable(options.args, Path.cwd()))
    experiment = settled(args)
    dtype = torch.float32 if parse_line(args).config.output.dtype == "float32" else torch.float64
    taps = _taps(experiment, options, dtype)
    names = [name for name in options.taps.split(",") if name]
    shown = chosen(taps, names)
    theirs, found = None, []
    if options.compare:
        theirs = _other_side(experiment, args, options, shown, dtype)
        tolerance = TOLERANCE if dtype == torch.float64 else SINGLE_TOLERANCE
        tolerance = tolerance if options.tolerance is None else options.tolerance
        found = differences(shown, _only(theirs, shown, bool(names)), tolerance)
    slow, fast = options.pixel
    image = drawn(experiment, slow, fast, dtype)
    options.shown = sentence(options.kernel, dtype, traced_value(experiment, taps), image)
    print(f"nb-trace: {options.shown}", file=sys.stderr)
    if options.out_dir is not None:
        _save(options, shown, theirs, found)
    if options.json:
        print(json.dumps(_as_json(options, shown, found), indent=1))
    else:
        _print(options, shown, found)
    return DIFFER if found else AGREE


def _taps(experiment: Experiment, options: argparse.Namespace, dtype: torch.dtype) -> list[Tap]:
    from nanobrag_torch.pipeline.kernel_trace import kernel_taps
    from nanobrag_torch.pipeline.trace import trace_pixel

    slow, fast = options.pixel
    if options.kernel:
        return kernel_taps(experiment, slow, fast, dtype)
    return trace_pixel(experiment, slow, fast, every_term=options.all, dtype=dtype)


def _other_side(
    experiment: Experiment, args: Sequence[str], options: argparse.Namespace, shown: Sequence[Tap], dtype: torch.dtype
) -> dict[Any, Any]:
    """What a trace is compared with: the plain definition for the kernel's, the C side for that of the definition."""
    from nanobrag_torch.pipeline.kernel_trace import plain_taps

    if not options.kernel:
        return c_trace(args, options.pixel, options)
    slow, fast = options.pixel
    wanted = {(tap.place, tap.name) for tap in shown}
    taps = plain_taps(experiment, slow, fast, dtype)
    return {(tap.place, tap.name): tap.values for tap in taps if (tap.place, tap.name) in wanted}


def _with_misset_seed(args: list[str]) -> list[str]:
    """The line with a seed for a random misset, so that both sides draw the same one."""
    from nanobrag_torch.cli.parse import parse

    crystal = parse(args).crystal
    if crystal.misset_random and crystal.misset_seed is None:
        seed = str(int(time.time()))
        print(f"nb-trace: -misset_seed {seed} added, so that both sides draw the same misset", file=sys.stderr)
        return [*args, "-misset_seed", seed]
    return args


def tracing_program(named: str | None) -> CProgram:
    """The C program that prints traces: the one in use if it can, else the project's own reference, which is said.

    Raises:
        ParityError: there is none, or `--c-bin` names one that cannot.
    """
    c = find_c_program(named)
    if c.is_reference:
        return c
    if named:
        raise ParityError(f"{c.path} prints no traces; leave out --c-bin to use the project's own C reference")
    reference = own_program(REFERENCE)
    if reference is None:
        raise ParityError(f"{c.path} (NB_C_BIN) prints no traces, and the project's own is not built: `{BUILD}`")
    print(f"nb-trace: {c.path} (NB_C_BIN) prints no traces: the C side is the project's own reference", file=sys.stderr)
    return reference


def c_trace(args: Sequence[str], pixel: tuple[int, int], options: argparse.Namespace) -> dict[Any, Any]:
    """The trace that the C reference prints, {(place, name): values}.

    Raises:
        ParityError: there is no C program, it failed, or it prints no trace.
    """
    from nanobrag_torch.parity.trace_compare import parse_trace

    c = tracing_program(options.c_bin)
    slow, fast = (str(index) for index in pixel)
    words = [
        *without(args, OURS_ONLY),
        "-trace_pixel",
        slow,
        fast,
        "-roi",
        fast,
        fast,
        slow,
        slow,
        "-noprogress",
    ]
    with tempfile.TemporaryDirectory(prefix="nb-trace-") as name:
        command = [str(c.path), *words, *(["-trace_all"] if options.all else [])]
        done = run(command, Path(name), limit=options.time_limit)
        if not done.ok:
            said = "".join(f"\n  | {line}" for line in done.last_lines())
            raise ParityError(f"the C side {done.ending()}{said}")
        found = parse_trace(done.stdout)
    if not found:
        raise ParityError(f"{c.path} printed no TRACE_C lines")
    return found


def _only(theirs: dict[Any, Any], shown: Sequence[Tap], restricted: bool) -> dict[Any, Any]:
    """Their quantities that are among the chosen ones."""
    if not restricted:
        return theirs
    wanted = {(tap.place, tap.name) for tap in shown}
    return {key: values for key, values in theirs.items() if key in wanted}


def _print(options: argparse.Namespace, taps: Sequence[Tap], found: Sequence[Difference]) -> None:
    if not options.compare:
        tag = "TRACE_KERNEL" if options.kernel else "TRACE_PY"
        print("\n".join(tap.line(tag) for tap in taps), flush=True)
    elif not found:
        print(f"{len(taps)} quantities agree", flush=True)
    else:
        print(
            f"first difference, of {len(found)} among {len(taps)} quantities:\n{found[0].text(_sides(options))}",
            flush=True,
        )


def _sides(options: argparse.Namespace) -> tuple[str, str]:
    return ("plain", "kernel") if options.kernel else ("C", "ours")


def _as_json(options: argparse.Namespace, taps: Sequence[Tap], found: Sequence[Difference]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "args": list(options.args),
        "shown": options.shown,
        "pixel": {"slow": options.pixel[0], "fast": options.pixel[1]},
        "taps": [tap._asdict() for tap in taps],
    }
    if options.compare:
        told["differences"] = [asdict(replace(d, error=min(d.error, sys.float_info.max))) for d in found]
    return told


def _save(options: argparse.Namespace, taps: Sequence[Tap], theirs: Any, found: Sequence[Difference]) -> None:
    folder = options.out_dir
    folder.mkdir(parents=True, exist_ok=True)
    stem = "_".join(part for part in ("trace", options.tag, *map(str, options.pixel)) if part)
    own, other = ("kernel", "plain") if options.kernel else ("py", "c")
    tags = {name: f"TRACE_{name.upper()}" for name in (own, other)}
    (folder / f"{stem}_{own}.txt").write_text("".join(tap.line(tags[own]) + "\n" for tap in taps))
    (folder / f"{stem}.json").write_text(json.dumps(_as_json(options, taps, found), indent=1) + "\n")
    if theirs is not None:
        rows = (f"{tags[other]}: {p}.{n} " + " ".join(f"{v:.17g}" for v in values) for (p, n), values in theirs.items())
        (folder / f"{stem}_{other}.txt").write_text("".join(row + "\n" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
