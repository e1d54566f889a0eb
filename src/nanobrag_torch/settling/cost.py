"""What a render costs, before it starts: evaluations, time and memory, against what there is."""

from __future__ import annotations

from dataclasses import dataclass

from nanobrag_torch.errors import CostError
from nanobrag_torch.memory import available_memory
from nanobrag_torch.models import Experiment

RATE = 2e8
"""Evaluations of a sample by one thread in a second, of a simple scene; a render is seldom faster."""
LONGEST_HOURS = 100.0
"""Renders that are estimated to take longer are refused, unless they are asked for in so many words."""
SAMPLE_BYTES = {"pixel": 28, "orientation": 300, "source": 200}
"""What is held at once: per pixel the image in double and single precision and what is written of it; per orientation
and source their vectors and what they are made from."""


@dataclass(frozen=True)
class Cost:
    """An estimate from below.

    Args:
        evaluations: samples: pixels x sub-pixels x layers x sources x orientations.
        hours: of computing.
        bytes: held at once, besides the table of structure factors, which is there already.
    """

    evaluations: float
    hours: float
    bytes: float


def cost_of(experiment: Experiment, threads: int) -> Cost:
    """What a settled scene costs on a number of threads."""
    xmin, xmax, ymin, ymax = experiment.sampling.roi
    samples = held = 0.0
    for number, panel in enumerate(experiment.detector.panels):
        wide = min(xmax, panel.pixels_f - 1) - xmin + 1
        high = min(ymax, panel.pixels_s - 1) - ymin + 1
        pixels = max(wide, 0) * max(high, 0)
        if experiment.sampling.masks is not None:
            pixels = min(pixels, int(experiment.sampling.masks[number].sum()))
        samples += float(pixels) * panel.layers
        held += float(panel.pixels_f) * panel.pixels_s
    orientations = float(experiment.scan.steps) * experiment.crystal.mosaic.domains
    evaluations = samples * float(experiment.sampling.oversample) ** 2 * experiment.beam.sources * orientations
    needed = held * SAMPLE_BYTES["pixel"] + orientations * SAMPLE_BYTES["orientation"]
    needed += experiment.beam.sources * SAMPLE_BYTES["source"]
    return Cost(evaluations, evaluations / (RATE * max(threads, 1)) / 3600.0, needed)


def check_cost(experiment: Experiment, threads: int, however_long: bool = False) -> Cost:
    """The cost of a scene, if it can be paid.

    Args:
        experiment: the settled scene.
        threads: how many compute.
        however_long: whether the time does not matter.

    Raises:
        CostError: it takes more memory than there is, or longer than anybody can mean.
    """
    cost = cost_of(experiment, threads)
    available = available_memory()
    if cost.bytes > available:
        text = f"the render needs {cost.bytes / 1e9:.3g} GB of memory, {available / 1e9:.3g} GB are available"
        raise CostError(f"{text}; ask for fewer pixels, sources, phi steps or mosaic domains")
    if cost.hours > LONGEST_HOURS and not however_long:
        factors = (
            f"{experiment.sampling.oversample}-fold oversampling, {experiment.beam.sources} sources, "
            f"{experiment.scan.steps} phi steps, {experiment.crystal.mosaic.domains} mosaic domains"
        )
        text = f"the render is {cost.evaluations:.3g} evaluations ({factors}), at least {cost.hours:.3g} hours here"
        raise CostError(f"{text}; ask for less, or add -however_long to start it")
    return cost
