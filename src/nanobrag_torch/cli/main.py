"""The command line: parse, check, read, settle, run, write; errors become one line and a status."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from nanobrag_torch import __version__
from nanobrag_torch.cli.flags import FLAGS
from nanobrag_torch.cli.flags.words import looks_like_flag
from nanobrag_torch.cli.parse import Parsed, bare, parse_line, words_behind
from nanobrag_torch.cli.running import (
    complain,
    print_pixels,
    read,
    rendered,
    say_line,
    say_nothing,
    simulator_for,
    threads,
    warnings_as_lines,
    with_command,
    with_dump,
    with_seeds,
)
from nanobrag_torch.errors import FileFormatError, InputError, NanobragError, UsageError
from nanobrag_torch.guard import guarded, leave

if TYPE_CHECKING:
    from nanobrag_torch.cli.outputs import Say
    from nanobrag_torch.config import Config
    from nanobrag_torch.io.registry import FileRegistry
    from nanobrag_torch.settling.inputs import Inputs

OK, REFUSED = 0, 9

_FLAG_OF = {bare(field): flag.name for flag in reversed(FLAGS) for field in flag.fields}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the words behind the program's name; those of this process by default.

    Returns:
        0, or 9 when the input is refused, or what `guard` returns after signals and unforeseen errors.
    """
    return guarded("nanobrag", run_words, argv)


def program() -> NoReturn:
    """Run the command line of this process, and end it."""
    leave(main())


def run_words(words: Sequence[str], where: str = "", files: FileRegistry | None = None) -> int:
    """Run one command line without looking after interruptions.

    Args:
        words: its words.
        where: stands before what is refused.
        files: files that are in use already, which it must not overwrite.
    """
    try:
        parsed = parse_line(words)
        if parsed.action == "batch":
            from nanobrag_torch.cli.batch import run_batch

            return run_batch(words, run_words)
    except NanobragError as error:
        return _refuse(error, {}, where)
    if parsed.action == "run":
        return _run_or_refuse(parsed, where, files)
    try:
        print(_answer(parsed.action, words), flush=True)
    except InputError as error:
        return _refuse(error, {}, where)
    return OK


def _answer(action: str, words: Sequence[str]) -> str:
    """What is printed instead of a run.

    Raises:
        InputError: help about a word that is no flag, or completion for a shell that is not known.
    """
    behind = words_behind(action, words)
    if action == "help":
        from nanobrag_torch.cli.help import flag_help, help_text

        return flag_help(behind[0]) if behind and looks_like_flag(behind[0]) else help_text()
    if action == "completion":
        from nanobrag_torch.cli.completion import SHELLS, completion

        if not behind or behind[0] not in SHELLS:
            problem = f"{behind[0]!r} is no shell that is known" if behind else "1 more value expected"
            raise InputError("-completion", problem, f"write -completion {'|'.join(SHELLS)}")
        return completion(behind[0])
    return f"nanobrag_torch {__version__}"


def _run_or_refuse(parsed: Parsed, where: str, files: FileRegistry | None) -> int:
    flags = {**_FLAG_OF, **parsed.spelt}
    try:
        _run(parsed, flags, files)
    except NanobragError as error:
        return _refuse(_with_flag(error, parsed.config, flags), flags, where)
    return OK


def _with_flag(error: NanobragError, config: Config, flags: Mapping[str, str]) -> NanobragError:
    """What is wrong with a file, behind the flag that names it."""
    if not isinstance(error, FileFormatError) or error.flag:
        return error
    from nanobrag_torch.cli.outputs import files_said

    named = {path: flags[field] for field, path in reversed(list(files_said(config))) if field in flags}
    return error.behind(named[error.path]) if error.path in named else error


def _refuse(error: NanobragError, flags: Mapping[str, str], where: str) -> int:
    if isinstance(error, UsageError):
        from nanobrag_torch.cli.help import usage

        print(usage(), flush=True)
    if isinstance(error, InputError):
        text = f"{flags.get(error.field, error.field)}: {error.problem}"
        text += f"; {error.advice}" if error.advice else ""
    else:
        text = str(error)
    complain(f"{where}{text}")
    return REFUSED


def _run(parsed: Parsed, flags: Mapping[str, str], files: FileRegistry | None) -> None:
    """Everything from the configuration to the files on disk; torch is imported when all files have been read."""
    from nanobrag_torch.cli.summary import is_short
    from nanobrag_torch.settling.checks import LARGEST_SEED

    # Of the clock in nanoseconds the last digits: two runs of the same second differ.
    config = with_command(with_seeds(parsed.config, time.time_ns() % LARGEST_SEED), parsed.words)
    say = say_nothing if config.output.quiet or is_short(config.output) else say_line
    if config.output.frames is not None:
        from nanobrag_torch.cli.series import run_series

        run_series(parsed, config, flags, say_nothing if config.output.quiet else say_line, files)
        return
    inputs = read(config, flags, files)
    for note in parsed.notes:
        complain(note)
    if config.output.quiet and inputs.grid_from_dump and config.crystal.dump_file is None:
        complain(f"warning: the structure factors come from {inputs.grid_file} in this folder; name it with -dump")
    with threads(config.output.threads), warnings_as_lines(say):
        _render_and_write(config, inputs, flags, say)
    sys.stdout.flush()


def _render_and_write(config: Config, inputs: Inputs, flags: Mapping[str, str], say: Say) -> None:
    import torch

    from nanobrag_torch.cli.modern import warn_of_losses
    from nanobrag_torch.cli.outputs import Results, output_names, write_outputs
    from nanobrag_torch.cli.report import banner, scene_lines, solid_angle_lines
    from nanobrag_torch.cli.summary import is_short, summary_lines
    from nanobrag_torch.detector.of_scene import image_of
    from nanobrag_torch.settling import settle
    from nanobrag_torch.settling.cost import check_cost
    from nanobrag_torch.settling.inputs import write_dump_for

    began = time.perf_counter()
    experiment = settle(config, physics=config.output.physics, inputs=inputs)
    warn_of_losses(experiment, output_names(config.output))
    given = config.response.photons_file
    if given is None:
        check_cost(experiment, torch.get_num_threads(), config.output.however_long)
    simulator = simulator_for(experiment, config.output)
    say(banner(__version__))
    for line in scene_lines(experiment, config, inputs):
        say(line)
    image = rendered(simulator, config.output) if given is None else image_of(given, experiment)
    results = Results.of(image, with_dump(config, inputs))
    if results.statistics.solid_angle is not None:
        for line in solid_angle_lines(results.statistics.solid_angle):
            say(line)
    print_pixels(image, config, say)
    write_outputs(results, flags, say)
    if is_short(config.output):
        for line in summary_lines(results, time.perf_counter() - began):
            say_line(line)
    try:
        write_dump_for(config, inputs)
    except InputError as error:
        complain(f"warning: {error}")
