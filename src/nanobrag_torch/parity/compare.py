"""`nb-compare`: one command line through a C program and this one; figures, pictures and times in one folder."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from nanobrag_torch import __version__
from nanobrag_torch.errors import InputError, NanobragError, ParityError
from nanobrag_torch.guard import complain, guarded
from nanobrag_torch.parity.folders import COMPARED, check_folder, inputs_of
from nanobrag_torch.parity.metrics import Metrics, cut, measure, plain, resampled
from nanobrag_torch.parity.process import shown
from nanobrag_torch.parity.programs import ENVIRONMENT, CProgram, checkout_commit, checksum, find_c_program, our_command
from nanobrag_torch.parity.sides import Plan, RunnerFailed, Sides, run_both
from nanobrag_torch.parity.verbatim import Effect, effect_of_defects, effect_rows
from nanobrag_torch.parity.verdict import SHAPES, Verdict, broken_promises, judge
from nanobrag_torch.parity.words import region_of

USAGE, RUNNER, FILES = 1, 2, 5
"""Exit statuses beside those of a verdict."""
SCHEMA = 1
_CLOCK_DEPENDENT = ("noise_photons", "noise_overloads", "random_misset_deg", "warnings")

DESCRIPTION = """\
Run a C program and this one on the same command line and report whether their float images agree.

Without limits of your own the images have to stay within the bounds that the project promises for the precision in use.
With any of --threshold, --sum-tolerance and --l2-tolerance these three decide instead, shape and scale together;
those not given are 0.999, 0.01, and sqrt(2 (1 - threshold)) + the sum tolerance. Exit status: 0 agree, 1 usage,
2 a runner failed, 3 disagree, 4 the shapes differ (see --resample), 5 files."""


class _Parser(argparse.ArgumentParser):
    """argparse with the exit status of this program."""

    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    parser = _Parser("nb-compare", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--roi",
        nargs="+",
        metavar="N",
        help="compare this region only: XMIN XMAX YMIN YMAX, x fast, y slow, both ends included as for -roi; "
        "or X0:X1 Y0:Y1, the upper ends left out",
    )
    add("--resample", action="store_true", help="stretch our image to the C shape when they differ")
    add("--threshold", type=float, metavar="T", help="least correlation [0.999 beside another limit]")
    add("--sum-tolerance", type=float, metavar="X", help="largest abs(sum ratio - 1) [0.01 beside another limit]")
    add("--l2-tolerance", type=float, metavar="X", help="largest relative L2 [follows from the other two]")
    add(
        "--verbatim",
        action="store_true",
        help="the C program gets the command line as it is; reports what its defects do",
    )
    add("--outdir", type=Path, metavar="DIR", help="artifacts go here [nb-compare/<date>-<time>]")
    add("--png-scale", type=float, default=99.5, metavar="PCTL", help="percentile shown darkest [99.5]")
    add("--save-diff", action="store_true", help="keep the difference as difference.bin (float32)")
    add("--html", action="store_true", help="write report.html")
    add("--c-bin", metavar="PATH", help="C program [$NB_C_BIN, else the project's own reference]")
    add("--py-bin", metavar="CMD", help="command of our side [this Python and package]")
    add("--dtype", choices=("float64", "float32"), help="precision of our side")
    add("--device", metavar="NAME", help="torch device of our side")
    add("--repeat", type=int, default=1, metavar="N", help="pairs of runs for the times [1]")
    add("--threads", type=int, metavar="N", help="threads on both sides [all]")
    add("--time-limit", type=float, metavar="S", help="seconds for one run [none]")
    add("--version", action="version", version=f"nanobrag_torch {__version__}")
    add("args", nargs="*", metavar="-- ARGS", help="the command line for both sides")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Compare one command line.

    Returns:
        0 agree, 1 usage, 2 a runner failed, 3 disagree, 4 the shapes differ, 5 files; or what `guard` returns.
    """
    return guarded("nb-compare", _run, argv)


def _run(words: list[str]) -> int:
    cutting = words.index("--") if "--" in words else len(words)
    try:
        options = _options(words[:cutting], words[cutting + 1 :])
    except SystemExit as end:
        return int(end.code or 0)
    try:
        return _compare(options)
    except RunnerFailed as error:
        _write_failure(options.outdir, error, RUNNER)
        return _complain(str(error), RUNNER)
    except InputError as error:
        return _complain(str(error), USAGE)
    except NanobragError as error:
        return _complain(str(error), RUNNER)
    except OSError as error:
        return _complain(str(error), FILES)


def _options(own: list[str], args: list[str]) -> argparse.Namespace:
    parser = _parser()
    # Everything behind the first `--` belongs to the simulators, `--help` included.
    options = parser.parse_args([*own, *(["--", "word"] if args else [])])
    if not args or options.args != ["word"]:
        stray = [word for word in options.args if word != "word"]
        parser.error(f"put the simulators' command line behind `--` (found {' '.join(stray) or 'nothing'} before it)")
    options.args = tuple(args)
    try:
        options.roi = region_of(options.roi) if options.roi else None
    except ValueError as error:
        parser.error(f"--roi {error}")
    if options.repeat < 1:
        parser.error("--repeat takes a number of at least 1")
    if not 0.0 < options.png_scale <= 100.0:
        parser.error("--png-scale takes a percentile above 0, up to 100")
    if options.time_limit is not None and not options.time_limit > 0.0:
        parser.error("--time-limit takes a number of seconds above 0")
    if options.outdir is None:
        options.outdir = Path("nb-compare") / time.strftime("%Y%m%d-%H%M%S")
    return options


def _complain(text: str, status: int) -> int:
    complain("nb-compare", text)
    return status


def _plan(options: argparse.Namespace, c: CProgram) -> Plan:
    extra: list[str] = []
    if options.dtype:
        extra += ["-dtype", options.dtype]
    if options.device:
        extra += ["-device", options.device]
    return Plan(
        args=options.args,
        c=c,
        py_bin=options.py_bin,
        extra=tuple(extra),
        limit=options.time_limit,
        repeat=options.repeat,
        threads=options.threads,
        verbatim=options.verbatim,
    )


def _compare(options: argparse.Namespace) -> int:
    begun = time.perf_counter()
    our_command(options.py_bin)
    c = find_c_program(options.c_bin)
    programs = [(str(c.path), "--c-bin"), *((path, "--py-bin") for path in (options.py_bin or "").split())]
    check_folder(options.outdir, COMPARED, [*inputs_of(options.args), *programs], "--outdir")
    options.outdir.mkdir(parents=True, exist_ok=True)
    sides = run_both(_plan(options, c), options.outdir)
    ready = time.perf_counter()
    ours, theirs = sides.py.image, sides.c.image
    notes = _notes(sides)
    if ours.shape != theirs.shape:
        if not options.resample:
            text = f"our image has {_size(ours)} pixels, the C program's {_size(theirs)} (--resample compares anyway)"
            verdict = Verdict(SHAPES, "equal shapes", [text])
            _write_json(options.outdir, summary(options, c, sides, verdict, None, notes))
            return _complain(text, SHAPES)
        notes.append(f"our image of {_size(ours)} pixels was stretched to {_size(theirs)}")
        ours = resampled(ours, (theirs.shape[0], theirs.shape[1]))
    region = tuple(options.roi) if options.roi else None
    with ThreadPoolExecutor() as pool:
        pictures = pool.submit(_write_pictures, options, sides, ours, theirs, region)
        promised = pool.submit(broken_promises, options, cut(ours, region), cut(theirs, region), sides)
        metrics = _measured(ours, theirs, region)
        pictures.result()
        verdict = judge(options, metrics, promised.result())
    effect = _effect(options, c, ours, theirs) if options.verbatim and not c.is_reference else None
    told = summary(options, c, sides, verdict, metrics, notes)
    told["defects"] = None if effect is None else effect.told()
    told["times"]["overhead_s"] = time.perf_counter() - begun - sum(sides.c.wall) - sum(sides.py.wall)
    told["times"]["analysis_s"] = time.perf_counter() - ready
    _write_json(options.outdir, told)
    if options.html:
        from nanobrag_torch.parity.page import report_page

        (options.outdir / "report.html").write_text(report_page(told, options.outdir))
    _tell(told, options.outdir)
    return verdict.status


def _effect(options: argparse.Namespace, c: CProgram, ours: Any, theirs: Any) -> Effect | None:
    plan = replace(_plan(options, c), verbatim=False)
    return effect_of_defects(plan, options.outdir, _finite(theirs), _finite(ours), options.roi)


def _measured(ours: Any, theirs: Any, region: Any) -> Metrics:
    try:
        return measure(_finite(ours), _finite(theirs), region)
    except ValueError as error:
        raise InputError("--roi", str(error)) from error


def _finite(image: Any) -> Any:
    return image if np.isfinite(image).all() else np.nan_to_num(image)


def _size(image: Any) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def _notes(sides: Sides) -> list[str]:
    mine, c = sides.py.printed, sides.c.printed
    names = [name for name in c if name not in _CLOCK_DEPENDENT and mine.get(name) != c[name]]
    return [f"{name} is printed as {c[name]} by C, as {mine.get(name, 'nothing')} by ours" for name in names]


def summary(
    options: argparse.Namespace,
    c: CProgram,
    sides: Sides,
    verdict: Verdict,
    metrics: Metrics | None,
    notes: list[str],
) -> dict[str, Any]:
    """Everything that summary.json holds (docs/parity.md describes it)."""
    return {
        "schema": SCHEMA,
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "verdict": verdict.word,
        "exit_status": verdict.status,
        "criterion": verdict.criterion,
        "reasons": verdict.reasons,
        "notes": notes,
        "args": list(options.args),
        "region": options.roi,
        "region_size": _region_size(options.roi, sides),
        **_headline(metrics),
        "metrics": None if metrics is None else asdict(metrics),
        "times": {
            "c": {**sides.c.times(), "threads": sides.c.facts.get("threads")},
            "py": {**sides.py.times(), "threads": sides.py.facts.get("threads")},
            "ratio": sides.ratios(),
        },
        "c": {
            "program": c.path.name,
            "version": c.version,
            "sha256": c.sha256,
            "is_reference": c.is_reference,
            "command": list(sides.c.command),
            "workarounds": sides.changes,
            "doubts": sides.doubts,
            "verbatim": bool(options.verbatim),
        },
        "py": {"command": list(sides.py.command), **sides.py.facts},
        "checkout": checkout_commit(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "files": _checksums(options.outdir),
    }


def _headline(metrics: Metrics | None) -> dict[str, Any]:
    """The figures that scripts ask for, at the top level; `None` where nothing was measured."""
    names = ("correlation", "rmse", "sum_ratio", "max_abs_difference", "mean_peak_distance", "max_peak_distance")
    if metrics is None:
        return dict.fromkeys((*names, "max_abs_difference_at"))
    m, peaks = metrics, metrics.peaks
    figures = (m.correlation, m.rmse, m.sum_ratio, m.max_difference, peaks.mean_distance, peaks.max_distance)
    return {**dict(zip(names, figures, strict=True)), "max_abs_difference_at": list(m.max_difference_at)}


def _region_size(region: Any, sides: Sides) -> list[int]:
    """Pixels compared: [slow, fast]."""
    return [int(n) for n in cut(sides.c.image, region).shape]


def _checksums(folder: Path) -> dict[str, str]:
    names = ("*.bin", "*.img", "*.pgm", "*.png", "*.stdout", "*.stderr", "*.csv")
    return {path.name: checksum(path) for pattern in names for path in sorted(folder.glob(pattern))}


def _write_pictures(options: argparse.Namespace, sides: Sides, ours: Any, theirs: Any, region: Any) -> None:
    from nanobrag_torch.parity.artifacts import write_artifacts

    pixel = sides.c.printed.get("pixel") or 1.0
    beam = (sides.c.printed.get("Sbeam", 0.0) / pixel - 0.5, sides.c.printed.get("Fbeam", 0.0) / pixel - 0.5)
    corner = (max(region[2], 0), max(region[0], 0)) if region else (0, 0)
    centre = (beam[0] - corner[0], beam[1] - corner[1])
    write_artifacts(
        options.outdir,
        cut(ours, region),
        cut(theirs, region),
        centre=centre,
        percentile=options.png_scale,
        save_difference=options.save_diff,
    )


def _write_json(folder: Path, told: dict[str, Any]) -> None:
    (folder / "summary.json").write_text(json.dumps(plain(told), indent=1) + "\n")
    commands = [f"# C\n{shown(told['c']['command'])}\n", f"# Python\n{shown(told['py']['command'])}\n"]
    (folder / "commands.txt").write_text("".join(commands))


def _write_failure(folder: Path, error: RunnerFailed, status: int) -> None:
    """What is known when a side failed: its command and how it ended; its logs are there already."""
    told = {
        "schema": SCHEMA,
        "verdict": "failed",
        "exit_status": status,
        "reasons": str(error).splitlines(),
        "side": error.side,
        "command": list(error.outcome.command),
        "status": error.outcome.status,
        "seconds": error.outcome.seconds,
    }
    (folder / "summary.json").write_text(json.dumps(told, indent=1) + "\n")


def _tell(told: dict[str, Any], folder: Path) -> None:
    m, ratio = told["metrics"], told["times"]["ratio"]
    rows = [
        ("correlation", f"{m['correlation']:.12g}"),
        ("relative L2", f"{m['relative_l2']:.3g}"),
        ("RMSE", f"{m['rmse']:.6g}"),
        ("max |difference|", f"{m['max_difference']:.6g} at (slow, fast) {tuple(m['max_difference_at'])}"),
        ("sums", f"C {m['c_sum']:.9g}, ours {m['py_sum']:.9g}, ratio {m['sum_ratio']:.12g}"),
        ("equal pixels", f"{m['equal_pixels']} of {m['pixels']}"),
        ("SSIM", f"{m['ssim']:.9g}"),
        ("peaks matched", f"{m['peaks']['matched']} of {m['peaks']['c_count']}, {_distances(m['peaks'])}"),
        ("times", "; ".join(_times(side, told["times"][side]) for side in ("c", "py"))),
        ("C / ours", ", ".join(f"{name} {value:.3g}" for name, value in ratio.items()) or "not measured"),
    ]
    size = told["region_size"]
    rows.insert(0, ("region", f"{size[1]} x {size[0]} pixels (fast x slow){_corners(told['region'])}"))
    for name, text in rows:
        print(f"{name:>17}  {text}")
    for name, lines in (("work-around", told["c"]["workarounds"]), ("may differ", told["c"]["doubts"])):
        for text in lines:
            print(f"{name:>17}  {text}")
    for text in effect_rows(told.get("defects")):
        print(f"{'defects':>17}  {text}")
    for text in told["notes"]:
        print(f"{'note':>17}  {text}")
    print(f"{told['verdict'].upper():>17}  ({told['criterion']})")
    for text in told["reasons"]:
        print(f"{'':>17}  {text}")
    print(f"{'artifacts':>17}  {folder}", flush=True)


def _corners(region: Any) -> str:
    return f": fast {region[0]} to {region[1]}, slow {region[2]} to {region[3]}, ends included" if region else ""


def _distances(peaks: dict[str, Any]) -> str:
    if not peaks["matched"]:
        return "no distance"
    return f"mean {peaks['mean_distance']:.3g}, largest {peaks['max_distance']:.3g} pixels"


def _times(side: str, times: dict[str, Any]) -> str:
    name = {"c": "C", "py": "ours"}[side]
    parts = [f"{key[:-2]} {times[key]['median']:.3g} s" for key in ("render_s", "startup_s", "wall_s") if key in times]
    threads = times.get("threads")
    return f"{name} {', '.join(parts)}" + (f" ({threads} threads)" if threads else "")


__all__ = ["ParityError", "main"]


if __name__ == "__main__":
    sys.exit(main())
