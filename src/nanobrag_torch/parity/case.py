"""One command line through both programs, ours in this process, and everything that differs."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.cli.outputs import output_names
from nanobrag_torch.cli.parse import parse_line
from nanobrag_torch.errors import NanobragError, NanobragWarning, ParityError
from nanobrag_torch.guard import FAULT
from nanobrag_torch.io.smv import read_smv
from nanobrag_torch.parity.agreement import DOUBLE, DOUBLE_TOPHAT, Bounds, count_problems, image_agreement
from nanobrag_torch.parity.explain import REFUSED, explanation, refusal_explained, unnudged
from nanobrag_torch.parity.process import run
from nanobrag_torch.parity.programs import CProgram
from nanobrag_torch.parity.transcript import LAST_DIGIT, ROUNDED, same_line, transcript_differences
from nanobrag_torch.parity.words import OURS_ONLY, without
from nanobrag_torch.parity.workarounds import OriginalLine, for_original
from nanobrag_torch.settling.checks import check, detector_pixels

TIME_LIMIT_S = 120.0


@dataclass(frozen=True)
class Line:
    """A command line to try.

    Args:
        id: its name in tables.
        args: the words; input files are named relative to the run folder (`../inputs/...`) or absolutely.
        files: input files by name, put into `inputs/`.
        bounds: limits of the image in place of the project's.
        text: whether printed lines and headers have to agree too.
    """

    id: str
    args: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    bounds: Bounds | None = None
    text: bool = True


@dataclass
class Result:
    """What came of a line.

    Args:
        id: its name.
        args: the words.
        status: exit statuses, C first.
        problems: everything that disagrees unexplained, one line each; empty when nothing does.
        explained: deviations of specs/deviations.md that account for what disagrees, one sentence each.
        changes: what was done to the line for an original nanoBragg.
        figures: relative_l2, worst_pixel, worst_of_max, sum of the image.
        excess: the largest figure over its bound: how a table is ordered.
        off: pixels (slow, fast) beyond their bounds, the worst first.
        equal: whether the float images are the same in all bits.
        seconds: time of both sides, C first.
        terms: what the scene was, in a few words.
    """

    id: str
    args: tuple[str, ...]
    status: tuple[int | None, int | None] = (None, None)
    problems: list[str] = field(default_factory=list)
    explained: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    excess: float = 0.0
    equal: bool = False
    off: list[tuple[int, int]] = field(default_factory=list)
    seconds: tuple[float, float] = (0.0, 0.0)
    terms: str = ""

    @property
    def failed(self) -> bool:
        """Whether anything disagrees."""
        return bool(self.problems)

    def row(self) -> dict[str, Any]:
        """The result as JSON takes it."""
        return asdict(self)


def terms_of(line: Line, folder: Path) -> float:
    """How many terms a render of the line would add up, over all pixels of the detector; 0 when it is refused."""
    from nanobrag_torch.settling import settle
    from nanobrag_torch.settling.inputs import read_inputs

    (folder / "inputs").mkdir(exist_ok=True)
    (folder / "py").mkdir(exist_ok=True)
    for name, content in line.files.items():
        (folder / "inputs" / name).write_bytes(content)
    try:
        with contextlib.chdir(folder / "py"):
            config = parse_line(line.args).config
            check(config)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NanobragWarning)
                experiment = settle(config, physics="nanobragg", inputs=read_inputs(config))
    except NanobragError:
        return 0.0
    panel = experiment.detector.panels[0]
    return float(panel.pixels_f * panel.pixels_s * panel.layers * experiment.steps)


def try_line(line: Line, c: CProgram, folder: Path, *, verbatim: bool = False) -> Result:
    """Run a line on both sides and compare everything they wrote.

    Args:
        line: what to try.
        c: the C program.
        folder: an existing folder of its own; `c/`, `py/` and `inputs/` are made in it.
        verbatim: an original nanoBragg gets the words as they are; no disagreement is explained.
    """
    for name in ("c", "py", "inputs"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    for name, content in line.files.items():
        (folder / "inputs" / name).write_bytes(content)
    result = Result(line.id, line.args)
    theirs = _run_c(line, c, folder, verbatim)
    ours = _run_ours(line, folder)
    result.changes = theirs.original.changes
    result.status = (theirs.status, ours.status)
    result.seconds = (theirs.seconds, ours.seconds)
    if ours.crash:
        result.problems.append(f"ours crashed: {ours.crash}")
    elif theirs.status != ours.status:
        result.problems.append(
            f"statuses differ: C {theirs.status} ({_last(theirs.errors)}), ours {ours.status} ({_last(ours.errors)})"
        )
    elif theirs.status not in (0, REFUSED):
        result.problems.append(f"C ended with status {theirs.status}: {_last(theirs.errors)}")
    elif ours.status == 0:
        _compare_runs(line, folder, theirs, ours.output, result)
    if result.failed and not c.is_reference and not verbatim and not ours.crash:
        _explain(line, c, folder, theirs, ours, result)
    result.excess = np.inf if result.failed and result.excess <= 1.0 else result.excess
    return result


@dataclass
class _Ran:
    status: int | None
    output: str
    errors: str
    seconds: float
    crash: str = ""
    original: OriginalLine = field(default_factory=lambda: OriginalLine([]))


def _explain(line: Line, c: CProgram, folder: Path, theirs: _Ran, ours: _Ran, result: Result) -> None:
    """Moves what deviations account for from the problems to the explanations, after showing that they do."""

    def agrees(args: Sequence[str]) -> bool:
        with tempfile.TemporaryDirectory(prefix="nb-parity-") as name:
            return not try_line(replace(line, args=tuple(args)), c, Path(name)).problems

    withheld = [text for text in result.changes if text.startswith(("D07", "D08"))]
    if withheld:
        rest = [text for text in result.problems if "pixel oversample steps" not in text]
        result.explained = withheld if len(rest) < len(result.problems) else []
        result.problems = rest
    if not result.problems:
        found = result.explained
    elif theirs.status != ours.status:
        errors = (theirs.errors, ours.errors)
        found = refusal_explained(theirs.status, ours.status, *errors, lambda: _is_sound(line, folder / "c"))
        extensions = frozenset({"-source_weights", "-pix0_override_mm"})
        if found and theirs.status == REFUSED and not agrees(without(line.args, extensions)):
            found = []
    else:
        found = explanation(line.args, theirs.original, result.off, folder / "py", agrees)
    if found:
        result.explained = list(dict.fromkeys([*result.explained, *found]))
        result.problems, result.excess = [], 0.0


def _is_sound(line: Line, folder: Path) -> bool:
    """Whether the float image in a folder holds nothing but finite numbers of 0 or more."""
    values = np.fromfile(folder / output_names(_config_in(folder, line.args).output)["float_file"], np.float32)
    return bool(np.isfinite(values).all() and (values >= 0.0).all())


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["nothing said"])[-1][:300]


def _run_c(line: Line, c: CProgram, folder: Path, verbatim: bool = False) -> _Ran:
    words = [*without(line.args, OURS_ONLY), "-noprogress"]
    original = OriginalLine(words)
    if not c.is_reference and not verbatim:
        try:
            original = for_original(words, _config_in(folder / "c", words))
        except ParityError as error:
            return _Ran(REFUSED, "", str(error), 0.0)
        except NanobragError:
            # Ours cannot read the line: the original gets it as it is.
            pass
    one_thread = {"OMP_NUM_THREADS": "1"}
    done = run(
        [str(c.path), *original.words], folder / "c", limit=TIME_LIMIT_S, log=folder, name="c", environment=one_thread
    )
    return _Ran(done.status, done.stdout, done.stderr, done.seconds, original=original)


def _config_in(folder: Path, words: Sequence[str]) -> Any:
    with contextlib.chdir(folder):
        return parse_line(words).config


def _run_ours(line: Line, folder: Path) -> _Ran:
    from nanobrag_torch.cli.main import main

    output, errors = io.StringIO(), io.StringIO()
    status, crash = None, ""
    begun = time.perf_counter()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        contextlib.chdir(folder / "py"),
    ):
        try:
            status = main([*line.args, "-noprogress"])
        except BaseException as error:
            # Whatever escapes is a finding, a stray SystemExit included; only the keyboard ends the harness itself.
            if isinstance(error, KeyboardInterrupt):
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            crash = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    seconds = time.perf_counter() - begun
    if status == FAULT:
        crash = _last(errors.getvalue()).removeprefix("nanobrag: ")
    (folder / "py.stdout").write_text(output.getvalue())
    (folder / "py.stderr").write_text(errors.getvalue())
    return _Ran(status, output.getvalue(), errors.getvalue(), seconds, crash)


def _compare_runs(line: Line, folder: Path, c: _Ran, ours: str, result: Result) -> None:
    config = _config_in(folder / "py", line.args)
    nudged = any(text.startswith("D01") for text in c.original.changes)
    theirs = unnudged(c.output) if nudged else c.output
    names = output_names(config.output)
    float_name = names["float_file"]
    images = {}
    for side in ("c", "py"):
        path = folder / side / float_name
        if not path.exists():
            result.problems.append(f"the {side} side wrote no {float_name}")
            return
        images[side] = np.fromfile(path, np.float32)
    bounds = line.bounds or (DOUBLE_TOPHAT if config.crystal.shape == "tophat" else DOUBLE)
    shape = detector_pixels(config.detector)[::-1]
    if not _compare_floats(images, shape, bounds, result):
        return
    for key, name in names.items():
        if key == "float_file":
            continue
        missing = [side for side in ("c", "py") if not (folder / side / name).exists()]
        if missing:
            result.problems.append(f"the {missing[0]} side wrote no {name}")
            continue
        if key == "int_file":
            result.problems += _smv_problems(folder, name, result, line.text, noise=False)
        elif key == "noise_file":
            result.problems += _smv_problems(folder, name, result, line.text, noise=True)
        elif key == "pgm_file":
            result.problems += _pgm_problems(folder, name, result)
    result.problems += _dump_problems(folder, config)
    if line.text:
        kept = (lambda t: t) if result.equal else _without_noise
        lines = transcript_differences(kept(ours), kept(theirs))
        result.problems += [f"printed (ours | C): {text}" for text in lines[:5]]


def _without_noise(output: str) -> str:
    """Noise counts hang on the last bit of every pixel: they are compared only between equal images."""
    return "\n".join(line for line in output.split("\n") if "photons on noise image" not in line)


def _compare_floats(
    images: dict[str, NDArray[np.float32]], shape: tuple[int, ...], bounds: Bounds, result: Result
) -> bool:
    ours, theirs = images["py"], images["c"]
    if ours.size != theirs.size or ours.size != np.prod(shape):
        result.problems.append(f"image sizes differ: C {theirs.size} pixels, ours {ours.size}, settled {shape}")
        return False
    result.equal = ours.tobytes() == theirs.tobytes()
    if result.equal:
        result.figures = dict.fromkeys(("relative_l2", "worst_pixel", "worst_of_max", "sum"), 0.0)
        return True
    found = image_agreement(ours.reshape(shape), theirs.reshape(shape), bounds)
    result.figures = {
        "relative_l2": found.relative_l2,
        "worst_pixel": found.worst_pixel,
        "worst_of_max": found.worst_of_max,
        "sum": found.sum,
    }
    result.excess = max(
        found.relative_l2 / bounds.relative_l2,
        found.worst_pixel,
        found.worst_of_max / bounds.of_max,
        abs(found.sum) / bounds.sum,
    )
    result.problems += [f"image: {text}" for text in found.problems()]
    result.off = _pixels_off(ours.reshape(shape), theirs.reshape(shape), bounds)
    return True


def _pixels_off(ours: NDArray[np.float32], theirs: NDArray[np.float32], bounds: Bounds) -> list[tuple[int, int]]:
    """The pixels [slow, fast] that keep neither the relative nor the absolute bound, the worst first."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    difference = np.abs(a - b)
    limit = bounds.pixel * np.abs(b) + bounds.floor * np.abs(b).max(initial=0.0)
    places = np.flatnonzero(difference > limit)
    order = places[np.argsort(-difference.flat[places])]
    return [(int(i // a.shape[1]), int(i % a.shape[1])) for i in order]


def _smv_problems(folder: Path, name: str, result: Result, text: bool, *, noise: bool) -> list[str]:
    problems = []
    if text:
        ours, theirs = (_header_lines(folder / side / name) for side in ("py", "c"))
        if any(change.startswith("D01") for change in result.changes):
            theirs = [unnudged(row) for row in theirs]
        off = [(a, b) for a, b in _pairs(ours, theirs) if a != b]
        # A number on the edge between two printed digits, in as many lines as a transcript may have.
        edge = [(a, b) for a, b in off if same_line(a, b, LAST_DIGIT)]
        off = off if len(edge) > ROUNDED else [pair for pair in off if pair not in edge]
        problems += [f"header of {name} (ours | C): {a} | {b}" for a, b in off[:5]]
    if noise and not result.equal:
        return problems
    counts, reference = (read_smv(folder / side / name)[0] for side in ("py", "c"))
    free = 0.0 if result.equal else max(1e-3, 1.0 / counts.size)
    return problems + [f"{name}: {problem}" for problem in count_problems(counts, reference, free)]


def _header_lines(path: Path) -> list[str]:
    """The lines of a header that have to agree: ADC_OFFSET is an extension, HEADER_BYTES may be 1024 (D12)."""
    text = path.read_bytes()[:1024].partition(b"\f")[0].decode("latin-1")
    skipped = ("ADC_OFFSET", "HEADER_BYTES")
    return [_no_noise(line) for line in text.splitlines() if "=" in line and not line.startswith(skipped)]


def _no_noise(line: str) -> str:
    """The line with numbers that are rounding noise around 0, and -0, written as 0."""
    key, _, value = line.partition("=")
    parts = value.rstrip(";").split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return line
    clean = ["0" if abs(n) < 1e-9 else part for n, part in zip(numbers, parts, strict=True)]
    return f"{key}={','.join(clean)}" + (";" if value.endswith(";") else "")


def _pairs(ours: list[str], theirs: list[str]) -> list[tuple[str, str]]:
    length = max(len(ours), len(theirs))
    return list(zip(ours + [""] * (length - len(ours)), theirs + [""] * (length - len(theirs)), strict=True))


def _pgm_problems(folder: Path, name: str, result: Result) -> list[str]:
    heads, pixels = [], []
    for side in ("py", "c"):
        content = (folder / side / name).read_bytes()
        place = content.index(b"\n255\n") + 5
        heads.append(content[:place])
        pixels.append(np.frombuffer(content[place:], np.uint8))
    problems = [] if heads[0] == heads[1] else [f"header of {name} (ours | C): {heads[0]!r} | {heads[1]!r}"]
    # The scale hangs on sums, whose last bit may differ between equal images.
    free = max(1e-3, 1.0 / pixels[0].size)
    return problems + [f"{name}: {problem}" for problem in count_problems(pixels[0], pixels[1], free)]


def _dump_problems(folder: Path, config: Any) -> list[str]:
    """The structure-factor dump, which every -hkl run leaves behind (specs: structure_factors 6)."""
    name = config.crystal.dump_file or "Fdump.bin"
    contents = [
        (folder / side / name).read_bytes() if os.path.exists(folder / side / name) else None for side in ("py", "c")
    ]
    return [] if contents[0] == contents[1] else [f"{name} differs"]
