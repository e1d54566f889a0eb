"""The block of lines that `-printout` prints for one pixel (specs: cli 8, last paragraph)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nanobrag_torch.text import format_g as g

if TYPE_CHECKING:
    from nanobrag_torch.models import Experiment


def pixel_lines(experiment: Experiment, fast: int, slow: int) -> Iterator[str]:
    """What made the value of a pixel: its last sample, and the factors of the whole pixel."""
    from nanobrag_torch.pipeline.trace import trace_pixel

    taps = trace_pixel(experiment, slow, fast, every_term=True)
    last = {tap.name: tap.values for tap in taps if not tap.place.startswith("pixel")}
    pixel = {tap.name: tap.values[0] for tap in taps if tap.place.startswith("pixel")}
    half_q = 0.5 * math.hypot(*last["scattering_vec_per_m"])
    theta = 0.5 * math.acos(max(-1.0, min(1.0, last["cos2theta"][0])))
    estimate = math.sin(theta) / last["lambda_meters"][0]
    yield f"{fast:4d} {slow:4d} : stol = {g(half_q)} or {g(estimate)}"
    yield f"at {_gs(last['pixel_pos_meters'])}"
    yield f"hkl= {_gs(last['hkl_frac'])}  hkl0= {_gs(last['hkl_rounded'])}"
    total = pixel["I_before_scaling"]
    yield f" F_cell={g(last['F_cell'][0])}  F_latt={g(last['F_latt'][0])}   I = {g(total)}"
    for name, value in (
        ("I/steps", total / pixel["steps"]),
        ("polar", pixel["polar"]),
        ("omega", pixel["omega_pixel"]),
        ("capfrac", pixel["capture_fraction"]),
        ("pixel", pixel["I_pixel_final"]),
    ):
        yield f"{name:<8s} {value:15.10g}"
    yield "real-space cell vectors (Angstrom):"
    yield "     " + "  ".join(f"{name:<10s}" for name in "abc")
    cell = [last[f"{axis}_angstroms"] for axis in "abc"]
    for i, axis in enumerate("XYZ"):
        yield f"{axis}: " + " ".join(f"{vector[i]:11.8f}" for vector in cell)


def _gs(values: tuple[float, ...]) -> str:
    return " ".join(map(g, values))
