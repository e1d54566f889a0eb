"""Where tasks run, as specified."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from nanobrag_torch.errors import InputError

QUEUES = ("slurm", "pbs", "lsf")
DEFAULT_MEMORY = 2_000_000_000
"""Bytes after which a local worker is started anew."""
RETRIES = 10


class Progress(NamedTuple):
    """How far a map has come: tasks that are done, tasks that were begun, the dashboard's address or an empty text."""

    done: int
    begun: int
    dashboard: str


@dataclass(frozen=True)
class Where:
    """The place of a map.

    Args:
        workers: processes, each with one thread; 0 = none, in this process. Jobs, where there is a queue.
        scheduler: address of a Dask scheduler that runs already (`tcp://host:8786`) and has workers.
        queue: one of `QUEUES`, whose jobs are the workers; `None` = processes of this machine.
        options: what the queue is told, names as in dask-jobqueue (`walltime`, `memory`, `account`, ...).
        cards: graphics cards; each gets a worker process of its own that sees no other, in place of `workers`.
        retries: how often a task is given to another worker after one was lost with it.
        ahead: tasks per worker that are handed out at most; the rest is held back, so that memory does not grow.
        memory: bytes after which a local worker is started anew.
        dashboard: port of Dask's page about what is going on; 0 = any, `None` = no page.
        progress: called after every task.

    Raises:
        InputError: numbers that make no sense, or two places at once.
    """

    workers: int = 0
    scheduler: str | None = None
    queue: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    cards: int = 0
    retries: int = RETRIES
    ahead: int = 2
    memory: int = DEFAULT_MEMORY
    dashboard: int | None = None
    progress: Callable[[Progress], None] | None = None

    def __post_init__(self) -> None:
        if self.queue is not None and self.queue not in QUEUES:
            raise InputError("queue", f"{self.queue} is not known", f"use one of {', '.join(QUEUES)}")
        if self.queue is not None and self.scheduler is not None:
            raise InputError("scheduler", f"jobs of {self.queue} are asked for too", "choose one of them")
        for name, least in (("workers", 0), ("cards", 0), ("retries", 0), ("ahead", 1), ("memory", 1)):
            if getattr(self, name) < least:
                raise InputError(name, f"{getattr(self, name)} is too few", f"give at least {least}")

    @property
    def here(self) -> bool:
        """Whether it is this process."""
        return self.workers == 0 and self.cards == 0 and self.scheduler is None and self.queue is None


HERE = Where()


def queue_options(text: str, flag: str) -> dict[str, str]:
    """The options of a queue from `walltime=01:00:00,account=x,jobs=4`; `jobs` is how many workers.

    Raises:
        InputError: naming `flag`: a part without `=`, or given twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise InputError(flag, f"{part!r} is not of the form name=value", "write for example walltime=01:00:00")
        if name.strip() in found:
            raise InputError(flag, f"{name.strip()} is given twice", "give it once")
        found[name.strip()] = value.strip()
    return found
