"""Every named quantity of the stored traces, to 1e-9 relative; lattice factors by magnitude."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.parity.golden import Case, experiment_of
from nanobrag_torch.trace import trace_pixel

RELATIVE = 1e-9
BY_MAGNITUDE = ("F_latt", "F_latt_a", "F_latt_b", "F_latt_c")


def flat(place: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, value) of one block of a stored trace, nested names joined by dots."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(f"{place}.{name}", value)
        elif not (isinstance(value, list) and value and isinstance(value[0], dict)):
            yield f"{place}.{name}", value


def stored_quantities(trace: dict[str, Any], layers: int, oversample: int) -> Iterator[tuple[str, Any]]:
    """Every stored quantity under the name of its tap: the first source and domain, and the third source."""
    yield from flat("setup", trace["setup"])
    yield from flat("pixel", trace["pixel"])
    places = [(t, s, f) for t in range(layers) for s in range(oversample) for f in range(oversample)]
    for (t, s, f), term in zip(places, trace["terms"], strict=True):
        third = term.get("third_source")
        yield from flat(f"term[{t},{s},{f},0]", {k: v for k, v in term.items() if k != "third_source"})
        for step in term.get("phi_steps", []):
            yield from flat(f"step[{t},{s},{f},0,{step['phi_tic']},0]", step)
        if third:
            yield from flat(f"term[{t},{s},{f},2]", third)


def error(name: str, ours: tuple[float, ...], theirs: Any) -> float:
    """Largest difference of a component, relative to the largest component."""
    a, b = np.array(ours), np.ravel(np.array(theirs, dtype=float))
    assert a.shape == b.shape, name
    if name.rpartition(".")[2] in BY_MAGNITUDE:
        a, b = np.abs(a), np.abs(b)
    largest = np.abs(b).max()
    difference = np.abs(a - b).max()
    return float(difference / largest if largest > 0 else difference)


@pytest.mark.having("traces")
def test_traces(golden_case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        experiment = experiment_of(golden_case)
    layers, oversample = experiment.detector.panel.layers, experiment.sampling.oversample
    compared = 0
    for trace in golden_case.traces():
        taps = trace_pixel(experiment, trace["slow"], trace["fast"])
        found = {f"{tap.place}.{tap.name}": tap.values for tap in taps}
        for name, value in stored_quantities(trace, layers, oversample):
            assert name in found, f"pixel {trace['slow']}, {trace['fast']}: {name} is not traced"
            assert error(name, found[name], value) <= RELATIVE, f"pixel {trace['slow']}, {trace['fast']}: {name}"
            compared += 1
    assert compared > 50
