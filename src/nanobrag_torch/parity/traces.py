"""Stored traces of single pixels against the quantities of this program, name by name (specs: intensity)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from nanobrag_torch.pipeline.trace import Tap

BOUND = 1e-9
BY_MAGNITUDE = frozenset({"F_latt", "F_latt_a", "F_latt_b", "F_latt_c"})
"""Lattice factors carry no sign: the reduced argument may flip it."""


class Deviation(NamedTuple):
    """Largest difference of a quantity, over its largest component; infinite where it is missing."""

    error: float
    name: str


def stored_quantities(trace: Mapping[str, Any], layers: int, oversample: int) -> Iterator[tuple[str, Any]]:
    """`place.name` and value of everything in a stored trace; the places are those of `pipeline.trace`."""
    yield from _flat("setup", trace["setup"])
    yield from _flat("pixel", trace["pixel"])
    square = range(oversample)
    index = [f"{layer},{slow},{fast}" for layer in range(layers) for slow in square for fast in square]
    for place, term in zip(index, trace["terms"], strict=True):
        third = term.get("third_source")
        yield from _flat(f"term[{place},0]", {k: v for k, v in term.items() if k != "third_source"})
        for step in term.get("phi_steps", []):
            yield from _flat(f"step[{place},0,{step['phi_tic']},0]", step)
        if third:
            yield from _flat(f"term[{place},2]", third)


def trace_deviations(trace: Mapping[str, Any], taps: Iterable[Tap], layers: int, oversample: int) -> list[Deviation]:
    """The deviation of every stored quantity, in the order of computation."""
    ours = {f"{tap.place}.{tap.name}": np.array(tap.values) for tap in taps}
    stored = stored_quantities(trace, layers, oversample)
    return [Deviation(_error(name, ours.get(name), value), name) for name, value in stored]


def _flat(place: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Nested names joined by dots; lists of blocks are left out."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(f"{place}.{name}", value)
        elif not (isinstance(value, list) and value and isinstance(value[0], dict)):
            yield f"{place}.{name}", value


def _error(name: str, ours: np.ndarray | None, value: Any) -> float:
    theirs = np.ravel(np.array(value, dtype=np.float64))
    if ours is None or ours.shape != theirs.shape:
        return float("inf")
    if name.rpartition(".")[2] in BY_MAGNITUDE:
        ours, theirs = np.abs(ours), np.abs(theirs)
    difference, scale = float(np.abs(ours - theirs).max()), float(np.abs(theirs).max())
    return difference / scale if scale else difference
