"""The compiled kernel's own numbers of one pixel, and the same numbers by the plain definition.

Places are `kernel[layer,slow,fast,source]`, with the orientation as a fifth number, and `kernel` for the pixel.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.kernels.traced import kernel_trace
from nanobrag_torch.models import Experiment
from nanobrag_torch.physics.accumulate import Cached, SubPixel, Term, accumulate, sub_pixels, term, term_factor
from nanobrag_torch.pipeline.render import common_scale, pixel_scene
from nanobrag_torch.pipeline.trace import Tap, reflection_of, tap, traced_pixel

SPECS = {
    "diffracted_vec": "geometry 11",
    "inverse_distance_per_m": "geometry 11",
    "omega_sr": "geometry 11",
    "capture_fraction": "intensity 5",
    "scattering_vec_per_A": "intensity 3",
    "kept": "intensity 3",
    "polarization": "intensity 5",
    "hkl_rounded": "intensity 3",
    "hkl_rest": "intensity 3",
    "F_latt": "intensity 4",
    "F_cell": "structure_factors 3, 5",
    "I_orientations": "intensity 3",
    "term_factor": "intensity 5",
    "running_total": "intensity 6",
    "cached_omega_sr": "intensity 5",
    "cached_polarization": "intensity 5",
    "cached_capture_fraction": "intensity 5",
    "background_factor": "intensity 6",
    "scaled_factor": "intensity 6",
    "scaled_total": "intensity 6",
}
"""Names that csrc/ gives its numbers, and where they are defined."""
_OF_PIXEL = {name for name in SPECS if name.startswith(("cached", "background", "scaled"))}


def kernel_taps(experiment: Experiment, slow: int, fast: int, dtype: torch.dtype, *, panel: int = 0) -> list[Tap]:
    """What the tracing build of the kernel forms for one pixel, in its order.

    Raises:
        ValueError: the pixel lies outside the panel.
        InputError: a scene of several parts.
        BackendUnavailable: there is no tracing build.
    """
    pixel, scene = traced_pixel(experiment, slow, fast, panel), pixel_scene(experiment, panel)
    found, term_place, orientation = list[Tap](), [0, 0, 0, 0], ""
    for name, values in kernel_trace(scene, pixel, dtype, float(common_scale(experiment))):
        if name == "layer_slow_fast":
            term_place, orientation = [*map(int, values), 0], ""
        elif name == "source":
            term_place[3], orientation = int(values[0]), ""
        elif name == "orientation":
            orientation = f",{int(values[0])}"
        else:
            of_step = orientation if name in ("hkl_rounded", "hkl_rest", "F_latt", "F_cell", "I_orientations") else ""
            place = "kernel" if name in _OF_PIXEL else f"kernel[{','.join(map(str, term_place))}{of_step}]"
            found.append(Tap(place, name, tuple(value + 0.0 for value in values), SPECS[name]))
    return found


def plain_taps(experiment: Experiment, slow: int, fast: int, dtype: torch.dtype, *, panel: int = 0) -> list[Tap]:
    """The plain definition's values of everything that `kernel_taps` may name.

    Raises:
        ValueError: the pixel lies outside the panel.
        InputError: a scene of several parts.
    """
    pixel, scene = traced_pixel(experiment, slow, fast, panel), pixel_scene(experiment, panel)
    with torch.no_grad():
        return list(_plain(experiment, scene, torch.tensor([pixel]), dtype))


def _plain(experiment: Experiment, scene: PixelScene, pixel: Tensor, dtype: torch.dtype) -> Iterator[Tap]:
    common = scene.structure_factors.default_F.to(dtype).to(torch.float64) ** 2
    common = common if scene.structure_factors.values is None else torch.ones_like(common)
    cached, total = Cached.start(scene, pixel), torch.zeros(1, dtype=torch.float64)
    for at in sub_pixels(scene, pixel):
        cached = cached.seeing(at)
        for source in range(len(scene.incident)):
            now = term(scene, at, source)
            cached = cached.polarized(now)
            place = f"{at.layer},{at.slow},{at.fast},{source}"
            yield from _term_taps(at, now, f"kernel[{place}]")
            lattice = torch.zeros(1, dtype=torch.float64)
            for m, cell in enumerate(scene.A):
                lattice, taps = _orientation_taps(scene, now, cell, lattice, dtype, f"kernel[{place},{m}]")
                yield from taps
            factor = term_factor(scene, at, now) * common
            total = total + factor * lattice
            yield tap(f"kernel[{place}]", "term_factor", factor, SPECS["term_factor"])
            yield tap(f"kernel[{place}]", "running_total", total, SPECS["running_total"])
    scale = common_scale(experiment)
    sums = accumulate(scene, pixel, lambda S: torch.zeros_like(S[:, 0]))
    ends = {
        "cached_omega_sr": cached.omega,
        "cached_polarization": cached.polarization,
        "cached_capture_fraction": cached.capture,
        "scaled_factor": scale * scene.weight[0] * common * cached.polarization * cached.omega,
        "scaled_total": scale * cached.applied(scene, total, per_term=False),
        "background_factor": torch.zeros(1) if sums.background is None else sums.background,
    }
    for name, value in ends.items():
        yield tap("kernel", name, value, SPECS[name])


def _term_taps(at: SubPixel, now: Term, place: str) -> Iterator[Tap]:
    values = {
        "diffracted_vec": at.directions,
        "inverse_distance_per_m": 1.0 / at.distance,
        "omega_sr": at.omega,
        "capture_fraction": at.capture,
        "scattering_vec_per_A": now.S,
        "kept": now.kept.to(torch.float64),
        "polarization": now.polarization,
    }
    for name, value in values.items():
        yield tap(place, name, value, SPECS[name])


def _orientation_taps(
    scene: PixelScene, now: Term, cell: Tensor, before: Tensor, dtype: torch.dtype, place: str
) -> tuple[Tensor, list[Tap]]:
    """The sum over orientations so far, without the amplitude where there is no table, and its last term."""
    found = reflection_of(scene, now, cell, dtype)
    product = (found.L if scene.structure_factors.values is None else found.F * found.L).to(torch.float64)
    after = before + product * product
    values = {
        "hkl_rounded": torch.stack(found.nearest),
        "hkl_rest": torch.stack(found.delta),
        "F_latt": found.L,
        "F_cell": found.F,
        "I_orientations": after,
    }
    return after, [tap(place, name, value, SPECS[name]) for name, value in values.items()]
