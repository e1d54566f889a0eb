"""A scene of several parts: crystals, block sizes, domains and colours with shares, absorption, and a background.

The core of a render draws one crystal whose orientations and sources all count alike. Everything else here is a sum of
such renders with shares, times what the way through sample and air leaves of them, plus what scatters beside them. A
scene that has none of it is handed on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nanobrag_torch.geometry.rotation import rotate_about, rotate_xyz
from nanobrag_torch.geometry.vectors import cross, real
from nanobrag_torch.kernels import forward_mode
from nanobrag_torch.kernels.packing import PackedScene
from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.kernels.structure_factors import StructureFactors, lagrange_weights
from nanobrag_torch.models import Crystal, Experiment, Mosaic, Other
from nanobrag_torch.numerics import any_nonzero, normalise
from nanobrag_torch.physics.accumulate import sub_pixel
from nanobrag_torch.physics.amorphous import curve_values, material_sums
from nanobrag_torch.physics.attenuation import air_transmission, beam_brightness, sample_transmission
from nanobrag_torch.pipeline.plan import chunk_pixels
from nanobrag_torch.pipeline.render import RenderOptions, Values, lattice_of, pixel_scene, render
from nanobrag_torch.units import CLASSICAL_ELECTRON_RADIUS_SQUARED

Split = Iterator[tuple[Tensor, Experiment]]

SMOOTH_ANGLE = 0.01
"""Angle (rad) over which the transmission of a sample is interpolated."""


@dataclass(frozen=True)
class Part:
    """One render of a sum: its `share` [] and its scene."""

    share: Tensor
    experiment: Experiment


def render_scene(
    experiment: Experiment,
    panel_index: int,
    pixels: Tensor | None,
    options: RenderOptions,
    packed: PackedScene | None = None,
) -> Values:
    """Values of pixels [P] of one panel (`None`: all of them) of any scene; arguments and result as `render`."""
    if experiment.is_simple:
        return render(experiment, panel_index, pixels, options, packed)
    values, angle = _bragg(experiment, panel_index, pixels, options)
    if experiment.background.empty and experiment.path.air is None:
        return Values(values.to(options.out_dtype), angle)
    scene = pixel_scene(experiment, panel_index).to(options.device)
    panel = experiment.detector.panels[panel_index]
    count = panel.pixels_s * panel.pixels_f
    listed = torch.arange(count, device=options.device) if pixels is None else pixels.to(options.device)
    if experiment.background.scatters:
        values = values + background_values(experiment, scene, listed, options)
    if experiment.path.air is not None:
        distance = sub_pixel(replace(scene, oversample=1), listed, 0, (0, 0)).distance
        values = values * air_transmission(distance, experiment.path.air.to(options.device))
    if experiment.background.measured is not None or experiment.background.curve is not None:
        values = values + _measured(experiment, scene, panel_index, listed, values)
    return Values(values.to(options.out_dtype), angle)


def parts(experiment: Experiment) -> Iterator[Part]:
    """The renders whose weighted sum is the diffraction of a scene: crystals, block sizes, domains, colours."""
    yield from _split(Part(real(1.0), experiment), (_crystals, _block_sizes, _domains, _diffuse, _colours))


def _split(part: Part, splits: tuple[Callable[[Experiment], Split], ...]) -> Iterator[Part]:
    if not splits:
        yield part
        return
    for share, experiment in splits[0](part.experiment):
        yield from _split(Part(part.share * share, experiment), splits[1:])


def _crystals(experiment: Experiment) -> Split:
    crystal = experiment.crystal
    left = real(1.0)
    for other in crystal.others:
        left = left - other.share
        yield other.share, experiment.replace(crystal=_other_crystal(other, crystal, experiment.physics == "exact"))
    yield left, experiment.replace(crystal=crystal.replace(others=()))


def _other_crystal(other: Other, crystal: Crystal, exact: bool) -> Crystal:
    """The crystal itself, or the first one in another orientation."""
    if other.crystal is not None:
        return other.crystal
    reciprocal = lattice_of(crystal, exact).reciprocal
    if other.law is not None:
        reciprocal = torch.linalg.inv(other.law).T @ reciprocal
    turned = rotate_xyz(reciprocal, other.misset)
    return crystal.replace(reciprocal=turned, misset=torch.zeros_like(crystal.misset), others=())


def _block_sizes(experiment: Experiment) -> Split:
    crystal = experiment.crystal
    if crystal.blocks is None:
        yield real(1.0), experiment
        return
    for node, weight in zip(crystal.blocks.nodes, crystal.blocks.weights, strict=True):
        factor = torch.exp(crystal.blocks.spread * node)
        coupling = None if crystal.coupling is None else crystal.coupling * factor
        size = crystal.replace(N=crystal.N * factor, coupling=coupling, blocks=None)
        yield weight, experiment.replace(crystal=size)


def _domains(experiment: Experiment) -> Split:
    """Domains of equal weight together."""
    mosaic = experiment.crystal.mosaic
    if mosaic.weights is None:
        yield real(1.0), experiment
        return
    _, group = torch.unique(mosaic.weights.detach(), return_inverse=True)
    groups = range(len(mosaic.weights)) if mosaic.weights.requires_grad else range(int(group.max()) + 1)
    for number in groups:
        same = torch.arange(len(mosaic.weights)) == number if mosaic.weights.requires_grad else group == number
        chosen = torch.nonzero(same).reshape(-1)
        share = mosaic.weights[chosen].sum() / mosaic.weights.sum()
        yield share, _with_mosaic(experiment, mosaic.only(chosen))


def _with_mosaic(experiment: Experiment, mosaic: Mosaic) -> Experiment:
    return experiment.replace(crystal=experiment.crystal.replace(mosaic=mosaic))


def _diffuse(experiment: Experiment) -> Split:
    """The spots, and the diffuse scattering of every operation of the Laue group."""
    crystal = experiment.crystal
    law = crystal.diffuse
    if law is None or crystal.shape == "diffuse":
        yield real(1.0), experiment
        return
    yield real(1.0), experiment.replace(crystal=crystal.replace(diffuse=None))
    for operation in law.operations.unbind():
        one = replace(law, operations=operation[None])
        share = real(1.0 / len(law.operations))
        yield share, experiment.replace(crystal=crystal.replace(diffuse=one, shape="diffuse"))


def _colours(experiment: Experiment) -> Split:
    """Sources with the same structure factors together."""
    crystal, beam = experiment.crystal, experiment.beam
    if crystal.colours is None:
        yield real(1.0), experiment
        return
    for number in range(crystal.colours.tables):
        chosen = torch.nonzero(crystal.colours.of_source == number).reshape(-1)
        own = crystal.replace(structure_factors=crystal.colours.table(number), colours=None)
        some = beam.replace(
            source_positions=beam.source_positions[chosen],
            wavelength_ratios=beam.wavelength_ratios[chosen],
            weights=beam.weights[chosen],
        )
        yield real(len(chosen) / beam.sources), experiment.replace(crystal=own, beam=some)


def _bragg(
    experiment: Experiment, panel_index: int, pixels: Tensor | None, options: RenderOptions
) -> tuple[Tensor, Tensor | None]:
    """Diffraction [P] of all parts, attenuated, and the sum of the solid angles if asked for."""
    inner = replace(options, out_dtype=torch.float64)
    quiet = replace(inner, progress=None, solid_angle=False)
    total: Tensor | None = None
    angle: Tensor | None = None
    for part in parts(experiment):
        for share, step in _spindle_steps(part.experiment):
            fluence = experiment.beam.fluence * (part.share * share)
            dry = step.replace(crystal=step.crystal.replace(water=real(0.0)), fluence=fluence)
            how = inner if total is None else quiet
            if how.tolerance > 0.0:  # what all parts lose together stays within it
                how = replace(how, tolerance=how.tolerance * float((part.share * share).detach()))
            if step.crystal.shape == "diffuse":
                how = replace(how, dtype=torch.float64)
            found = render(dry, panel_index, pixels, how)
            angle = found.solid_angle if total is None else angle
            values = found.values
            if step.path.sample is not None:
                values = values * _transmission(step, panel_index, pixels, options)
            total = values if total is None else _added(total, values)
    if total is None:
        raise ValueError("a scene without a crystal")
    water = experiment.crystal.water
    if any_nonzero(water) or water.requires_grad:
        nothing = experiment.crystal.replace(structure_factors=StructureFactors.constant(0.0), interpolate=False)
        whole = replace(quiet, tolerance=0.0)
        total = total + render(experiment.replace(crystal=nothing), panel_index, pixels, whole).values
    return total, angle


def _added(total: Tensor, values: Tensor) -> Tensor:
    """The sum; in the place of the first where nobody asks for a gradient."""
    if total.requires_grad or values.requires_grad or forward_mode.active():
        return total + values
    return total.add_(values)


def _spindle_steps(experiment: Experiment) -> Split:
    """Steps of the spindle one by one where the way through the sample depends on them."""
    scan = experiment.scan
    if experiment.path.sample is None or scan.steps == 1:
        yield real(1.0), experiment
        return
    for step in range(scan.steps):
        one = scan.replace(start=scan.start + scan.step * step, steps=1)
        yield real(1.0 / scan.steps), experiment.replace(scan=one)


def _transmission(experiment: Experiment, panel_index: int, pixels: Tensor | None, options: RenderOptions) -> Tensor:
    """What the sample's absorption and the beam's form leave of the photons to each pixel [P], for one spindle step.

    It is worked out on a grid that is `SMOOTH_ANGLE` wide seen from the sample, and cubic in between.
    """
    panel = experiment.detector.panels[panel_index]
    scene = replace(pixel_scene(experiment, panel_index).to(options.device), oversample=1)
    spacing = max(1, int(SMOOTH_ANGLE * float(scene.distance.detach().abs() / scene.pixel_size.detach())))
    listed = torch.arange(panel.pixels_s * panel.pixels_f, device=options.device) if pixels is None else pixels
    listed = listed.to(options.device)
    if spacing == 1:
        return _reaching(experiment, sub_pixel(scene, listed, 0, (0, 0)).directions, options)
    columns, rows = (n // spacing + 5 for n in (panel.pixels_f, panel.pixels_s))
    step = spacing * scene.pixel_size
    coarse = replace(
        scene,
        pixels_f=columns,
        pixel_size=step,
        origin=scene.origin - 2.0 * step * (scene.fast + scene.slow),
        beam_centre=scene.beam_centre + 2.0 * step,
    )
    nodes = torch.arange(columns * rows, device=options.device)
    grid = _reaching(experiment, sub_pixel(coarse, nodes, 0, (0, 0)).directions, options).reshape(rows, columns)
    return torch.cat([_between(grid, some, panel.pixels_f, spacing) for some in torch.split(listed, 65536)])


def _between(grid: Tensor, pixels: Tensor, pixels_f: int, spacing: int) -> Tensor:
    """Values [P] at pixels of a grid [rows, columns] whose nodes are `spacing` pixels apart, two of them before 0."""
    places = []
    for index in (torch.div(pixels, pixels_f, rounding_mode="floor"), pixels % pixels_f):
        at = (index.to(torch.float64) + 0.5) / spacing + 1.5
        floor = torch.floor(at)
        places.append((floor.long(), lagrange_weights(at - floor)))
    (row, by_row), (column, by_column) = places
    total = torch.zeros(len(pixels), dtype=grid.dtype, device=grid.device)
    for i in range(4):
        for j in range(4):
            total = total + by_row[i] * by_column[j] * grid[row + (i - 1), column + (j - 1)]
    return total


def _reaching(experiment: Experiment, directions: Tensor, options: RenderOptions) -> Tensor:
    """What is left of the photons in directions [P, 3], for one spindle step."""
    sample, scan, beam = experiment.path.sample, experiment.scan, experiment.beam
    if sample is None:
        return torch.ones_like(directions[:, 0])
    brightness = sample.shares
    if sample.beam is not None:
        points = rotate_about(sample.points, scan.axis, scan.start.expand(len(sample.points)))
        up = normalise(cross(beam.polarization_axis, beam.direction))
        across = normalise(cross(beam.direction, up)), up
        brightness = brightness * beam_brightness(points, across, sample.beam.form, sample.beam.widths)
    back = -scan.start
    incident = rotate_about(beam.direction, scan.axis, back)
    turned = rotate_about(directions, scan.axis.to(options.device), back.to(options.device).expand(len(directions)))
    points, brightness = sample.points.to(options.device), brightness.to(options.device)
    return sample_transmission(sample.body, sample.attenuation, points, brightness, incident.to(options.device), turned)


def background_values(experiment: Experiment, scene: PixelScene, pixels: Tensor, options: RenderOptions) -> Tensor:
    """Photons [P] of the materials in the beam, in chunks whose size changes no value."""
    background = experiment.background.to(options.device)
    area = real(0.0) if background.area is None else background.area
    scale = CLASSICAL_ELECTRON_RADIUS_SQUARED * experiment.beam.fluence * area.cpu()
    asks = torch.is_grad_enabled() and any(t.requires_grad for t in (*scene.tensors(), *background.tensors()))
    size = chunk_pixels(options.budget, scene.layers * scene.oversample**2 * len(scene.incident), asks)
    found = []
    for some in torch.split(pixels, size):

        def sums(some: Tensor = some) -> Tensor:
            return material_sums(scene, some, background.elastic, background.compton)

        found.append(checkpoint(sums, use_reentrant=False) if asks and not forward_mode.active() else sums())
    total: Tensor = torch.cat(found) if found else torch.zeros(0, dtype=torch.float64, device=options.device)
    return scale.to(options.device) * total


def _measured(experiment: Experiment, scene: PixelScene, panel_index: int, pixels: Tensor, like: Tensor) -> Tensor:
    """Photons [P] that were measured: of an image, and of a radial curve."""
    background, total = experiment.background, torch.zeros_like(like)
    if background.measured is not None:
        image = background.measured.images[panel_index].to(like.device).reshape(-1)
        total = total + background.measured.scale.to(like.device) * image[pixels]
    if background.curve is not None:
        knots = background.curve.stol.to(like.device), background.curve.photons.to(like.device)
        parts_of = [curve_values(scene, some, *knots) for some in torch.split(pixels, 65536)]
        total = total + (torch.cat(parts_of) if parts_of else total)
    return total
