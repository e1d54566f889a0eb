"""`map`: every item through a task, results as they come; `in_order`: results in the order of the items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from nanobrag_torch.engine.place import HERE, Progress, Where

Item = TypeVar("Item")
Result = TypeVar("Result")


def map(  # noqa: A001 - its users write engine.map
    task: Callable[[Item], Result], items: Iterable[Item], *, where: Where = HERE
) -> Iterator[tuple[Item, Result]]:
    """Do every item; yields (item, result) in the order in which they are ready.

    Args:
        task: a pure function of an item that can be pickled (at the top of a module, or a `functools.partial` of
            one). It may run more than once for an item, when a worker is lost: it writes whole files, or nothing.
        items: read no faster than tasks are handed out.
        where: the place; by default this process.

    Raises:
        WorkersLost: the place cannot be reached any more, or a task lost more workers than it may.
        BackendUnavailable: Dask is not installed.
        InputError: the place refuses what it was told.
        Exception: whatever a task raises, as it is.
    """
    if where.here:
        return _here(task, items, where)
    from nanobrag_torch.engine.cluster import map_on_cluster

    return map_on_cluster(task, items, where)


def in_order(
    task: Callable[[Item], Result], items: Iterable[Item], *, where: Where = HERE
) -> Iterator[tuple[Item, Result]]:
    """Do every item; yields (item, result) in the order of the items, wherever they are done.

    What is added up from the results, such as the likelihood of many shots and its gradient, then has the same bits
    as in a loop over the items. Results that are ready before an earlier one are kept until their turn: they should
    be small beside what a worker needs to make them.

    Args:
        task: as for `map`.
        items: as for `map`; equal ones and such as cannot be hashed may be among them.
        where: the place; by default this process.

    Raises:
        WorkersLost, BackendUnavailable, InputError, Exception: as `map` does.
    """
    early: dict[int, tuple[Item, Result]] = {}
    turn = 0
    for (number, item), result in map(partial(_numbered, task), enumerate(items), where=where):
        early[number] = item, result
        while turn in early:
            yield early.pop(turn)
            turn += 1


def _numbered(task: Callable[[Item], Result], numbered: tuple[int, Item]) -> Result:
    return task(numbered[1])


def _here(task: Callable[[Item], Result], items: Iterable[Item], where: Where) -> Iterator[tuple[Item, Result]]:
    for number, item in enumerate(items, start=1):
        result = task(item)
        if where.progress is not None:
            where.progress(Progress(number, number, ""))
        yield item, result
