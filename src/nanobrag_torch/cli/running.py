"""What a single run and a series have in common: reading, seeds, rendering, and talking to the user."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from nanobrag_torch import guard
from nanobrag_torch.config import Config, OutputConfig
from nanobrag_torch.errors import BackendUnavailable, InputError, NanobragWarning, TableRangeWarning

if TYPE_CHECKING:
    from nanobrag_torch.cli.outputs import Say
    from nanobrag_torch.io.registry import FileRegistry
    from nanobrag_torch.models import Experiment
    from nanobrag_torch.pipeline.image import Image
    from nanobrag_torch.pipeline.simulator import Simulator
    from nanobrag_torch.settling.inputs import Inputs

BYTES_PER_MB = 1_000_000


def complain(text: str) -> None:
    """Tell the user a line on the standard error stream, behind what was said before."""
    guard.complain("nanobrag", text)


def read(config: Config, flags: Mapping[str, str], files: FileRegistry | None = None) -> Inputs:
    """The content of every input file of a configuration, which is checked first, as are the names of its outputs.

    What killed runs left beside the outputs is removed. `files` are in use already.

    Raises:
        NanobragError: something is refused.
    """
    with guard.uncollected():
        from nanobrag_torch.cli.outputs import check_outputs, output_names
        from nanobrag_torch.io.files import sweep
        from nanobrag_torch.io.stol import check_stol
        from nanobrag_torch.settling.checks import check
        from nanobrag_torch.settling.inputs import read_inputs

    check(config)
    check_outputs(config, flags, files)
    sweep(os.path.dirname(name) or "." for name in output_names(config.output).values())
    if config.crystal.amorphous_file is not None:
        check_stol(config.crystal.amorphous_file)
    return read_inputs(config)


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


def with_command(config: Config, words: Sequence[str]) -> Config:
    """The configuration with the command line that it comes from, for the files that say so."""
    return replace(config, output=replace(config.output, command=tuple(words)))


def with_dump(config: Config, inputs: Inputs) -> Config:
    """The configuration with the name of the cache that its structure factors were read from."""
    if not inputs.grid_from_dump or config.crystal.dump_file is not None:
        return config
    return replace(config, crystal=replace(config.crystal, dump_file=inputs.grid_file))


def simulator_for(experiment: Experiment, said: OutputConfig) -> Simulator:
    """The simulator with the device, precision and memory that were asked for."""
    from nanobrag_torch.pipeline.plan import DEFAULT_BUDGET
    from nanobrag_torch.pipeline.simulator import Simulator

    if said.printout and not experiment.is_simple:
        problem = "the scene has several crystals, sizes or colours, diffuse scattering, a background or absorption"
        raise InputError("printout", problem, "a printout follows one crystal alone: leave them, or it, out")
    memory = DEFAULT_BUDGET if said.memory_MB is None else int(said.memory_MB * BYTES_PER_MB)
    try:
        return Simulator(
            experiment, device=said.device, dtype=said.dtype, memory=memory, tolerance=said.tolerance_photons
        )
    except BackendUnavailable as error:
        if error.name != said.device:
            raise
        raise InputError("device", f"{error.name}: {error.reason}") from error


def rendered(simulator: Simulator, said: OutputConfig) -> Image:
    """The image, rounded once to the precision of the files."""
    import torch

    from nanobrag_torch.cli.image_check import checked
    from nanobrag_torch.cli.progress import progress_meter
    from nanobrag_torch.pipeline.simulator import pixel_lists

    meter = None
    if said.progress and not said.quiet and not said.printout:
        experiment = simulator.experiment
        lists = zip(pixel_lists(experiment), experiment.detector.panels, strict=True)
        meter = progress_meter(sum(p.pixels_f * p.pixels_s if c is None else len(c) for c, p in lists))
    return checked(
        guard.interruptible(lambda: simulator.run(solid_angle=True, progress=meter, out_dtype=torch.float32))
    )


def print_pixels(image: Image, config: Config, say: Say) -> None:
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


def say_line(line: str) -> None:
    """Print a line of the report."""
    print(line)


def say_nothing(line: str) -> None:
    """What `-quiet` says."""


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Compute with `count` threads, and give the process its own number back."""
    with guard.uncollected():
        import torch

        import nanobrag_torch.pipeline.simulator  # noqa: F401

    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def warnings_as_lines(say: Say | None = None) -> Iterator[None]:
    """Show the package's warnings as lines of this program; leave all others to Python.

    Samples outside the table are told of once, in the words of the C program to `say`, where its tools look for them.
    """
    show = warnings.showwarning
    told: list[TableRangeWarning] = []

    def line(message: Warning | str, category: type[Warning], *rest: object) -> None:
        if isinstance(message, TableRangeWarning) and say not in (None, say_nothing):
            for text in message.lines if not told else ():
                say(text)
            told.append(message)
        elif issubclass(category, NanobragWarning):
            complain(f"warning: {' '.join(str(message).split(chr(10)))}")
        else:
            show(message, category, *rest)  # type: ignore[arg-type]

    with warnings.catch_warnings():
        warnings.simplefilter("always", NanobragWarning)
        warnings.showwarning = line  # type: ignore[assignment]
        yield
