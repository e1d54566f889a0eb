"""What is printed, line by line and in the C program's order (specs: cli 8).

Everything comes from the settled experiment, the configuration, the input files and the image. From
`Experiment.facts` these entries are used: `Xbeam`, `Ybeam`, `Xclose`, `Yclose` (m, as of specs: geometry 2 and 4),
`divergence` (the kept directions, rad), `generated_sources`, `source_weights`, `extents` (Å), and `misset_deg`,
`misset_seed` with a random misset. Of `Experiment.notes` the lines are printed that belong to a stage named here;
notes that warn go to the standard error stream instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nanobrag_torch.config.crystal import SHAPES
from nanobrag_torch.settling.steps import dispersion_steps, divergence_steps, layer_steps
from nanobrag_torch.text import format_g as g
from nanobrag_torch.units import (
    APPARENT_DENSITY,
    AVOGADRO,
    degrees_from_radians,
    fraction_from_percent,
    metres_from_angstrom,
    metres_from_um,
    mm_from_metres,
    radians_from_mrad,
    um_from_metres,
)

if TYPE_CHECKING:
    from nanobrag_torch.config import Config
    from nanobrag_torch.geometry.detector import Frame
    from nanobrag_torch.models import Experiment
    from nanobrag_torch.pipeline.image import Statistics
    from nanobrag_torch.settling.inputs import Inputs


def banner(version: str) -> str:
    """The first line."""
    return f"nanobrag_torch {version}: far-field diffraction of nanocrystals"


def scene_lines(experiment: Experiment, config: Config, inputs: Inputs) -> Iterator[str]:
    """Everything that is known before the first pixel, in the C program's order."""
    from nanobrag_torch.pipeline.render import panel_frame_of

    beam = experiment.beam
    frame = panel_frame_of(experiment.detector.panels[0], beam.direction, experiment.physics == "exact")
    yield from (f"reading {name}" for name in (config.sampling.mask_file, config.output.header_file) if name)
    yield from _notes(experiment, "clip", "normal")
    yield f"{(config.detector.convention or 'MOSFLM').lower()} convention selected."
    around = "sample" if experiment.detector.panels[0].pivot == "sample" else "direct beam spot"
    yield f"pivoting detector around {around}"
    axes = (frame.fast, frame.slow, frame.normal)
    yield f"XDS incident beam: {_gs(_dot(_list(beam.direction), _list(axis)) for axis in axes)}"
    yield from _crystal_lines(experiment, config)
    yield from _notes(experiment, "layers", "spectrum", "mosaic", "oversample")
    yield f"approximate MW = {g(_apparent_weight(experiment))}"
    yield from _reflection_lines(experiment, config, inputs)
    yield from _sweep_lines(experiment, config)
    yield from _summary_lines(experiment, config, inputs, frame)
    if config.output.noise:
        seed = config.output.noise_seed or 0
        water = float(experiment.crystal.water)
        yield from ("", "  noise image paramters:", f"  seed: {-seed}", f"  water droplet size: {g(water)} m")


def statistics_lines(statistics: Statistics) -> list[str]:
    """The brightest pixel and the moments of the image."""
    place = _gs(statistics.max_at)
    return [
        f"max_I = {g(statistics.max_I)}  at {place}",
        f"mean= {g(statistics.mean)} rms= {g(statistics.rms)} rmsd= {g(statistics.rmsd)}",
    ]


def solid_angle_lines(steradian: float) -> list[str]:
    """The solid angle of the rendered pixels."""
    sphere = 100.0 * steradian / (4.0 * math.pi)
    return ["", f"solid angle subtended by detector = {g(steradian)} steradian ( {g(sphere)}% sphere)"]


def _notes(experiment: Experiment, *stages: str) -> Iterator[str]:
    for stage in stages:
        yield from (note.text for note in experiment.notes if note.stage == stage and not note.warns)


def _crystal_lines(experiment: Experiment, config: Config) -> Iterator[str]:
    """Interpolation, orientation, cell and size."""
    from nanobrag_torch.geometry.cell import cell_parameters
    from nanobrag_torch.pipeline.render import lattice_of

    said, facts = config.crystal, experiment.facts
    if said.interpolate is None:
        counts = [1.0 if n is None else float(n) for n in (said.Na, said.Nb, said.Nc)]
        how = "tricubic" if min(counts) <= 2 else "no"
        yield f"auto-selected {how} interpolation" + (" of structure factors" if how == "tricubic" else "")
    if said.matrix_file is not None:
        yield f"reading {said.matrix_file}"
    if "misset_deg" in facts:
        angles = " ".join(f"{angle:f}" for angle in facts["misset_deg"])
        yield f"random orientation misset angles: {angles} deg"
        yield f"random orientation seed: {facts['misset_seed']}"
    lattice = lattice_of(experiment.crystal, experiment.physics == "exact")
    direct, reciprocal = lattice.direct.detach(), lattice.reciprocal.detach()
    volume = lattice.volume.detach()
    yield f"Unit Cell: {_cell(cell_parameters(direct, reciprocal, volume))}"
    yield f"Recp Cell: {_cell(cell_parameters(reciprocal, direct, 1.0 / volume))}"
    yield f"volume = {g(volume)} A^3"
    yield from ("real-space cell vectors (Angstrom):", *_matrix(direct, ("a", "b", "c")))
    names = ("a_star", "b_star", "c_star")
    yield from ("reciprocal-space cell vectors (Angstrom^-1):", *_matrix(reciprocal, names))
    extents = [um_from_metres(metres_from_angstrom(x)) for x in _list(facts["extents"])]
    yield f"crystal is {g(extents[0])} x {g(extents[1])} x {g(extents[2])} microns"


def _cell(parameters: Any) -> str:
    lengths, angles = _list(parameters)[:3], _list(parameters)[3:]
    return _gs([*lengths, *map(degrees_from_radians, angles)])


def _matrix(rows: Any, names: Sequence[str]) -> Iterator[str]:
    """Title and rows X, Y, Z of three vectors."""
    yield "     " + "  ".join(f"{name:<10s}" for name in names)
    for i, axis in enumerate("XYZ"):
        yield f"{axis}: " + " ".join(f"{float(row[i]):11.8f}" for row in rows)


def _apparent_weight(experiment: Experiment) -> float:
    """Molar mass of a cell (g/mol) of protein-like density (specs: crystal 7)."""
    extents = [metres_from_angstrom(x) for x in _list(experiment.facts["extents"])]
    return math.prod(extents) * APPARENT_DENSITY * AVOGADRO / math.prod(_list(experiment.crystal.N))


def _reflection_lines(experiment: Experiment, config: Config, inputs: Inputs) -> Iterator[str]:
    """What the C program says while it reads structure factors (specs: structure_factors 2, 6, 7)."""
    yield from _notes(experiment, "amplitudes")
    if inputs.grid is None or inputs.reflections is not None:
        return
    if inputs.grid_from_dump:
        yield f"reading Fs from {inputs.grid_file}"
        return
    yield f"counting entries in {inputs.grid_file}"
    if inputs.grid.default_F != 0:
        yield f"initializing to default_F = {inputs.grid.default_F:f}:"
        yield "done initializing:"
    yield f"re-reading {inputs.grid_file}"
    if config.crystal.use_dump:
        yield _dump_line(config)


def _dump_line(config: Config) -> str:
    from nanobrag_torch.errors import InputError
    from nanobrag_torch.io.files import check_writable
    from nanobrag_torch.settling.inputs import dump_file

    name = dump_file(config.crystal)
    try:
        check_writable(name)
    except InputError:
        return f"WARNING: unable to open dump file: {name}"
    return f"writing dump file for next time: {name}"


def _sweep_lines(experiment: Experiment, config: Config) -> Iterator[str]:
    """Sensor layers, spindle positions, sources and domains (specs: sources 6, 8)."""
    panel, scan, facts = experiment.detector.panels[0], experiment.scan, experiment.facts
    step = um_from_metres(float(panel.layer_step))
    yield from (f"thick{i} = {g(step * i)} um" for i in range(panel.layers))
    for i in range(scan.steps):
        yield f"phi{i} = {g(degrees_from_radians(float(scan.start) + float(scan.step) * i))}"
    central = float(experiment.beam.wavelength)
    if facts["generated_sources"]:
        yield from (f"divergence deviation: {g(h)} {g(v)}" for h, v in facts["divergence"])
        count = experiment.beam.sources // max(len(facts["divergence"]), 1)
        ratios = _list(experiment.beam.wavelength_ratios)[:count]
        for i, ratio in enumerate(ratios):
            yield f"lambda{i} = {metres_from_angstrom(central) * ratio:.15g}"
    yield f"  created a total of {experiment.beam.sources} sources:"
    wavelengths = [metres_from_angstrom(central) * ratio for ratio in _list(experiment.beam.wavelength_ratios)]
    for position, weight, wavelength in zip(
        experiment.beam.source_positions.tolist(), _list(facts["source_weights"]), wavelengths, strict=True
    ):
        yield f"{_gs(position)}   {g(weight)} {g(wavelength)}"
    yield f"  created a total of {experiment.crystal.mosaic.domains} mosaic domains"


def _summary_lines(experiment: Experiment, config: Config, inputs: Inputs, frame: Frame) -> Iterator[str]:
    """The indented block that describes the whole run."""
    crystal, beam, detector = experiment.crystal, experiment.beam, experiment.detector
    table = crystal.structure_factors
    yield f"  {table.entries} initialized hkls (all others ={g(table.default_F)})"
    counts = "x".join(f"{n:.0f}" for n in _list(crystal.N))
    yield f"  {SHAPES[crystal.shape]} xtal: {counts} cells"
    said = config.beam
    spectrum = dispersion_steps(said.dispersion_steps, fraction_from_percent(_float(said.dispersion_percent, 0.0)))
    width, count = spectrum.range, spectrum.count
    if inputs.spectrum is not None:
        lowest, highest = inputs.spectrum.wavelengths[0], inputs.spectrum.wavelengths[-1]
        width, count = (highest - lowest) / float(beam.wavelength), len(inputs.spectrum.wavelengths)
    wave = metres_from_angstrom(float(beam.wavelength))
    yield f"  wave={g(wave)} meters +/- {g(width * 100.0)}% in {count} steps"
    if beam.polarized:
        yield f"  Kahn polarization factor: {float(beam.polarization_factor):f}"
    else:
        yield "  polarization effect disabled"
    if detector.curved:
        yield "  curved detector: all pixels same distance from origin"
    if detector.point_pixel:
        yield "  pixel obliquity effect disabled"
    yield f"  incident fluence: {g(beam.fluence)} photons/m^2"
    yield from _detector_lines(experiment, config, frame)
    yield from _vector_lines(experiment, frame)
    yield from _count_lines(experiment, config)


def _detector_lines(experiment: Experiment, config: Config, frame: Frame) -> Iterator[str]:
    panel, facts = experiment.detector.panels[0], experiment.facts
    size = "x".join(map(g, _list(panel.lengths)))
    pixels = f"{panel.pixels_f}x{panel.pixels_s}"
    yield f"  distance={g(frame.distance)} detsize={size}  pixel={g(panel.pixel_size)} meters ({pixels} pixels)"
    thickness = g(_sensor_thickness(config))
    yield f"  sensor is {thickness} m thick in {panel.layers} layers with mu= {g(panel.attenuation)}"
    beam_centre, near_point = _list(frame.beam_centre), _list(frame.near_point)
    yield f"  Xbeam={g(facts['Xbeam'])} Ybeam={g(facts['Ybeam'])}"
    yield f"  Fbeam={g(beam_centre[0])} Sbeam={g(beam_centre[1])}"
    yield f"  Xclose={g(facts['Xclose'])} Yclose={g(facts['Yclose'])}"
    yield f"  Fclose={g(near_point[0])} Sclose={g(near_point[1])}"


def _sensor_thickness(config: Config) -> float:
    """Thickness (m) that the layers are made from; 0 where absorption is switched off (specs: sources 3)."""
    said = config.detector
    depth = _float(said.attenuation_depth_um, -1.0)
    if depth == 0.0 or math.isinf(depth):
        return 0.0
    exact = config.output.physics == "exact"
    return layer_steps(said.thick_steps, metres_from_um(_float(said.thickness_um, 0.0)), exact).range


def _vector_lines(experiment: Experiment, frame: Frame) -> Iterator[str]:
    for axis, vector in (("X", frame.fast), ("Y", frame.slow), ("Z", frame.normal)):
        yield f"  DIRECTION_OF_DETECTOR_{axis}-AXIS= {_gs(_list(vector))}"
    b, p = _list(experiment.beam.direction), _list(experiment.beam.polarization_axis)
    yield f"  INCIDENT_BEAM_DIRECTION= {_gs(b)}"
    yield f"  spindle ROTATION_AXIS= {_gs(_list(experiment.scan.axis))}"
    normal = (b[1] * p[2] - b[2] * p[1], b[2] * p[0] - b[0] * p[2], b[0] * p[1] - b[1] * p[0])
    yield f"  POLARIZATION_PLANE_NORMAL= {_gs(normal)}"
    yield f"  dials origin= {_gs(dials_origin(_list(frame.origin)))}"


def dials_origin(origin: Sequence[float]) -> tuple[float, float, float]:
    """The corner of the first pixel in the frame of DIALS, mm, of its lab position in m (specs: geometry 9)."""
    x, y, z = map(mm_from_metres, origin)
    return z, y, -x


def _count_lines(experiment: Experiment, config: Config) -> Iterator[str]:
    """Region, divergence, sources, domains, phi steps and sub-pixels."""
    said, sampling, scan = config.beam, experiment.sampling, experiment.scan
    xmin, xmax, ymin, ymax = sampling.roi
    yield f"  roi: {xmin} < x < {xmax} && {ymin} < y < {ymax}"
    for name, count, range_, step in (
        ("hdiv", said.hdiv_steps, said.hdiv_range_mrad, said.hdiv_step_mrad),
        ("vdiv", said.vdiv_steps, said.vdiv_range_mrad, said.vdiv_step_mrad),
    ):
        steps = divergence_steps(count, _radians(range_), _radians(step))
        yield f"  {name}range={g(steps.range)} {name}step={g(steps.step)}  radians"
    generated = experiment.facts["generated_sources"]
    yield f"  {len(experiment.facts['divergence']) if generated else -1} divergence steps"
    yield f"  {experiment.beam.sources} sources"
    mosaic = experiment.crystal.mosaic
    spreads = [float(mosaic.spread)] if mosaic.spreads is None else _list(mosaic.spreads)
    yield f"  {mosaic.domains} mosaic domains over mosaic spread of {_gs(map(degrees_from_radians, spreads))} degrees"
    start = float(scan.start)
    end = degrees_from_radians(start + float(scan.range))
    yield f"  {scan.steps} phi steps from {g(degrees_from_radians(start))} to {g(end)} degrees"
    marks = {"thick": sampling.per_term_thick, "polar": sampling.per_term_polar, "omega": sampling.per_term_omega}
    extra = "".join(f" +{name}" for name, on in marks.items() if on)
    yield f"  {sampling.oversample}x{sampling.oversample} pixel oversample steps{extra}"
    if config.sampling.mask_file is not None:
        yield f"  skipping zero-flagged pixels in {config.sampling.mask_file}"


def _radians(mrad: Any) -> float | None:
    return None if mrad is None else radians_from_mrad(float(mrad))


def _float(value: Any, default: float) -> float:
    return default if value is None else float(value)


def _list(tensor: Any) -> list[float]:
    return [float(x) for x in tensor.detach().tolist()]


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _gs(values: Any) -> str:
    return " ".join(map(g, values))
