"""What a trace shows, in one sentence: whose numbers, in which precision, and how far they are from the drawn pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from nanobrag_torch.kernels import cpu
from nanobrag_torch.kernels.pixel_sum import why_not
from nanobrag_torch.models import Experiment
from nanobrag_torch.pipeline.render import pixel_factors, pixel_scene
from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.pipeline.trace import Tap

INSTRUCTIONS = {4: "AVX-512", 3: "AVX2", 1: "the baseline instructions"}
PRECISIONS = {torch.float64: "double", torch.float32: "single"}


class Drawn(NamedTuple):
    """How a pixel is drawn on this processor, and its value (photons) in double, before it is rounded for a file."""

    by: str
    value: float


def drawn(experiment: Experiment, slow: int, fast: int, dtype: torch.dtype) -> Drawn:
    """The pixel as a render in this precision draws it."""
    value = float(Simulator(experiment, dtype=dtype).run(torch.tensor([[slow, fast]])).values[0])
    if why_not(pixel_scene(experiment, 0), dtype=dtype) is not None:
        return Drawn("plain torch", value)
    return Drawn(f"the compiled kernel with {INSTRUCTIONS.get(cpu.level(), 'the baseline instructions')}", value)


def traced_value(experiment: Experiment, taps: Sequence[Tap]) -> float:
    """The pixel's value (photons) at the end of a whole trace."""
    ends = {tap.name: tap.values[0] for tap in taps if tap.place in ("pixel", "kernel")}
    if "I_pixel_final" in ends:
        return ends["I_pixel_final"]
    by_background = float(pixel_factors(experiment)[1].detach())
    return ends["scaled_total"] + by_background * ends.get("background_factor", 0.0)


def sentence(kernel: bool, dtype: torch.dtype, traced: float, image: Drawn) -> str:
    """What is shown.

    Args:
        kernel: whether these are the kernel's own numbers, else those of the plain definition.
        dtype: their precision.
        traced: the value of the pixel at the end of the trace.
        image: the value that a render gives.
    """
    whose = (
        "the compiled kernel's own numbers, its source built for tracing with the baseline instructions"
        if kernel
        else "the plain definition"
    )
    off = abs(traced - image.value)
    apart = f"{off / abs(image.value):.1e} of it" if image.value else f"{off:.1e}"
    return (
        f"{whose}, in {PRECISIONS[dtype]} precision; on this processor the image is drawn by {image.by}: "
        f"{image.value:.17g} for this pixel, from which the traced {traced:.17g} is {apart} away"
    )
