"""Rotation series: one scene, many oscillations, a file per frame; killed and started again, only what is missing.

The scene is settled once and turned on from frame to frame, so memory does not grow with their number. Files with a
time stamp carry the time of the simulation instead of the clock's, so that the same command gives the same bytes.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nanobrag_torch import __version__, engine
from nanobrag_torch.cli.frames import Plan, check_series, said_of
from nanobrag_torch.cli.parse import Parsed
from nanobrag_torch.cli.running import (
    complain,
    print_pixels,
    read,
    simulator_for,
    threads,
    warnings_as_lines,
    with_dump,
)
from nanobrag_torch.config import Config
from nanobrag_torch.errors import InputError, NanobragError
from nanobrag_torch.guard import interruptible
from nanobrag_torch.io.files import WholeFiles
from nanobrag_torch.io.series import MASTER, Identity, Record, opened
from nanobrag_torch.text import format_g as g

if TYPE_CHECKING:
    from nanobrag_torch.cli.outputs import Say
    from nanobrag_torch.io.registry import FileRegistry
    from nanobrag_torch.models import Experiment
    from nanobrag_torch.settling.inputs import Inputs


def run_series(
    parsed: Parsed, config: Config, flags: Mapping[str, str], say: Say, files: FileRegistry | None = None
) -> None:
    """Draw the frames of a series that are missing.

    Args:
        parsed: the command line.
        config: what it says, with seeds.
        flags: the flag of every configuration field.
        say: called with every line of the report.
        files: files that are in use already.

    Raises:
        NanobragError: something is refused; finished frames stay.
    """
    plan = Plan(config, flags)
    check_series(plan)
    inputs = read(plan.frame(1), flags, files)
    said = said_of(parsed.config, inputs)
    plan = replace(plan, config=with_dump(plan.config, inputs))
    with opened(plan.record) as record:
        if record.identity is not None:
            _refuse_another(record.identity, said, plan)
            plan = plan.with_seeds_of(record.identity)
        missing = list(_missing(plan, record))
        for note in parsed.notes:
            complain(note)
        if not missing:
            say(f"{plan.record}: all {plan.frames} frames are there")
            return
        if record.identity is None:
            output, crystal = plan.config.output, plan.config.crystal
            seed, misset = output.noise_seed or 0, crystal.misset_seed
            record.begin(Identity(plan.frames, said, seed, misset, __version__, secrets.token_hex(4)))
        record.tidy({Path(name).absolute().parent for name in plan.names(1).values()})
        try:
            with threads(plan.config.output.threads), warnings_as_lines(say):
                _draw(plan, record, missing, inputs, say)
        except NanobragError:
            record.abandon()
            raise


def _refuse_another(identity: Identity, said: Mapping[str, str], plan: Plan) -> None:
    difference = identity.difference(said)
    if difference is not None:
        name, then, now = difference
        problem = f"{plan.record} is the record of another series: {plan.flags.get(name, name)} was {then}, is {now}"
        raise InputError("frames", problem, "give the same command, or other file names")
    if identity.version != __version__:
        complain(f"warning: {plan.record} was begun by version {identity.version} of this program")


def _missing(plan: Plan, record: Record) -> Iterator[int]:
    """What is not finished; refuses files that are in the way and not of this series."""
    for frame in plan.everything():
        names = plan.names(frame)
        if frame in record.frames:
            problem = record.problem(frame, list(names.values()))
            if problem:
                complain(f"warning: {problem}; it is made again")
                yield frame
            continue
        for name, path in names.items():
            if os.path.lexists(path):
                problem = f"{path} is there, but {plan.record} does not say that this series has written it"
                raise InputError(name, problem, "move it away, or choose another name")
        yield frame


def _draw(plan: Plan, record: Record, missing: list[int], inputs: Inputs, say: Say) -> None:
    """Settle the scene, draw the missing frames, and join them."""
    import torch

    from nanobrag_torch.cli.modern import warn_of_losses
    from nanobrag_torch.cli.report import banner, scene_lines
    from nanobrag_torch.settling import settle
    from nanobrag_torch.settling.cost import check_cost
    from nanobrag_torch.settling.inputs import write_dump_for

    first = plan.frame(1)
    experiment = settle(first, physics=first.output.physics, inputs=inputs)
    warn_of_losses(experiment, plan.patterns)
    if "int_file" in plan.patterns and plan.config.output.scale is None:
        complain("warning: without -scale, every integer image of the series has a scale of its own")
    check_cost(experiment, torch.get_num_threads(), first.output.however_long)
    say(banner(__version__))
    for line in scene_lines(experiment, first, inputs):
        say(line)
    say("")
    done = plan.frames - sum(frame != MASTER for frame in missing)
    if done:
        say(f"{done} of {plan.frames} frames are there already")
    frames = [frame for frame in missing if frame != MASTER]
    drawn = engine.map(lambda frame: _draw_frame(plan, record, frame, experiment, say), frames)
    for _ in frames:
        with _keeping(done, plan):
            say(next(drawn)[1])
        sys.stdout.flush()
        done += 1
    if MASTER in missing:
        with _keeping(done, plan):
            _join(plan, record, experiment, say)
    saved = plan.config.output.save_scene_file
    if saved is not None:
        from nanobrag_torch.io.scene_file import write_scene

        say(f"writing {saved} as a scene")
        write_scene(saved, plan.config, field=plan.flags["save_scene_file"])
    try:
        write_dump_for(plan.config, inputs)
    except InputError as error:
        complain(f"warning: {error}")
    sys.stdout.flush()


@contextmanager
def _keeping(done: int, plan: Plan) -> Iterator[None]:
    """Say with a refusal what is finished and how to go on."""
    try:
        yield
    except InputError as error:
        kept = f"{done} of {plan.frames} frames are finished and kept: the same command goes on with the others"
        advice = f"{error.advice}; {kept}" if error.advice else kept
        raise InputError(error.field, error.problem, advice) from error


def _together(record: Record, frame: int) -> WholeFiles:
    """What makes the files of a frame appear, once they are on record."""
    tag = record.identity.tag if record.identity else ""
    return WholeFiles(lambda complete: record.finish(frame, complete), tag)


def _draw_frame(plan: Plan, record: Record, frame: int, experiment: Experiment, say: Say) -> str:
    """Draw and write one frame; the line to say about it."""
    import torch

    from nanobrag_torch.cli.image_check import checked
    from nanobrag_torch.cli.outputs import Results, write_outputs
    from nanobrag_torch.settling.values import tensor
    from nanobrag_torch.units import radians_from_degrees

    began = time.perf_counter()
    config, start = plan.frame(frame), plan.start(frame)
    turned = experiment.replace(start=tensor(start, 0.0, radians_from_degrees))
    simulator = simulator_for(turned, config.output)
    image = checked(interruptible(lambda: simulator.run(out_dtype=torch.float32)))
    print_pixels(image, config, say)
    results = Results.of(image, config, plan.when(frame))
    write_outputs(results, plan.flags, _unsaid, _together(record, frame))
    angles = f"{g(start)} to {g(start + plan.osc)} degrees"
    brightest = f"max_I = {g(results.statistics.max_I)}"
    return f"frame {frame} of {plan.frames}: {angles}, {brightest}, {time.perf_counter() - began:.2f} s"


def _unsaid(line: str) -> None:
    """What single images say of their files is not repeated for each of many."""


def _join(plan: Plan, record: Record, experiment: Experiment, say: Say) -> None:
    """Write the NeXus master of all frames."""
    from nanobrag_torch.cli.modern import NOISE_SATURATION
    from nanobrag_torch.detector.of_scene import defects, is_specified
    from nanobrag_torch.io.made import carried
    from nanobrag_torch.io.nexus import NexusImages, write_nexus
    from nanobrag_torch.io.nexus_joined import Joined
    from nanobrag_torch.pipeline.describe import describe, pixel_masks

    master, counted = plan.names(MASTER)["nexus_file"], range(1, plan.frames + 1)
    folder = os.path.dirname(os.path.realpath(master))
    names = [os.path.relpath(os.path.realpath(plan.names(n)["nexus_file"]), folder) for n in counted]
    noise, masks, largest = plan.config.output.noise, pixel_masks(experiment), NOISE_SATURATION
    if is_specified(plan.config.response):
        largest, own = defects(experiment, plan.config)
        masks = tuple(mask | bits for mask, bits in zip(masks, own, strict=True))
    images = NexusImages(
        Joined(names, whole=noise),
        [plan.start(n) for n in counted],
        masks,
        largest if noise else None,
        when=plan.when(1),
    )
    say(f"writing {master} as NeXus, which joins {plan.frames} files")
    with _together(record, MASTER) as files:
        scene = replace(describe(experiment), made=carried(plan.config, master))
        write_nexus(master, images, scene, opening=files.file, field=plan.flags["nexus_file"])
