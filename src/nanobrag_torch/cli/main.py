"""The command line: parse, check, read, settle, run, write; errors become one line and a status."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from nanobrag_torch import __version__
from nanobrag_torch.cli.flags import FLAGS
from nanobrag_torch.cli.help import help_text, usage
from nanobrag_torch.cli.parse import Parsed, bare, parse_line
from nanobrag_torch.config import Config, OutputConfig
from nanobrag_torch.errors import BackendUnavailable, InputError, NanobragError, NanobragWarning, UsageError

if TYPE_CHECKING:
    from nanobrag_torch.cli.outputs import Say
    from nanobrag_torch.image import Image
    from nanobrag_torch.models import Experiment
    from nanobrag_torch.settling.inputs import Inputs
    from nanobrag_torch.simulator import Simulator

OK, REFUSED, INTERRUPTED = 0, 9, 130
BYTES_PER_MB = 1_000_000

_FLAG_OF = {bare(field): flag.name for flag in reversed(FLAGS) for field in flag.fields}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the words behind the program's name; those of this process by default.

    Returns:
        0, or 9 when the input is refused, or 130 after an interruption by the keyboard.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        parsed = parse_line(words)
        if parsed.action == "run":
            return _run_or_refuse(parsed)
        print(help_text() if parsed.action == "help" else f"nanobrag_torch {__version__}", flush=True)
        return OK
    except NanobragError as error:
        return _refuse(error, {})
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left: nothing can be told any more, nor when the interpreter flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _run_or_refuse(parsed: Parsed) -> int:
    flags = {**_FLAG_OF, **parsed.spelt}
    try:
        _run(parsed, flags)
    except NanobragError as error:
        return _refuse(error, flags)
    return OK


def _refuse(error: NanobragError, flags: Mapping[str, str]) -> int:
    if isinstance(error, UsageError):
        print(usage(), flush=True)
    if isinstance(error, InputError):
        text = f"{flags.get(error.field, error.field)}: {error.problem}"
        text += f"; {error.advice}" if error.advice else ""
    else:
        text = str(error)
    _complain(" ".join(text.split("\n")))
    return REFUSED


def _complain(text: str) -> None:
    sys.stdout.flush()
    print(f"nanobrag: {text}", file=sys.stderr, flush=True)


def _run(parsed: Parsed, flags: Mapping[str, str]) -> None:
    """Everything from the configuration to the files on disk; torch is imported when all files have been read."""
    config, inputs = _read(parsed, flags)
    for note in parsed.notes:
        _complain(note)
    with _threads(config.output.threads), _warnings_as_lines():
        _render_and_write(config, inputs, flags, _silence if config.output.quiet else _say)
    sys.stdout.flush()


def _read(parsed: Parsed, flags: Mapping[str, str]) -> tuple[Config, Inputs]:
    """The checked configuration and the content of every input file."""
    from nanobrag_torch.cli.outputs import check_outputs
    from nanobrag_torch.io.stol import check_stol
    from nanobrag_torch.settling.checks import LARGEST_SEED, check
    from nanobrag_torch.settling.inputs import read_inputs

    config = with_seeds(parsed.config, int(time.time()) % LARGEST_SEED)
    check(config)
    check_outputs(config, flags)
    if config.crystal.amorphous_file is not None:
        check_stol(config.crystal.amorphous_file)
    return config, read_inputs(config)


def _render_and_write(config: Config, inputs: Inputs, flags: Mapping[str, str], say: Say) -> None:
    from nanobrag_torch.cli.modern import warn_of_losses
    from nanobrag_torch.cli.outputs import Results, output_names, write_outputs
    from nanobrag_torch.cli.report import banner, scene_lines, solid_angle_lines
    from nanobrag_torch.settling import settle
    from nanobrag_torch.settling.inputs import write_dump_for

    experiment = settle(config, physics=config.output.physics, inputs=inputs)
    warn_of_losses(experiment, output_names(config.output))
    simulator = _simulator(experiment, config.output)
    say(banner(__version__))
    for line in scene_lines(experiment, config, inputs):
        say(line)
    image = _render(simulator, config.output)
    results = Results.of(image, config)
    if results.statistics.solid_angle is not None:
        for line in solid_angle_lines(results.statistics.solid_angle):
            say(line)
    _print_pixels(image, config, say)
    write_outputs(results, flags, say)
    try:
        write_dump_for(config, inputs)
    except InputError as error:
        _complain(f"warning: {error}")


def with_seeds(config: Config, clock: int) -> Config:
    """The configuration with the seeds that nobody gave taken from the clock (specs: rng 2).

    In the exact mode the seed of the misset is that of the noise (specs: deviations F, D42).
    """
    noise = clock if config.output.noise_seed is None else config.output.noise_seed
    misset = config.crystal.misset_seed
    if config.crystal.misset_random and misset is None:
        misset = noise if config.output.physics == "exact" else clock
    return replace(
        config,
        crystal=replace(config.crystal, misset_seed=misset),
        output=replace(config.output, noise_seed=noise),
    )


def _simulator(experiment: Experiment, said: OutputConfig) -> Simulator:
    """The simulator with the device, precision and memory that were asked for."""
    from nanobrag_torch.plan import DEFAULT_BUDGET
    from nanobrag_torch.simulator import Simulator

    memory = DEFAULT_BUDGET if said.memory_MB is None else int(said.memory_MB * BYTES_PER_MB)
    try:
        return Simulator(experiment, device=said.device, dtype=said.dtype, memory=memory)
    except BackendUnavailable as error:
        if error.name != said.device:
            raise
        raise InputError("device", f"{error.name}: {error.reason}") from error


def _render(simulator: Simulator, said: OutputConfig) -> Image:
    """The image, rounded once to the precision of the files."""
    import torch

    from nanobrag_torch.cli.progress import progress_meter
    from nanobrag_torch.simulator import pixel_lists

    meter = None
    if said.progress and not said.quiet and not said.printout:
        experiment = simulator.experiment
        lists = zip(pixel_lists(experiment), experiment.detector.panels, strict=True)
        meter = progress_meter(sum(p.pixels_f * p.pixels_s if c is None else len(c) for c, p in lists))
    return simulator.run(solid_angle=True, progress=meter, out_dtype=torch.float32)


def _print_pixels(image: Image, config: Config, say: Say) -> None:
    """The block of `-printout`, for one pixel or for all that were rendered."""
    from nanobrag_torch.cli.printout import pixel_lines

    said = config.output
    if not said.printout:
        return
    if said.printout_pixel is not None:
        pixels: Iterable[tuple[int, int]] = [said.printout_pixel]
    else:
        width, chosen = image.experiment.detector.panels[0].pixels_f, image.pixels[0]
        indices = range(len(image.values[0])) if chosen is None else chosen.tolist()
        pixels = ((index % width, index // width) for index in indices)
    for fast, slow in pixels:
        for line in pixel_lines(image.experiment, fast, slow):
            say(line)


def _say(line: str) -> None:
    print(line)


def _silence(line: str) -> None:
    """What `-quiet` says."""


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Compute with `count` threads, and give the process its own number back."""
    import torch

    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show the package's warnings as lines of this program; leave all others to Python."""
    show = warnings.showwarning

    def line(message: Warning | str, category: type[Warning], *rest: object) -> None:
        if issubclass(category, NanobragWarning):
            _complain(f"warning: {' '.join(str(message).split(chr(10)))}")
        else:
            show(message, category, *rest)  # type: ignore[arg-type]

    with warnings.catch_warnings():
        warnings.simplefilter("always", NanobragWarning)
        warnings.showwarning = line  # type: ignore[assignment]
        yield
