"""Every quantity on the way to one pixel, by the functions that render images, with its clause in specs/.

Names, places and units are those of the C reference (golden_suite_generator/README.md, Traces).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.geometry.detector import Placement, placement_stages
from nanobrag_torch.geometry.orientation import phi_angles
from nanobrag_torch.geometry.rotation import rotate_xyz
from nanobrag_torch.geometry.vectors import dot
from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.kernels.problem import LatticeProblem
from nanobrag_torch.kernels.reference import Reflection, reflection
from nanobrag_torch.models import Experiment
from nanobrag_torch.numerics import sincg
from nanobrag_torch.physics.accumulate import Cached, SubPixel, Term, accumulate, sub_pixels, term, term_factor
from nanobrag_torch.physics.background import background_intensity
from nanobrag_torch.pipeline.render import RenderOptions, orientation_sum, pixel_scene, scaled
from nanobrag_torch.units import CLASSICAL_ELECTRON_RADIUS_SQUARED, METRES_PER_ANGSTROM, degrees_from_radians

RUNNING = ("I_orientations", "term_factor", "I_running")
"""Of a term: its sum over phi steps and domains, the factors that go with it, the pixel's sum so far, both applied."""
OWN = frozenset(
    {*RUNNING, "in_table", "I_background", "I_normalised", "F_cell_lookups", "F_cell_outside_table", "F_cell_zero"}
    | {"F_cell_mean", "F_cell_bounds"}
)
"""Names that the C reference does not print."""
PLAIN = RenderOptions(backend="reference")


class Tap(NamedTuple):
    """One named quantity.

    Args:
        place: `setup`, `term[layer,slow,fast,source]`, `step[layer,slow,fast,source,phi,domain]` or `pixel`.
        name: name, with its unit where it has one.
        values: the components, row by row.
        spec: page and section of specs/ that defines it.
    """

    place: str
    name: str
    values: tuple[float, ...]
    spec: str

    def line(self, tag: str = "TRACE_PY") -> str:
        """The line that a trace prints, with 17 significant digits."""
        return f"{tag}: {self.place}.{self.name} " + " ".join(f"{v:.17g}" for v in self.values)


def trace_pixel(
    experiment: Experiment,
    slow: int,
    fast: int,
    *,
    panel: int = 0,
    every_term: bool = False,
    dtype: torch.dtype = torch.float64,
) -> list[Tap]:
    """The quantities of one pixel, in the order in which they are computed.

    Args:
        experiment: the settled scene.
        slow: slow index of the pixel.
        fast: fast index of the pixel.
        panel: index of its panel.
        every_term: every source and mosaic domain, instead of sources 0 and 2 and domain 0.
        dtype: float64, or float32 for everything behind the fractions of h.

    Raises:
        ValueError: the pixel lies outside the panel.
        InputError: a scene of several parts, which no single trace describes.
    """
    pixel = traced_pixel(experiment, slow, fast, panel)
    with torch.no_grad():
        return list(_taps(experiment, panel, torch.tensor([pixel]), every_term, replace(PLAIN, dtype=dtype)))


def traced_pixel(experiment: Experiment, slow: int, fast: int, panel: int) -> int:
    """The index of a pixel that can be traced.

    Raises:
        ValueError: the pixel lies outside the panel.
        InputError: a scene of several parts, which no single trace describes.
    """
    if not experiment.is_simple:
        problem = "the scene has several crystals, sizes or colours, diffuse scattering, a background or absorption"
        raise InputError("trace", problem, "a trace follows one crystal alone: leave them out")
    at = experiment.detector.panels[panel]
    if not (0 <= slow < at.pixels_s and 0 <= fast < at.pixels_f):
        raise ValueError(f"pixel slow {slow}, fast {fast} lies outside panel {panel} ({at.pixels_s} x {at.pixels_f})")
    return slow * at.pixels_f + fast


def tap(place: str, name: str, value: Tensor | float, spec: str) -> Tap:
    """A quantity of one pixel."""
    values = value.reshape(-1).tolist() if isinstance(value, Tensor) else [float(value)]
    # Adding 0 makes 0 of -0.
    return Tap(place, name, tuple(float(v) + 0.0 for v in values), spec)


def _taps(experiment: Experiment, panel: int, pixel: Tensor, every_term: bool, options: RenderOptions) -> Iterator[Tap]:
    yield from _setup(experiment, panel)
    scene = pixel_scene(experiment, panel)
    sources = [q for q in range(experiment.beam.sources) if every_term or q in (0, 2)]
    domains = experiment.crystal.mosaic.domains
    cached = Cached.start(scene, pixel)
    walk: list[tuple[SubPixel, Term]] = []
    before = torch.zeros(1, dtype=torch.float64)
    running: list[tuple[Tensor, Tensor, Tensor]] = []
    for at in sub_pixels(scene, pixel):
        cached = cached.seeing(at)
        for source in range(experiment.beam.sources):
            now = term(scene, at, source)
            cached = cached.polarized(now)
            factor, orientations = term_factor(scene, at, now), orientation_sum(scene, now.S, options)
            before = before + factor * orientations
            running.append((orientations, factor, before))
            walk.append((at, now))
    phi = phi_angles(experiment.scan.start, experiment.scan.step, experiment.scan.steps)
    for (at, now), sums in zip(walk, running, strict=True):
        if now.source not in sources:
            continue
        index = f"{at.layer},{at.slow},{at.fast},{now.source}"
        yield from _term(scene, at, now, cached, f"term[{index}]")
        yield from _orientation(scene, now, 0, f"term[{index}]", options.dtype)
        for name, value in zip(RUNNING, sums, strict=True):
            yield tap(f"term[{index}]", name, value, "intensity 5, 6")
        for t, angle in enumerate(phi):
            for m in range(domains if every_term else 1):
                place = f"step[{index},{t},{m}]"
                yield tap(place, "phi_tic", float(t), "crystal 9")
                yield tap(place, "phi_deg", degrees_from_radians(angle), "crystal 9")
                taps = list(_orientation(scene, now, t * domains + m, place, options.dtype))
                k = next(one for one in taps if one.name == "hkl_frac").values[1]
                yield Tap(place, "k_frac", (k,), "intensity 3")
                yield from taps
    yield from _amplitudes(scene, [now for _, now in walk], options.dtype)
    yield from _pixel(experiment, scene, pixel, (cached, before, *walk[-1]), options)


def _amplitudes(scene: PixelScene, terms: list[Term], dtype: torch.dtype) -> Iterator[Tap]:
    """What all look-ups of the pixel gave together: every term, phi step and domain that is not cut by dmin."""
    values, outside = [], 0
    for now in terms:
        if not bool(now.kept):
            continue
        for cell in scene.A:
            found = reflection_of(scene, now, cell, dtype)
            values.append(float(found.F))
            outside += not _in_table(scene, found)
    count = len(values)
    yield tap("pixel", "F_cell_lookups", float(count), "structure_factors 3, 5")
    yield tap("pixel", "F_cell_outside_table", float(outside), "structure_factors 3, 5")
    yield tap("pixel", "F_cell_zero", float(sum(value == 0.0 for value in values)), "structure_factors 3, 5")
    yield tap("pixel", "F_cell_mean", math.fsum(values) / count if count else 0.0, "structure_factors 3, 5")
    bounds = torch.tensor([min(values, default=0.0), max(values, default=0.0)], dtype=torch.float64)
    yield tap("pixel", "F_cell_bounds", bounds, "structure_factors 3, 5")


def _in_table(scene: PixelScene, found: Reflection) -> bool:
    """Whether the look-up found its node, or with interpolation all four nodes per axis, in the table."""
    table = scene.structure_factors
    places = found.indices if scene.interpolate else found.nearest
    margin = 2 if scene.interpolate else 0
    return all(
        low + margin <= float(x) <= low + size - 1 - margin
        for x, low, size in zip(places, table.origin, table.sizes, strict=True)
    )


def _setup(experiment: Experiment, index: int) -> Iterator[Tap]:
    panel = experiment.detector.panels[index]
    placement = Placement(**{name: getattr(panel, name) for name in Placement._fields})
    stages = placement_stages(placement, experiment.beam.direction)
    for name, angle in zip(("rotx", "roty", "rotz"), placement.rotations, strict=True):
        yield tap("setup", f"angles_rad.{name}", angle, "geometry 8")
    yield tap("setup", "angles_rad.twotheta", placement.twotheta, "geometry 8")
    axes = ("fdet", "sdet", "odet")
    for name, axis in zip(axes, stages.turned, strict=True):
        yield tap("setup", f"{name}_after_rotz", axis, "geometry 8")
    yield tap("setup", "twotheta_axis", placement.twotheta_axis, "geometry 3")
    for stage in ("after_twotheta", "final"):
        for name, axis in zip(axes, stages.swung, strict=True):
            yield tap("setup", f"{name}_{stage}", axis, "geometry 8")
    yield tap("setup", "distance_m", stages.distance, "geometry 7")
    if placement.pivot == "sample":
        yield tap("setup", "Fclose_m", placement.near_point[0], "geometry 2")
        yield tap("setup", "Sclose_m", placement.near_point[1], "geometry 2")
        yield tap("setup", "close_distance_m", stages.close_distance, "geometry 7")
        yield tap("setup", "ratio", stages.ratio, "geometry 7")
        for name, part in zip(("fast", "slow", "close"), stages.terms, strict=True):
            yield tap("setup", f"term_{name}_before_rot", part, "geometry 8")
        yield tap("setup", "pix0_before_rotation", stages.origin_before, "geometry 8")
        yield tap("setup", "pix0_after_rotz", stages.origin_turned, "geometry 8")
        yield tap("setup", "pix0_after_twotheta", stages.origin, "geometry 8")
    else:
        yield from _rotations(placement.rotations)
        yield tap("setup", "Fbeam_m", placement.beam_centre[0], "geometry 4")
        yield tap("setup", "Sbeam_m", placement.beam_centre[1], "geometry 4")
        for name, part in zip(("fast", "slow", "beam"), stages.terms, strict=True):
            yield tap("setup", f"term_{name}", part, "geometry 8")
        yield tap("setup", "pix0_vector", stages.origin, "geometry 8")
    yield tap("setup", "pix0_final_m", stages.origin, "geometry 8, 12")


def _rotations(angles: Tensor) -> Iterator[Tap]:
    identity = torch.eye(3, dtype=torch.float64)
    for i, name in enumerate(("Rx", "Ry", "Rz")):
        yield tap("setup", name, rotate_xyz(identity, angles * identity[i]).T, "README, Notation")
    yield tap("setup", "R_total", rotate_xyz(identity, angles).T, "README, Notation")


def _term(scene: PixelScene, at: SubPixel, now: Term, cached: Cached, place: str) -> Iterator[Tap]:
    yield tap(place, "pix0_vector_meters", scene.origin, "geometry 8")
    yield tap(place, "fdet_vec", scene.fast, "geometry 8")
    yield tap(place, "sdet_vec", scene.slow, "geometry 8")
    yield tap(place, "pixel_pos_meters", at.positions, "geometry 10")
    yield tap(place, "R_distance_meters", at.distance, "geometry 11")
    yield tap(place, "omega_pixel_sr", at.omega if scene.per_term_omega else cached.omega, "geometry 11; intensity 5")
    yield tap(place, "capture_fraction", at.capture if scene.per_term_thick else cached.capture, "intensity 5")
    yield tap(place, "close_distance_meters", scene.close_distance, "geometry 9")
    yield tap(place, "obliquity_factor", scene.close_distance / at.distance, "geometry 11")
    yield tap(place, "diffracted_vec", at.directions, "geometry 11")
    yield tap(place, "source_index", float(now.source), "sources 6")
    incident, wavelength = scene.incident[now.source], scene.wavelength[now.source]
    yield tap(place, "incident_vec", incident, "sources 8")
    yield tap(place, "lambda_meters", wavelength * METRES_PER_ANGSTROM, "sources 2")
    yield tap(place, "lambda_angstroms", wavelength, "sources 2")
    yield tap(place, "scattering_vec_per_m", now.S / METRES_PER_ANGSTROM, "intensity 3")
    yield tap(place, "cut_by_dmin", (~now.kept).to(torch.float64), "intensity 3")
    polarization = now.polarization if scene.per_term_polar else cached.polarization
    yield tap(place, "polar", polarization, "intensity 5")
    yield tap(place, "cos2theta", dot(at.directions, incident), "intensity 5")
    for name, axis in zip("abc", scene.reciprocal, strict=True):
        yield tap(place, f"{name}_star_unrotated_per_A", axis, "crystal 6")


def reflection_of(scene: PixelScene, now: Term, cell: Tensor, dtype: torch.dtype) -> Reflection:
    """What one orientation `cell` [3,3] gives for the scattering vector of a term."""
    table = scene.structure_factors
    problem = LatticeProblem(table, scene.shape, scene.reciprocal, scene.fudge, scene.interpolate, scene.radius, dtype)
    return reflection(now.S, cell, scene.N.to(dtype), table.flat().to(dtype), problem)


def _orientation(scene: PixelScene, now: Term, orientation: int, place: str, dtype: torch.dtype) -> Iterator[Tap]:
    cell = scene.A[orientation]
    found = reflection_of(scene, now, cell, dtype)
    for name, axis in zip("abc", cell, strict=True):
        yield tap(place, f"{name}_angstroms", axis, "crystal 9, 10")
    yield tap(place, "hkl_frac", torch.stack(found.indices), "intensity 3")
    yield tap(place, "hkl_rounded", torch.stack(found.nearest), "intensity 3")
    if scene.shape == "square":
        for name, delta, count in zip("abc", found.delta, scene.N, strict=True):
            yield tap(place, f"F_latt_{name}", sincg(delta, count.to(dtype)), "intensity 4")
    yield tap(place, "F_latt", found.L, "intensity 4")
    yield tap(place, "F_cell", found.F, "structure_factors 3, 5")
    yield tap(place, "in_table", float(_in_table(scene, found)), "structure_factors 3, 5")
    yield tap(place, "F_latt_squared", found.L**2, "intensity 3")
    yield tap(place, "F_cell_squared", found.F**2, "intensity 3")
    yield tap(place, "I_contribution", found.F**2 * found.L**2, "intensity 3")


def _pixel(
    experiment: Experiment,
    scene: PixelScene,
    pixel: Tensor,
    walked: tuple[Cached, Tensor, SubPixel, Term],
    options: RenderOptions,
) -> Iterator[Tap]:
    cached, terms, at, now = walked
    sums = accumulate(scene, pixel, lambda S: orientation_sum(scene, S, options))
    value = scaled(experiment, sums.total, sums.background)
    water, fluence = experiment.crystal.water, experiment.beam.fluence
    background = cached.applied(scene, background_intensity(water, fluence).expand(1), per_term=True)
    yield tap("pixel", "I_background", background, "intensity 6")
    yield tap("pixel", "I_before_scaling", background + terms, "intensity 6")
    scale = CLASSICAL_ELECTRON_RADIUS_SQUARED * fluence / experiment.steps
    yield tap("pixel", "I_normalised", (background + terms) * scale, "intensity 6")
    yield tap("pixel", "r_e_meters", math.sqrt(CLASSICAL_ELECTRON_RADIUS_SQUARED), "README, Constants")
    yield tap("pixel", "r_e_sqr", CLASSICAL_ELECTRON_RADIUS_SQUARED, "README, Constants")
    yield tap("pixel", "fluence_photons_per_m2", fluence, "intensity 6")
    yield tap("pixel", "steps", float(experiment.steps), "intensity 2")
    yield tap("pixel", "oversample_thick", float(scene.per_term_thick), "intensity 5")
    yield tap("pixel", "oversample_polar", float(scene.per_term_polar), "intensity 5")
    yield tap("pixel", "oversample_omega", float(scene.per_term_omega), "intensity 5")
    yield tap("pixel", "capture_fraction", cached.capture, "intensity 5")
    yield tap("pixel", "polar", cached.polarization, "intensity 5")
    yield tap("pixel", "omega_pixel", cached.omega, "geometry 11; intensity 5")
    yield tap("pixel", "cos_2theta", dot(at.directions, scene.incident[now.source]), "intensity 5")
    yield tap("pixel", "I_pixel_final", value, "intensity 6")
    yield tap("pixel", "floatimage_accumulated", value.to(torch.float32).to(torch.float64), "intensity 6")
