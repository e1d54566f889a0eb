"""Running a program in a folder of its own, with a time limit; everything it said is kept in files."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nanobrag_torch.guard import begetting, child_group

LAST_LINES = 12


@dataclass(frozen=True)
class Outcome:
    """What one run of a program gave.

    Args:
        command: the words that were run.
        folder: its working directory, with its files.
        status: exit status; negative for a signal; `None` when the time limit ended it.
        seconds: wall time of the process.
        log: folder with `<name>.stdout` and `<name>.stderr`.
        name: stem of the two logs.
    """

    command: tuple[str, ...]
    folder: Path
    status: int | None
    seconds: float
    log: Path
    name: str

    @property
    def ok(self) -> bool:
        """Whether the program ended by itself with status 0."""
        return self.status == 0

    @property
    def stdout(self) -> str:
        """What it wrote on its standard output."""
        return (self.log / f"{self.name}.stdout").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it wrote on its standard error stream."""
        return (self.log / f"{self.name}.stderr").read_text(errors="replace")

    def last_lines(self, count: int = LAST_LINES) -> list[str]:
        """The end of what it said: its errors, or its output when there were none."""
        lines = self.stderr.strip().splitlines() or self.stdout.strip().splitlines()
        return lines[-count:]

    def ending(self) -> str:
        """How it ended, in a few words."""
        if self.status is None:
            return f"did not end within its time limit and was stopped after {self.seconds:.1f} s"
        if self.status < 0:
            return f"was ended by {signal.Signals(-self.status).name}"
        return f"ended with status {self.status}"


def run(
    command: Sequence[str],
    folder: Path,
    *,
    limit: float | None = None,
    log: Path | None = None,
    name: str = "run",
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a program to its end, or to its time limit.

    Args:
        command: the words.
        folder: working directory.
        limit: seconds, or `None`.
        log: where stdout and stderr are kept; `folder` by default.
        name: stem of their files.
        environment: variables to set besides those of this process.

    Raises:
        OSError: the program cannot be started.
    """
    log = folder if log is None else log
    begun = time.perf_counter()
    with open(log / f"{name}.stdout", "wb") as out, open(log / f"{name}.stderr", "wb") as err:
        process: subprocess.Popen[bytes] | None = None
        status: int | None = None
        try:
            with begetting():
                process = subprocess.Popen(
                    list(command),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
            with child_group(process.pid):
                status = process.wait(limit)
        except BaseException as reason:
            # The whole group: a runner may be a script with the simulator as its child.
            if process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if not isinstance(reason, subprocess.TimeoutExpired):
                raise
    return Outcome(tuple(command), folder, status, time.perf_counter() - begun, log, name)


def shown(command: Sequence[str]) -> str:
    """The words as a shell takes them."""
    return shlex.join(command)
