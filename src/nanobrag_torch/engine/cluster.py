"""The same on Dask: local processes, a scheduler that runs already, or the jobs of a queue."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from nanobrag_torch.engine.place import Progress, Where
from nanobrag_torch.errors import BackendUnavailable, InputError, WorkersLost

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT_S = 20
"""How long a scheduler may be silent before it counts as lost."""
WATCH_S = 1.0
LOGS = ("distributed", *(f"distributed.{x}" for x in ("client", "scheduler", "worker", "nanny", "core", "utils")))
REPLACE_S = 15.0
"""How long a worker may be away, as it is while it starts again, before another takes its place."""
STARTS = 5
"""Attempts to start a cluster."""
_AGAIN = "start the same command again: what was finished is kept"
_QUEUE_CLASSES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}


def map_on_cluster(
    task: Callable[[Item], Result], items: Iterable[Item], where: Where
) -> Iterator[tuple[Item, Result]]:
    """`map` with workers; see there."""
    with _quiet(), _client(where) as (client, cluster):
        yield from _Flow(client, cluster, task, where).run(iter(items))


class _Flow:
    """Tasks on their way: handed out while there is room, collected as they are done."""

    def __init__(self, client: Client, cluster: Any, task: Callable[[Any], Any], where: Where) -> None:
        self.client, self.cluster, self.task, self.where = client, cluster, task, where
        self.full_s = self.looked_s = time.monotonic()
        self.room = where.ahead * max(where.workers, where.cards, 1)
        self.pending: dict[Any, Any] = {}
        self.losses: dict[int, int] = {}
        self.begun = self.done = 0

    def run(self, items: Iterator[Item]) -> Iterator[tuple[Item, Any]]:
        """Yield (item, result) until all items are done."""
        import distributed

        try:
            self._hand_out(items)
            while self.pending:
                try:
                    ready = _untyped(distributed, "wait")(
                        list(self.pending), timeout=WATCH_S, return_when="FIRST_COMPLETED"
                    ).done
                except TimeoutError:
                    self._check_alive()
                    continue
                except (asyncio.CancelledError, concurrent.futures.CancelledError) as error:
                    raise self._lost() from error
                for future in ready:
                    item = self.pending.pop(future)
                    yield from self._collect(future, item)
                self._hand_out(items)
                self._replace_workers()
        finally:
            for future in self.pending:
                future.release()

    def _hand_out(self, items: Iterator[Any]) -> None:
        # With a scheduler or a queue, workers come and go; the room follows their number.
        if self.where.scheduler is not None or self.where.queue is not None:
            self.room = self.where.ahead * max(len(self.client.scheduler_info(n_workers=-1)["workers"]), 1)
        for item in itertools.islice(items, max(self.room - len(self.pending), 0)):
            self._submit(item)

    def _submit(self, item: Any) -> None:
        try:
            future = self.client.submit(self.task, item, pure=False)
        except (OSError, RuntimeError) as error:
            raise self._lost() from error
        self.pending[future] = item
        self.begun += 1

    def _collect(self, future: Any, item: Any) -> Iterator[tuple[Any, Any]]:
        from distributed.scheduler import KilledWorker

        if future.status in ("cancelled", "lost"):
            raise self._lost()
        try:
            result = future.result()
        except KilledWorker as error:
            raise WorkersLost(
                f"{self.where.retries + 1} workers were lost one after the other with the same task ({item!r}): "
                "killed, or out of memory; give each more memory, or less to do"
            ) from error
        except (asyncio.CancelledError, concurrent.futures.CancelledError, OSError) as error:
            if isinstance(error, OSError) and future.status == "error" and not isinstance(error, ConnectionError):
                raise  # the task's own
            raise self._lost() from error
        future.release()
        self.done += 1
        if self.where.progress is not None:
            self.where.progress(Progress(self.done, self.begun, self.client.dashboard_link or ""))
        yield item, result

    def _check_alive(self) -> None:
        self._replace_workers()
        if self.client.status not in ("running", "connecting"):
            raise self._lost()
        if any(future.status in ("cancelled", "lost") for future in self.pending):
            raise self._lost()

    def _replace_workers(self) -> None:
        """Start others for workers of our own that are gone for good: a process lost while it starts is given up."""
        wanted = self.where.cards or self.where.workers
        if self.cluster is None or self.where.queue is not None:
            return
        now = time.monotonic()
        if now - self.looked_s < WATCH_S:
            return
        self.looked_s = now
        alive = {info["name"] for info in self.client.scheduler_info(n_workers=-1)["workers"].values()}
        if len(alive) >= wanted:
            self.full_s = now
        elif now - self.full_s > REPLACE_S:
            self.full_s = now
            self.cluster.scale(len(alive))
            time.sleep(WATCH_S)
            if self.where.cards:
                self.cluster.worker_spec.update(_card_workers(self.where))
            self.cluster.scale(wanted)

    def _lost(self) -> WorkersLost:
        at = f" at {self.where.scheduler}" if self.where.scheduler else ""
        return WorkersLost(f"the scheduler{at} cannot be reached any more; {_AGAIN}")


@contextmanager
def _client(where: Where) -> Iterator[tuple[Client, Any]]:
    """A client of the place and its cluster, taken down behind it; `None` for a scheduler that was there before."""
    try:
        import dask
        import distributed
    except ImportError as error:
        raise BackendUnavailable("workers", "Dask is not installed: pip install 'nanobrag_torch[cluster]'") from error
    environment = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    settings = {
        "distributed.nanny.pre-spawn-environ": {**environment, "DASK_LOGGING__DISTRIBUTED": "critical"},
        "distributed.scheduler.allowed-failures": where.retries,
        "distributed.comm.timeouts.connect": CONNECT_S,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
    }
    with dask.config.set(settings), ExitStack() as stack:
        cluster = None if where.scheduler is not None else stack.enter_context(_cluster(where))
        address = where.scheduler or cluster
        try:
            client = _untyped(distributed, "Client")(address, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise InputError("scheduler", f"{address} does not answer", "start it, or give another address") from error
        yield stack.enter_context(client), cluster


@contextmanager
def _cluster(where: Where) -> Iterator[Any]:
    """A cluster of our own; a worker that is lost while it starts costs another attempt.

    Raises:
        WorkersLost: no attempt succeeds.
    """
    for attempt in range(STARTS):
        try:
            cluster = _queue(where) if where.queue is not None else _local(where)
            break
        except RuntimeError as error:
            if attempt + 1 == STARTS:
                raise WorkersLost(f"the workers cannot be started: {str(error).splitlines()[0]}; {_AGAIN}") from error
    with cluster:
        yield cluster


def _local(where: Where) -> Any:
    """Processes of this machine; raises RuntimeError when one of them is lost before it has started."""
    import distributed

    # Dask's scheduler always answers at a port of HTTP; one of its own choice is never taken.
    page = f":{where.dashboard or 0}"
    if where.cards:
        return _untyped(distributed, "SpecCluster")(
            scheduler=_scheduler(page), workers=_card_workers(where), silence_logs=logging.ERROR
        )
    return _untyped(distributed, "LocalCluster")(
        n_workers=where.workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=page,
        memory_limit=where.memory,
        silence_logs=logging.ERROR,
    )


def _scheduler(page: str) -> dict[str, Any]:
    from distributed import Scheduler

    options = {"host": "127.0.0.1", "port": 0, "dashboard": True, "dashboard_address": page}
    return {"cls": Scheduler, "options": options}


def _card_workers(where: Where) -> dict[int, dict[str, Any]]:
    """A worker process per card; the variable is set for the process before torch looks for cards."""
    from distributed import Nanny

    return {
        card: {
            "cls": Nanny,
            "options": {"nthreads": 1, "memory_limit": where.memory, "env": {"CUDA_VISIBLE_DEVICES": str(card)}},
        }
        for card in range(where.cards)
    }


def _jobqueue(where: Where) -> Any:
    """The package dask-jobqueue, which on import makes Ctrl-C end the process without a word; that is undone.

    Raises:
        BackendUnavailable: it is not installed.
    """
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ImportError as error:
        problem = "dask-jobqueue is not installed: pip install 'nanobrag_torch[cluster]'"
        raise BackendUnavailable(str(where.queue), problem) from error
    finally:
        if signal.getsignal(signal.SIGINT) is not interrupt:
            signal.signal(signal.SIGINT, interrupt)
    return dask_jobqueue


def _queue(where: Where) -> Any:
    """A cluster whose workers are jobs."""
    dask_jobqueue = _jobqueue(where)
    flag = f"--{where.queue}"
    page = {"dashboard_address": f":{where.dashboard or 0}"}
    options: dict[str, Any] = {"scheduler_options": page, "cores": 1, "processes": 1, "memory": "2GB", **where.options}
    jobs = options.pop("jobs", max(where.workers, 1))
    try:
        for name in ("cores", "processes"):
            options[name] = int(options[name])
        jobs = int(jobs)
        cluster = getattr(dask_jobqueue, _QUEUE_CLASSES[str(where.queue)])(silence_logs="error", **options)
    except (TypeError, ValueError) as error:
        raise InputError(flag, str(error).splitlines()[0], "see the options of dask-jobqueue") from error
    cluster.scale(jobs=jobs)
    return cluster


def _untyped(module: Any, name: str) -> Any:
    """A name of a module whose functions say no types."""
    return getattr(module, name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lost workers are told of by the results; Dask's own log of every connection is not shown."""
    # Dask sets the levels of its logs when it is imported, and would take back what is set here before.
    with suppress(ImportError):
        import distributed  # noqa: F401
    logs = [logging.getLogger(name) for name in LOGS]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)
