"""Random command lines over the whole flag table, each with the input files it needs.

Line `i` of seed `s` depends on these two numbers only. Images are small and the number of terms per pixel is bounded,
so that hundreds of lines take minutes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from nanobrag_torch.parity import fuzz_crystal as crystal
from nanobrag_torch.parity import fuzz_detector as detector
from nanobrag_torch.parity.fuzz_builder import Builder

MOST_TERMS = 250_000

PARTS: tuple[Callable[[Builder], None], ...] = (
    detector.wavelength,
    detector.detector_size,
    detector.distance,
    detector.convention,
    detector.beam_centre,
    detector.detector_turns,
    detector.oddities,
    detector.sensor,
    crystal.cell,
    crystal.size,
    crystal.amplitudes,
    crystal.orientation,
    crystal.shape,
    crystal.mosaic,
    crystal.divergence,
    crystal.polarization,
    crystal.fluence,
    crystal.phi,
    crystal.oversampling,
    detector.selection,
    detector.headers,
    crystal.outputs,
    crystal.no_effect,
)
"""In this order: later parts look at what earlier ones chose."""


@dataclass
class RandomLine:
    """A command line with its input files, by name."""

    args: list[str]
    files: dict[str, bytes] = field(default_factory=dict)


def random_line(seed: int, index: int) -> RandomLine:
    """Line `index` of the sequence of `seed`."""
    rng = random.Random(f"nb-parity {seed} {index}")
    builder = Builder(rng)
    for part in PARTS:
        part(builder)
    rng.shuffle(builder.groups)
    args = [word for group in builder.groups for word in group]
    return RandomLine([*args, *_cap(builder)], builder.files)


def _cap(b: Builder) -> list[str]:
    """Words at the end that keep the number of terms within its bound."""
    room = MOST_TERMS / max(b.terms, 1.0)
    if b.pixels[0] * b.pixels[1] <= room:
        return []
    edge = max(int(room**0.5), 3)
    x, y = b.rng.randrange(max(b.pixels[0] - edge, 1)), b.rng.randrange(max(b.pixels[1] - edge, 1))
    return ["-roi", str(x), str(x + edge - 1), str(y), str(y + edge - 1)]
