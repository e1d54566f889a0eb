"""The frames of a rotation series: their names, angles, seeds and times, and what a command says of them.

Frame n = 1, 2, ... starts at phi + (n - 1) osc and has a noise seed of its own (specs: rng 9).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from nanobrag_torch.config import Config, SamplingConfig, output
from nanobrag_torch.errors import InputError
from nanobrag_torch.io.files import check_writable
from nanobrag_torch.io.series import MASTER, Identity, checksum, numbered, record_name
from nanobrag_torch.legacy_random import series_seed
from nanobrag_torch.settling.steps import phi_steps

if TYPE_CHECKING:
    from nanobrag_torch.settling.inputs import Inputs

FILES = ("nexus_file", "cbf_file", "noise_file", "int_file", "float_file", "pgm_file", "png_file")
"""Outputs by configuration field; the first that is named gives the record its name."""
MOST_FRAMES = 1_000_000
WITHOUT_EFFECT = {*output.WITHOUT_EFFECT, "scene_file", "save_scene_file", "command"}
"""Fields that change what is said or how it is computed, and no file."""
FIRST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Plan:
    """The frames of a command: their configurations, names, angles and times.

    Args:
        config: the whole command, with the seeds of the series.
        flags: the flag of every configuration field.
    """

    config: Config
    flags: Mapping[str, str]

    @property
    def frames(self) -> int:
        """How many."""
        return self.config.output.frames or 0

    @property
    def osc(self) -> float:
        """Degrees that a frame sweeps, 0 if there is no oscillation."""
        return _osc(self.config.sampling)

    @property
    def patterns(self) -> dict[str, str]:
        """The names as given, by configuration field."""
        said = self.config.output
        wanted = {"noise_file": said.noise, "pgm_file": said.pgm}
        return {name: getattr(said, name) for name in FILES if getattr(said, name) and wanted.get(name, True)}

    @property
    def record(self) -> str:
        """Where the record of the series is."""
        return record_name(next(iter(self.patterns.values())))

    def start(self, frame: int) -> float:
        """The spindle angle (degrees) at which a frame starts."""
        return float(self.config.sampling.phi_deg or 0.0) + (frame - 1) * self.osc

    def when(self, frame: int) -> datetime:
        """The time of the simulation at which a frame starts."""
        exposure = float(self.config.beam.exposure_s or 1.0)
        return FIRST_MOMENT + timedelta(seconds=max(exposure, 0.0) * (frame - 1))

    def names(self, frame: int) -> dict[str, str]:
        """The files of a frame by configuration field; of the master, its own."""
        if frame == MASTER:
            return {name: given for name, given in self.patterns.items() if name == "nexus_file"}
        try:
            return {name: numbered(given, frame, self.frames) for name, given in self.patterns.items()}
        except InputError as error:
            flag = next(self.flags[name] for name, given in self.patterns.items() if given == error.field)
            raise InputError(flag, error.problem, error.advice) from None

    def frame(self, frame: int) -> Config:
        """The configuration of one frame."""
        seed = series_seed(self.config.output.noise_seed or 0, frame - 1)
        return replace(
            self.config,
            sampling=replace(self.config.sampling, phi_deg=self.start(frame)),
            output=replace(self.config.output, noise_seed=seed, **self.names(frame)),  # type: ignore[arg-type]
        )

    def with_seeds_of(self, identity: Identity) -> Plan:
        """The plan with the seeds of a series that was begun before."""
        crystal = replace(self.config.crystal, misset_seed=identity.misset_seed)
        output = replace(self.config.output, noise_seed=identity.noise_seed)
        return replace(self, config=replace(self.config, crystal=crystal, output=output))

    def everything(self) -> Iterator[int]:
        """The numbers of all frames, and of the master if there is one."""
        yield from range(1, self.frames + 1)
        if self.names(MASTER):
            yield MASTER


def _osc(said: SamplingConfig) -> float:
    osc, step = (None if x is None else float(x) for x in (said.osc_deg, said.phi_step_deg))
    return phi_steps(said.phi_steps, osc, step, 1.0).range


def check_series(plan: Plan) -> None:
    """Refuse what cannot be a series, before any file is read or written.

    Raises:
        InputError: no or a negative number of frames, no oscillation, no file, or a name that cannot be numbered.
    """
    if plan.frames < 1:
        raise InputError("frames", f"{plan.frames} is not a number of frames", "give 1 or more")
    if plan.frames > MOST_FRAMES:
        raise InputError("frames", f"{plan.frames} are too many", f"give at most {MOST_FRAMES}")
    if not plan.patterns:
        raise InputError("frames", "no file is named", "add -cbf, -nexus, -noisefile, -intfile or -floatfile")
    if plan.frames > 1 and plan.osc <= 0:
        raise InputError("frames", "all frames would show the same angle", "give -osc, what each of them sweeps")
    for name, given in plan.patterns.items():
        if os.path.exists(given) and not os.path.isfile(given) and not os.path.isdir(given):
            raise InputError(name, f"{given} is not a file, and cannot be numbered", "give a file name")
    if "#" in os.path.basename(plan.patterns.get("nexus_file", "")):
        problem = f"{plan.patterns['nexus_file']} is the one file that joins all frames"
        raise InputError("nexus_file", problem, "give a name without #; its frames are numbered behind the stem")
    plan.names(plan.frames)
    check_writable(plan.record, "frames")
    for name in plan.names(MASTER).values():
        check_writable(name, "nexus_file")


def said_of(config: Config, inputs: Inputs) -> dict[str, str]:
    """What a command says of the result: every field that is set, and the checksum of every input file."""
    said: dict[str, str] = {}
    files = {inputs.grid_file} if inputs.grid_from_dump else set()
    for part in (config.crystal, config.beam, config.detector, config.sampling, config.output):
        for field in fields(part):
            value = getattr(part, field.name)
            if value is None or field.name in WITHOUT_EFFECT or field.default is not None and value == field.default:
                continue
            said[field.name] = repr(value)
            if field.name.endswith("_file") and field.name not in (*FILES, "dump_file"):
                files.add(value)
    return said | {f"the content of {name}": checksum(name) for name in files if name is not None}
