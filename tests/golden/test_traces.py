"""Every named quantity of the stored traces, to 1e-9 relative; lattice factors by magnitude."""

from __future__ import annotations

import warnings

import pytest

from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.parity.golden import Case, experiment_of
from nanobrag_torch.parity.traces import BOUND, trace_deviations
from nanobrag_torch.pipeline.trace import trace_pixel


@pytest.mark.having("traces")
def test_traces(golden_case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        experiment = experiment_of(golden_case)
    layers, oversample = experiment.detector.panel.layers, experiment.sampling.oversample
    for trace in golden_case.traces():
        taps = trace_pixel(experiment, trace["slow"], trace["fast"])
        deviations = trace_deviations(trace, taps, layers, oversample)
        assert len(deviations) > 50
        assert [d for d in deviations if not d.error <= BOUND] == [], f"pixel {trace['slow']}, {trace['fast']}"
