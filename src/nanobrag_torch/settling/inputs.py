"""Every file that a configuration names, read once; free of torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.config import Config, CrystalConfig
from nanobrag_torch.errors import InputError
from nanobrag_torch.io.amplitude_files import CIF, MTZ, TEXT, amplitude_format
from nanobrag_torch.io.apart import read_mtz_apart
from nanobrag_torch.io.fdump import read_dump, write_dump
from nanobrag_torch.io.hkl import ReflectionGrid, read_hkl
from nanobrag_torch.io.measured import read_measured
from nanobrag_torch.io.mesh import read_obj
from nanobrag_torch.io.model import Model, open_model
from nanobrag_torch.io.mosflm_matrix import read_matrix
from nanobrag_torch.io.orientations import read_orientations
from nanobrag_torch.io.reflection_cif import read_reflection_cif
from nanobrag_torch.io.reflections import Cell, Reflections
from nanobrag_torch.io.smv import HeaderFacts, Mask, read_mask, read_smv_header
from nanobrag_torch.io.sourcefile import read_sources
from nanobrag_torch.io.spectrum import Spectrum, read_spectrum
from nanobrag_torch.io.stol import read_curve, read_stol

DEFAULT_DUMP = "Fdump.bin"
BODIES = ("box", "ellipsoid")
"""Forms of a sample that need no file."""


@dataclass(frozen=True)
class Inputs:
    """What the files hold; `None` = no such file is named.

    Args:
        matrix: [3, 3] of the matrix file: rows x, y, z, columns a*, b*, c*, times wavelength.
        grid: amplitudes of the reflection file or the dump.
        grid_file: the name of the file they come from.
        grid_from_dump: whether that is a dump.
        reflections: the grid with cell and space group, when the file is an MTZ or reflection mmCIF file.
        model: the atoms of the model file.
        sources: [Q, 5] x, y, z (m), weight, wavelength (m); NaN = missing.
        spectrum: wavelengths and shares of the photons.
        mask: bool [slow, fast] of the mask file, False = pixel to skip.
        orientations: [M, 3, 4, 9 or 10] of the orientation list.
        materials: [K, 2] of each amorphous material, sin θ/λ (1/Å) and amplitude.
        curve: [K, 2] of the radial curve, and what its first column holds.
        measured: the measured background, [slow, fast] or [slow · fast].
        surface: [T, 3, 3] triangles of the sample's mesh (mm).
        image_header: the header of the file behind `-img`.
        mask_header: the header of the mask file.
    """

    matrix: NDArray[np.float64] | None = None
    grid: ReflectionGrid | None = None
    grid_file: str | None = None
    grid_from_dump: bool = False
    reflections: Reflections | None = None
    model: Model | None = None
    sources: NDArray[np.float64] | None = None
    spectrum: Spectrum | None = None
    mask: NDArray[np.bool_] | None = None
    orientations: NDArray[np.float64] | None = None
    materials: tuple[NDArray[np.float64], ...] | None = None
    curve: tuple[NDArray[np.float64], str] | None = None
    measured: NDArray[np.float64] | None = None
    surface: NDArray[np.float64] | None = None
    image_header: HeaderFacts | None = None
    mask_header: HeaderFacts | None = None

    @property
    def cell(self) -> Cell | None:
        """The unit cell (Å, degrees) of the file of structure factors or of the model, if it states one."""
        source = self.model or self.reflections
        return None if source is None else source.cell


def read_inputs(config: Config) -> Inputs:
    """Read every file that `config` names.

    A reflection file or a model counts before a dump; a dump is read if the configuration asks for it and it exists
    (specs: structure_factors 1). A table made in Python takes the place of all.

    Raises:
        FileFormatError: names the file and line: missing, malformed, or numbers that are not finite.
        InputError: the mask does not fit the detector.
    """
    crystal, sampling, background = config.crystal, config.sampling, config.background
    form = config.path.sample_form
    grid_file, from_dump = _grid_file(crystal)
    found = None if grid_file is None else _amplitudes(crystal, grid_file, from_dump)
    reflections = found if isinstance(found, Reflections) else None
    grid = found.grid if isinstance(found, Reflections) else found
    models = crystal.model_file is not None and crystal.structure_factors is None
    mask = None if sampling.mask_file is None else read_mask(sampling.mask_file)
    if mask is not None:
        _check_mask_size(config, mask)
    return Inputs(
        matrix=None if crystal.matrix_file is None else read_matrix(crystal.matrix_file),
        grid=grid,
        grid_file=grid_file,
        grid_from_dump=from_dump,
        reflections=reflections,
        model=open_model(crystal.model_file) if models and crystal.model_file is not None else None,
        sources=None if config.beam.source_file is None else read_sources(config.beam.source_file),
        spectrum=None if config.beam.spectrum_file is None else read_spectrum(config.beam.spectrum_file),
        mask=None if mask is None else mask.keep,
        orientations=None if crystal.orientation_file is None else read_orientations(crystal.orientation_file),
        materials=None
        if background.materials is None
        else tuple(_material(slab.table) for slab in background.materials),
        curve=None if background.curve_file is None else read_curve(background.curve_file),
        measured=None if background.measured_file is None else read_measured(background.measured_file),
        surface=read_obj(form) if form is not None and form not in BODIES else None,
        image_header=None if config.output.header_file is None else read_smv_header(config.output.header_file),
        mask_header=None if mask is None else mask.header,
    )


def dump_file(crystal: CrystalConfig) -> str:
    """The name of the dump, `Fdump.bin` in the working directory unless another was said."""
    return crystal.dump_file or DEFAULT_DUMP


def has_amplitudes(crystal: CrystalConfig) -> bool:
    """Whether there is any source of amplitudes; without one the command line shows its usage (specs: deviations D)."""
    return (
        crystal.structure_factors is not None
        or crystal.model_file is not None
        or _grid_file(crystal)[0] is not None
        or _number(crystal.default_F) != 0.0
    )


def write_dump_for(config: Config, inputs: Inputs) -> str | None:
    """Write the dump that a run with a reflection file leaves for the next one, if `config` uses dumps.

    Returns:
        The dump's name if it was written; `None` if none was due.

    Raises:
        InputError: it could not be written; the command line makes a warning of it (specs: structure_factors 2).
    """
    if not uses_dump(config.crystal, inputs) or inputs.grid is None or inputs.grid_from_dump:
        return None
    name = dump_file(config.crystal)
    write_dump(name, inputs.grid, field="-dump")
    return name


def uses_dump(crystal: CrystalConfig, inputs: Inputs) -> bool:
    """Whether dumps are read and written: not with a file that states the cell, which a dump cannot keep."""
    return crystal.use_dump and inputs.cell is None


def _amplitudes(crystal: CrystalConfig, name: str, from_dump: bool) -> ReflectionGrid | Reflections:
    """What a file of structure factors holds, by its format."""
    default_F = _number(crystal.default_F)
    if from_dump:
        return read_dump(name, default_F)
    kind = amplitude_format(name)
    if kind == TEXT and crystal.mtz_column is not None:
        raise InputError("mtz_column", f"{name} is a text table of h k l F, without columns to choose", "leave it out")
    readers = {MTZ: read_mtz_apart, CIF: read_reflection_cif}
    return read_hkl(name, default_F) if kind == TEXT else readers[kind](name, crystal.mtz_column, default_F)


def _material(table: object) -> NDArray[np.float64]:
    """The table of a material, read or taken as it is."""
    return read_stol(table) if isinstance(table, str) else np.asarray(table, dtype=np.float64)


def _grid_file(crystal: CrystalConfig) -> tuple[str | None, bool]:
    """The file with the amplitudes and whether it is a dump.

    A dump that exists is read on the command line (`use_dump`); in Python only one that was named.
    """
    if crystal.structure_factors is not None or crystal.model_file is not None:
        return None, False
    if crystal.hkl_file is not None:
        return crystal.hkl_file, False
    if crystal.use_dump:
        name = dump_file(crystal)
        return (name, True) if os.path.exists(name) else (None, False)
    return crystal.dump_file, crystal.dump_file is not None


def _check_mask_size(config: Config, mask: Mask) -> None:
    """Refuse a mask whose size differs from the pixel counts given (specs: deviations D14)."""
    slow, fast = mask.keep.shape
    detector = config.detector
    wanted = detector.pixels_f or fast, detector.pixels_s or slow
    if wanted != (fast, slow):
        raise InputError(
            "-mask",
            f"{config.sampling.mask_file} has {fast} x {slow} pixels, the detector {wanted[0]} x {wanted[1]}",
            "use a mask of the detector's size",
        )


def _number(value: object) -> float:
    """A configuration value as a plain number; a tensor is taken by value."""
    plain: Any = value.detach() if hasattr(value, "detach") else value
    number = 0.0 if plain is None else float(plain)
    if number != number or abs(number) == float("inf"):
        raise InputError("default_F", f"{number:g} is not a finite number")
    return number
