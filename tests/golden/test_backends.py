"""The compiled kernels against the plain definition on every golden case: values to 1e-10, gradients to 1e-8."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.models import Experiment
from nanobrag_torch.parity.golden import Case, experiment_of
from nanobrag_torch.pipeline.simulator import Simulator, pixel_lists

pytestmark = pytest.mark.filterwarnings("ignore:.*out of range for three point interpolation")

VALUES, GRADIENTS = 1e-10, 1e-8
EVALUATIONS = 40_000
"""Lattice evaluations of a sample: enough to meet every branch, few enough for the plain path."""


@pytest.fixture
def experiment(golden_case: Case) -> Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return experiment_of(golden_case)


def sample(experiment: Experiment, evaluations: int) -> torch.Tensor:
    """Pixels [P, 2] (slow, fast) drawn from those that the case renders, the same on each run."""
    panel = experiment.detector.panel
    (chosen,) = pixel_lists(experiment)
    candidates = torch.arange(panel.pixels_s * panel.pixels_f) if chosen is None else chosen
    count = max(10, evaluations // (experiment.steps * panel.layers))
    picked = candidates[torch.randperm(len(candidates), generator=torch.Generator().manual_seed(1))[:count]]
    return torch.stack([picked // panel.pixels_f, picked % panel.pixels_f], dim=1)


def leaves(experiment: Experiment) -> tuple[Experiment, dict[str, torch.Tensor]]:
    """The experiment with its continuous quantities as leaves that ask for gradients."""
    crystal, panel, beam = experiment.crystal, experiment.detector.panel, experiment.beam
    found = {"misset": crystal.misset, "N": crystal.N, "fudge": crystal.fudge, "distance": panel.distance}
    found |= {"rotations": panel.rotations, "twotheta": panel.twotheta, "beam_centre": panel.beam_centre}
    found |= {"near_point": panel.near_point, "wavelength": beam.wavelength, "start": experiment.scan.start}
    found |= {"polarization_factor": beam.polarization_factor, "weights": beam.weights, "axis": experiment.scan.axis}
    found = {name: value.detach().clone().requires_grad_() for name, value in found.items()}
    table = crystal.structure_factors
    if table.values is not None:
        found["F"] = table.values.detach().clone().requires_grad_()
        table = replace(table, values=found["F"])
    plain = {name: value for name, value in found.items() if name != "F"}
    return experiment.replace(structure_factors=table, **plain), found


def test_values(experiment: Experiment) -> None:
    pixels = sample(experiment, EVALUATIONS)
    ours, plain = (Simulator(experiment, backend=name).run(pixels).values[0] for name in ("cpu", "reference"))
    if experiment.crystal.shape == "tophat":
        assert ((ours - plain).abs() > 1e-9 * plain.abs().max()).sum() <= len(pixels) // 10_000
    else:
        assert (ours - plain).norm() <= VALUES * plain.norm()


def test_gradients(experiment: Experiment) -> None:
    if experiment.crystal.shape == "tophat":
        pytest.skip("a top-hat has no useful gradient")
    pixels = sample(experiment, EVALUATIONS // 4)
    found = []
    for backend in (None, "reference"):
        changed, asked = leaves(experiment)
        image = Simulator(changed, backend=backend).run(pixels).values[0]
        weights = torch.linspace(0.5, 1.5, len(image), dtype=torch.float64)
        (image * weights).sum().backward()
        found.append({name: value.grad for name, value in asked.items()})
    ours, plain = found
    noise = 1e-12 * float(image.detach().abs().sum())
    for name, expected in plain.items():
        if expected is None:
            assert ours[name] is None or not ours[name].any(), name
        else:
            got = torch.zeros_like(expected) if ours[name] is None else ours[name]
            assert (got - expected).norm() <= GRADIENTS * expected.norm() + noise, name
