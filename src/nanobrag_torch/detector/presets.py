"""Detectors by name: typical values, and the gaps between the modules of pixel detectors."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from nanobrag_torch.config.response import PRESETS
from nanobrag_torch.detector.model import DetectorResponse, Sensor
from nanobrag_torch.io.cbf import PILATUS_GAP, PILATUS_MODULE


class Modules(NamedTuple):
    """Pixels of a module and of the gap behind it, along fast and slow."""

    size: tuple[int, int]
    gap: tuple[int, int]


class Preset(NamedTuple):
    """A detector, its modules, and the full width at half maximum of its point spread (µm)."""

    response: DetectorResponse
    modules: Modules | None = None
    width_um: float | None = None


_COUNTER = DetectorResponse(sensor=Sensor("Si", 320.0))
_TABLE = {
    "photons": Preset(DetectorResponse()),
    # PILATUS 2 and 3: 487 x 195 pixels of 172 um, 20 bits; a counter is blind for about 125 ns after a photon.
    "pilatus": Preset(replace(_COUNTER, bits=20, dead_time_ns=125.0), Modules(PILATUS_MODULE, PILATUS_GAP)),
    # EIGER: 1030 x 514 pixels of 75 um, 450 um of silicon, 16 bits (12 in a single read-out, summed).
    "eiger": Preset(
        replace(_COUNTER, sensor=Sensor("Si", 450.0), bits=16, dead_time_ns=100.0), Modules((1030, 514), (10, 37))
    ),
    # A phosphor on a fibre-optic taper before a CCD, with noisify's point spread and calibration.
    "ccd": Preset(DetectorResponse(spread="fiber", calibration=0.03, adc=40.0, readout=3.0, bits=16), width_um=46.0),
}
assert tuple(_TABLE) == PRESETS


def preset(name: str) -> Preset:
    """A detector of `PRESETS`."""
    return _TABLE[name]


def gaps_of(modules: Modules, pixels: tuple[int, int]) -> tuple[tuple[int, int, int, int], ...]:
    """The gaps between modules on a frame of (fast, slow) pixels: rectangles as `DetectorResponse.gaps` has them."""
    fast, slow = pixels
    found = []
    for axis, (size, gap) in enumerate(zip(modules.size, modules.gap, strict=True)):
        start = size
        while start + gap < pixels[axis]:
            edges = (start, start + gap - 1)
            found.append((*edges, 0, slow - 1) if axis == 0 else (0, fast - 1, *edges))
            start += size + gap
    return tuple(found)
