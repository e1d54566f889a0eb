"""`settle`: a configuration becomes an experiment."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nanobrag_torch.config import Config
from nanobrag_torch.errors import InputError, LegacyDefectWarning, NanobragWarning
from nanobrag_torch.geometry.vectors import vector
from nanobrag_torch.legacy_random import LegacyRandom
from nanobrag_torch.models import Beam, Detector, Experiment
from nanobrag_torch.models.experiment import Note
from nanobrag_torch.numerics import norm, normalise
from nanobrag_torch.pipeline.render import panel_frame_of, size_matrix
from nanobrag_torch.settling.beam import settle_beam, settled_wavelength
from nanobrag_torch.settling.check_settled import arithmetic_refused, check_lattice, check_settled
from nanobrag_torch.settling.checks import check
from nanobrag_torch.settling.colour import Channels, merged_channels, merged_colours
from nanobrag_torch.settling.crystal import SettledCrystal, settle_crystal
from nanobrag_torch.settling.crystal_files import Seen, cell_notes, finest_resolution, from_files
from nanobrag_torch.settling.defects import defect_notes
from nanobrag_torch.settling.detector import DEFAULT_CONVENTION, settle_detector, settled_convention
from nanobrag_torch.settling.exact import true_beam_position, without_antipode
from nanobrag_torch.settling.inputs import read_inputs
from nanobrag_torch.settling.matter import settle_background, settle_path
from nanobrag_torch.settling.sampling import (
    oversample_notes,
    reciprocal_pixel_size,
    recommended_oversample,
    settle_sampling,
    settle_scan,
)
from nanobrag_torch.settling.values import number
from nanobrag_torch.units import metres_from_angstrom

if TYPE_CHECKING:
    from nanobrag_torch.settling.inputs import Inputs

PHYSICS = ("nanobragg", "exact")


def settle(config: Config, physics: str = "exact", inputs: Inputs | None = None) -> Experiment:
    """Supply every default, auto-selection and unit: a complete scene, ready to render.

    Args:
        config: what was said; tensors in it stay in their graphs.
        physics: `exact`, or `nanobragg` for the C program's physics with its defects (specs: deviations, section F).
        inputs: the files that `config` names, when they were read before.

    Raises:
        InputError: a value that cannot be used.
        FileFormatError: a file that cannot be read.

    Warns:
        NanobragWarning: a choice that the user may not expect; `LegacyDefectWarning` for a defect of the C program
        that takes part in this scene.
    """
    if physics not in PHYSICS:
        raise InputError("physics", f"{physics!r} is not known", f"use one of {', '.join(PHYSICS)}")
    check(config)
    inputs = read_inputs(config) if inputs is None else inputs
    with arithmetic_refused():
        experiment = _settled(config, inputs, physics)
        check_settled(experiment)
    for note in experiment.notes:
        if note.warns:
            kind = (
                LegacyDefectWarning(note.identifier, note.text)
                if note.stage == "defect"
                else NanobragWarning(note.text)
            )
            warnings.warn(kind, stacklevel=2)
    return experiment


def _settled(config: Config, inputs: Inputs, physics: str) -> Experiment:
    exact = physics == "exact"
    generator = LegacyRandom()
    convention = settled_convention(config.detector, config.beam, config.sampling)
    wavelength = settled_wavelength(config.beam, inputs)
    direction = normalise(vector(convention.beam))
    detector = settle_detector(config.detector, convention, direction, exact)
    beam = settle_beam(config.beam, inputs, convention, exact)
    seen = Seen(number(config.sampling.dmin_A, 0.0), exact)
    from_file = from_files(config.crystal, inputs, detector.detector, beam.beam, seen)
    crystal_said = from_file.crystal
    if exact and crystal_said.misset_random and crystal_said.misset_seed is None:
        crystal_said = replace(crystal_said, misset_seed=config.output.noise_seed)
    crystal = settle_crystal(crystal_said, config.beam, inputs, wavelength, generator, exact)
    check_lattice(crystal.lattice, _cell_field(config))
    drawn, said_beam = crystal.crystal.replace(colours=from_file.colours), beam.beam
    merge_notes: list[Note] = []
    if config.beam.spectrum_merge is not None:
        finest = max(seen.dmin, finest_resolution(detector.detector, said_beam, exact))
        channels = _merged(config, crystal, said_beam, finest, exact)
        if drawn.colours is not None:
            drawn = drawn.replace(colours=merged_colours(drawn.colours, said_beam, channels))
        text = f"{said_beam.sources} sources are merged into {channels.beam.sources}: spots change by at most "
        more = ", besides what interpolated amplitudes add" if drawn.interpolate else ""
        merge_notes.append(Note("spectrum", f"{text}{channels.bound:.2g} of their peak{more}"))
        said_beam = channels.beam
        beam.facts["source_weights"] = said_beam.weights.detach() / said_beam.weights.detach().sum()
    scan = settle_scan(config.sampling, convention)
    extents = (norm(metres_from_angstrom(crystal.lattice.direct)) * crystal.crystal.N).detach()
    advice = [
        _advice(detector.detector, i, direction, wavelength, extents, exact)
        for i in range(len(detector.detector.panels))
    ]
    recommended, reciprocal_pixel = max(advice)
    sampling = settle_sampling(config.sampling, inputs, detector.detector, recommended, exact)
    largest = float(crystal.facts["extents"].max())
    notes = [
        *detector.notes,
        *beam.notes,
        *crystal.notes,
        *from_file.notes,
        *merge_notes,
        *cell_notes(from_file.other_cell, crystal.lattice),
        *oversample_notes(config.sampling, sampling.oversample, recommended, largest, reciprocal_pixel),
    ]
    facts: dict[str, Any] = {**detector.facts, **beam.facts, **crystal.facts}
    facts |= {"recommended": recommended, "generator": generator, "config": config}
    if exact:
        sampling = sampling.replace(masks=without_antipode(sampling.masks, detector.detector, direction))
    if exact or config.detector.panels is not None:
        name = config.detector.convention or DEFAULT_CONVENTION
        facts |= true_beam_position(detector.detector.panels[0], direction, name)
    surrounded = any(value is not None for value in vars(config.background).values())
    finest = finest_resolution(detector.detector, beam.beam, exact) if surrounded else math.inf
    experiment = Experiment(
        crystal=drawn,
        scan=scan,
        beam=said_beam,
        detector=detector.detector,
        sampling=sampling,
        physics=physics,
        facts=facts,
        background=settle_background(config.background, config.beam, inputs, detector.detector, beam.beam, finest),
        path=settle_path(config.path, inputs, beam.beam),
    )
    return replace(experiment, notes=(*notes, *defect_notes(experiment, config)))


def _cell_field(config: Config) -> str:
    """The configuration field that the unit cell comes from."""
    said = config.crystal
    if said.orientation_matrix is not None:
        return "orientation_matrix"
    return "matrix_file" if said.matrix_file is not None else "cell_a"


def _merged(config: Config, crystal: SettledCrystal, beam: Beam, finest: float, exact: bool) -> Channels:
    """The beam with neighbouring wavelengths merged."""
    settled = crystal.crystal
    blocks = settled.blocks
    grown = 1.0 if blocks is None else float(torch.exp(blocks.spread.detach() * blocks.nodes.max()))
    counts = settled.N.detach()
    if settled.coupling is not None:
        counts = torch.linalg.eigvalsh(size_matrix(counts, settled.coupling.detach())).max().expand(3)
    extents = crystal.lattice.direct * (grown * counts)[:, None]
    if settled.shape == "gauss" and settled.coupling is None and not exact:  # specs: deviations F, D27
        extents = torch.eye(3, dtype=torch.float64) * (grown * counts).prod()
    bound = number(config.beam.spectrum_merge, 0.0)
    return merged_channels(beam, settled.shape, number(settled.fudge, 1.0), extents, finest, bound)


def _advice(
    detector: Detector, index: int, direction: Tensor, wavelength: Tensor, extents: Tensor, exact: bool
) -> tuple[int, float]:
    """Recommended oversampling of a panel for crystal extents [3] (m), and λ d/p in Å."""
    panel = detector.panels[index]
    distance = panel_frame_of(panel, direction, exact).distance.detach()
    args = (wavelength.detach(), distance, panel.pixel_size.detach())
    return recommended_oversample(extents, *args), reciprocal_pixel_size(*args)
