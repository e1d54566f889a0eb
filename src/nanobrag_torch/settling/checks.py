"""Refusing values that cannot be meant, before any file is read and without torch (specs: deviations, D).

Every refusal is an `InputError` whose `field` is the configuration field (`distance_mm`); the command line puts the
flag in its place. Values may be numbers or 0-d tensors.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from nanobrag_torch.config import BeamConfig, Config, CrystalConfig, DetectorConfig
from nanobrag_torch.config.crystal import SHAPES
from nanobrag_torch.detector.of_scene import check_response
from nanobrag_torch.errors import InputError, UsageError
from nanobrag_torch.geometry.conventions import CONVENTIONS
from nanobrag_torch.io.amplitude_files import brings_cell
from nanobrag_torch.memory import available_memory, processors
from nanobrag_torch.settling.check_matter import check_background, check_crystal_form, check_path
from nanobrag_torch.settling.check_placement import check_panels, check_placement
from nanobrag_torch.settling.ranges import check_ranges
from nanobrag_torch.settling.steps import dispersion_steps, divergence_steps, phi_steps
from nanobrag_torch.units import metres_from_mm

LARGEST_COUNT = 2**31 - 1
LARGEST_SEED = 2147483646
LARGEST_THREADS = 256
MOST_SOURCES = 200_000
"""Sources that can be made; of each a direction is worked out one by one."""
DTYPES = ("float64", "float32")
PHYSICS = ("nanobragg", "exact")
DEFAULT_PIXEL_MM, DEFAULT_DETSIZE_MM = 0.1, 102.4
DEFAULT_DUMP = "Fdump.bin"
BYTES_PER_PIXEL = 16
"""What a run holds per pixel at least: the image in double and single precision, and an integer image."""
BYTES_PER_ORIENTATION, BYTES_PER_SOURCE = 300, 200
SMALLEST_SKEW = 1e-12
"""Smallest W of `specs/crystal.md` 2 that rounding cannot have made."""


def check(config: Config) -> None:
    """Refuse a configuration that cannot be rendered (specs: deviations, D; intensity 1).

    Raises:
        UsageError: no crystal, or no structure factors.
        InputError: any other impossible value.
    """
    parts = (config.crystal, config.beam, config.detector, config.sampling, config.output)
    for part in (*parts, config.background, config.path, config.response):
        _check_types(part)
    check_ranges(config)
    _check_crystal(config.crystal)
    _check_beam(config.beam)
    _check_detector(config)
    _check_sampling(config)
    _check_output(config)
    check_crystal_form(config.crystal)
    check_background(config.background)
    check_path(config.path)
    check_response(config.response, config.output)


def detector_pixels(said: DetectorConfig) -> tuple[int, int]:
    """Pixels (fast, slow) of a one-panel detector as said: counts, else lengths over pixel size (specs: geometry 1)."""
    # In metres, as `settle` counts: at half a pixel the last bit decides.
    pixel = metres_from_mm(_number(said.pixel_mm, DEFAULT_PIXEL_MM))
    sizes = []
    for count, length in ((said.pixels_f, said.detsize_f_mm), (said.pixels_s, said.detsize_s_mm)):
        metres = pixel * count if count else metres_from_mm(_number(length, DEFAULT_DETSIZE_MM))
        sizes.append(math.ceil(metres / pixel - 0.5))
    return sizes[0], sizes[1]


def _number(value: Any, default: float) -> float:
    """A plain float of a number or 0-d tensor, or the default."""
    if value is None:
        return default
    return float(value.detach() if hasattr(value, "detach") else value)


def _check_types(part: Any) -> None:
    """Numbers are finite numbers, counts whole, vectors of length three (specs: deviations, D19)."""
    for field in fields(part):
        value, kind = getattr(part, field.name), str(field.type)
        if value is None:
            continue
        if kind.startswith(("Real", "float")):
            _check_real(field.name, value, infinite=field.name == "attenuation_depth_um")
        elif kind.startswith("Vector"):
            _check_length(field.name, value, 3)
            for component in value:
                _check_real(field.name, component)
        elif kind.startswith("tuple[float"):
            _check_length(field.name, value, kind.count("float"))
            for component in value:
                _check_real(field.name, component)
        elif kind.startswith("int"):
            _check_whole(field.name, value)
        elif kind.startswith("tuple[int"):
            _check_length(field.name, value, kind.count("int"))
            for component in value:
                _check_whole(field.name, component)
        elif kind.startswith("str") and not isinstance(value, str):
            raise InputError(field.name, f"{value!r} is not a text", "give a string")


def _check_real(name: str, value: Any, infinite: bool = False) -> None:
    try:
        number = math.nan if isinstance(value, str) else _number(value, 0.0)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(name, f"{value!r} is not a number", "give one real number") from None
    if not math.isfinite(number) and not (infinite and number == math.inf):
        raise InputError(name, f"{value!r} is not a finite number", "give a finite one")


def _check_whole(name: str, value: Any) -> None:
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(name, f"{value!r} is not a whole number", "give one") from None
    if abs(number) > LARGEST_COUNT:
        raise InputError(name, f"{number} is too large", f"give at most {LARGEST_COUNT}")


def _check_length(name: str, value: Any, length: int) -> None:
    try:
        found = len(value)
    except TypeError:
        found = -1
    if found != length:
        raise InputError(name, f"{value!r} is not {length} values", f"give {length}")


def _check_word(name: str, value: str | None, allowed: Iterable[str]) -> None:
    if value is not None and value not in allowed:
        raise InputError(name, f"{value!r} is not known", f"use one of {', '.join(allowed)}")


def _check_seed(name: str, seed: int | None) -> None:
    if seed is not None and abs(seed) > LARGEST_SEED:
        raise InputError(name, f"a seed of {seed} is out of range", f"stay within -{LARGEST_SEED} and {LARGEST_SEED}")


def _check_positive(part: Any, *names: str) -> None:
    for name in names:
        value = getattr(part, name)
        if value is not None and _number(value, 1.0) <= 0:
            raise InputError(name, f"{_number(value, 0.0):g} is not positive", "give a value above 0")


def _check_not_negative(part: Any, *names: str) -> None:
    for name in names:
        if _number(getattr(part, name), 0.0) < 0:
            raise InputError(name, f"{_number(getattr(part, name), 0.0):g} is negative", "give 0 or more")


def _check_crystal(said: CrystalConfig) -> None:
    _check_word("shape", said.shape, tuple(SHAPES))
    for name in ("misset_seed", "mosaic_seed"):
        _check_seed(name, getattr(said, name))
    _check_not_negative(said, "cell_a", "sample_x_mm", "sample_y_mm", "sample_z_mm", "water_um", "fudge")
    for name in ("Na", "Nb", "Nc"):
        if _number(getattr(said, name), 0.0) > LARGEST_COUNT:
            raise InputError(
                name, f"{_number(getattr(said, name), 0.0):g} is too large", f"give at most {LARGEST_COUNT}"
            )
    has_matrix = said.matrix_file is not None or said.orientation_matrix is not None
    has_cell = _number(said.cell_a, 0.0) > 0
    _check_sources(said)
    if not (has_cell or has_matrix or _file_has_cell(said)):
        raise UsageError("cell_a", "the crystal is missing", "give a unit cell or an orientation matrix")
    if has_cell:
        _check_angles(said)
    if said.orientation_matrix is not None:
        _check_matrix(said.orientation_matrix)
    if not _has_amplitudes(said):
        if said.use_dump and said.dump_file is not None:
            problem = f"{said.dump_file} is not there, and nothing else gives structure factors"
            raise InputError("dump_file", problem, "name a dump that exists, or give -hkl or -default_F")
        raise UsageError("hkl_file", "the structure factors are missing", "give a table, or a default amplitude")


def _check_sources(said: CrystalConfig) -> None:
    """One source of structure factors, and what belongs to it (specs: structure_factors 7)."""
    _check_positive(said, "model_dmin_A")
    if said.structure_factors is not None:
        return
    if said.model_file is not None and said.hkl_file is not None:
        problem = f"the structure factors come from {said.hkl_file} already"
        raise InputError("model_file", problem, "leave one of the two files out")
    if said.model_file is None and said.model_dmin_A is not None:
        raise InputError("model_dmin_A", "there is no model of this resolution", "give one, or leave it out")
    if said.model_file is None and said.model_energies:
        raise InputError("model_energies", "there is no model", "give -model too")
    if said.hkl_file is None and said.mtz_column is not None:
        raise InputError("mtz_column", "there is no file to take a column from", "give an MTZ or reflection mmCIF file")


def _file_has_cell(said: CrystalConfig) -> bool:
    """Whether the cell can be taken from the source of the structure factors."""
    if said.structure_factors is not None:
        return False
    return said.model_file is not None or (said.hkl_file is not None and brings_cell(said.hkl_file))


def _has_amplitudes(said: CrystalConfig) -> bool:
    """Whether there is a table, a dump to read, or a default amplitude (specs: structure_factors 1)."""
    if _number(said.default_F, 0.0) != 0 or said.structure_factors is not None:
        return True
    if said.hkl_file is not None or said.model_file is not None:
        return True
    if said.use_dump:
        return os.path.exists(said.dump_file or DEFAULT_DUMP)
    return said.dump_file is not None


def _check_angles(said: CrystalConfig) -> None:
    """Refuse angles that no cell can have: W <= 0 (specs: crystal 2; deviations, D18)."""
    angles = [_number(x, 0.0) for x in (said.cell_alpha, said.cell_beta, said.cell_gamma)]
    angles = [90.0 if x <= 0 else x for x in angles]
    half = sum(angles) / 2.0
    skew = math.prod(math.sin(math.radians(x)) for x in (half, *(half - x for x in angles)))
    if skew <= SMALLEST_SKEW or max(angles) >= 180.0:
        text = f"no cell has the angles {angles[0]:g} {angles[1]:g} {angles[2]:g}"
        advice = "each must be below the sum of the other two, and all three together below 360 degrees"
        raise InputError("cell_a", text, advice)


def _check_matrix(matrix: Any) -> None:
    rows = [[_number(x, 0.0) for x in row] for row in matrix]
    if len(rows) != 3 or any(len(row) != 3 for row in rows):
        raise InputError("orientation_matrix", "is not 3 x 3", "give rows x, y, z and columns a*, b*, c*")
    a, b, c = rows
    determinant = sum(a[i] * (b[(i + 1) % 3] * c[(i + 2) % 3] - b[(i + 2) % 3] * c[(i + 1) % 3]) for i in range(3))
    if not math.isfinite(determinant) or determinant == 0:
        raise InputError("orientation_matrix", "is singular or not finite", "give three independent vectors")


def _check_beam(said: BeamConfig) -> None:
    _check_positive(said, "wavelength_A", "spectrum_merge")
    _check_not_negative(said, "fluence", "flux")
    if _number(said.flux, 0.0) != 0 and _number(said.beamsize_mm, 0.1) == 0:
        raise InputError("beamsize_mm", "a flux through a beam of size 0 has no fluence", "give a size above 0")
    horizontal = divergence_steps(said.hdiv_steps, _float(said.hdiv_range_mrad), _float(said.hdiv_step_mrad))
    vertical = divergence_steps(said.vdiv_steps, _float(said.vdiv_range_mrad), _float(said.vdiv_step_mrad))
    spectrum = dispersion_steps(said.dispersion_steps, _float(said.dispersion_percent))
    if said.spectrum_file is not None:
        both = {"source_file": said.source_file, "dispersion_percent": said.dispersion_percent}
        both["dispersion_steps"] = said.dispersion_steps
        for name in [name for name, value in both.items() if value is not None]:
            problem = "the wavelengths are those of the spectrum file already"
            raise InputError(name, problem, "leave one of the two out")
    if said.source_file is None:
        sources = horizontal.count * vertical.count * spectrum.count
        names = ("hdiv_steps", "vdiv_steps", "dispersion_steps")
        counts = (horizontal.count, vertical.count, spectrum.count)
        _check_memory(names[counts.index(max(counts))], f"{sources} sources", sources * BYTES_PER_SOURCE)
        if sources > MOST_SOURCES:
            problem = f"{horizontal.count} x {vertical.count} x {spectrum.count} sources are too many"
            raise InputError(
                names[counts.index(max(counts))], problem, f"give at most {MOST_SOURCES}, or a source file"
            )


def _float(value: Any) -> float | None:
    return None if value is None else _number(value, 0.0)


def _check_detector(config: Config) -> None:
    said = config.detector
    _check_word("convention", said.convention, CONVENTIONS)
    _check_word("pivot", said.pivot, ("BEAM", "SAMPLE"))
    if said.panels is not None:
        check_panels(said.panels)
        pixels = sum(panel.pixels_f * panel.pixels_s for panel in said.panels)
        _check_pixels("panels", f"{len(said.panels)} panels", pixels)
        return
    _check_positive(said, "pixel_mm", "distance_mm", "close_distance_mm", "detsize_f_mm", "detsize_s_mm")
    _check_not_negative(said, "pixels_f", "pixels_s")
    n_f, n_s = detector_pixels(said)
    for name, count, length in (("f", n_f, said.detsize_f_mm), ("s", n_s, said.detsize_s_mm)):
        if count <= 0:
            field = f"detsize_{name}_mm" if length is not None else "pixel_mm"
            raise InputError(field, "the detector is smaller than half a pixel", "give smaller pixels")
    longer = "pixels_f" if n_f >= n_s else "pixels_s"
    _check_pixels(longer if getattr(said, longer) else "pixel_mm", f"{n_f} x {n_s}", n_f * n_s)
    check_placement(config)


def _check_pixels(field: str, text: str, pixels: int) -> None:
    if pixels > LARGEST_COUNT:
        raise InputError(field, f"{text} is more than {LARGEST_COUNT} pixels", "give fewer or larger pixels")
    _check_memory(field, f"an image of {text} pixels", pixels * BYTES_PER_PIXEL)


def _check_memory(field: str, what: str, needed: int) -> None:
    available = available_memory()
    if needed > available:
        problem = f"{what} needs {needed / 1e9:.3g} GB of memory, {available / 1e9:.3g} GB are available"
        raise InputError(field, problem, "ask for less")


def _check_sampling(config: Config) -> None:
    said = config.sampling
    steps = phi_steps(said.phi_steps, _float(said.osc_deg), _float(said.phi_step_deg), 1.0).count
    domains = max(config.crystal.mosaic_domains or 1, 1)
    field = "phi_steps" if steps >= domains else "mosaic_domains"
    _check_memory(field, f"{steps * domains} orientations", steps * domains * BYTES_PER_ORIENTATION)
    if said.roi is None or config.detector.panels is not None:
        return
    n_f, n_s = detector_pixels(config.detector)
    xmin, xmax, ymin, ymax = said.roi
    for axis, low, high, count in (("fast", xmin, xmax, n_f), ("slow", ymin, ymax, n_s)):
        last = min(count - 1, high if high >= 0 else count)
        if max(low, 0) > last:
            problem = f"{low} to {high} leaves no pixel of the {count} along the {axis} axis"
            raise InputError("roi", problem, "give xmin xmax ymin ymax, counted from 0, both ends included")


def _check_output(config: Config) -> None:
    said = config.output
    _check_seed("noise_seed", said.noise_seed)
    _check_word("dtype", said.dtype, DTYPES)
    _check_word("physics", said.physics, PHYSICS)
    _check_positive(said, "threads", "memory_MB")
    if not 0.0 <= said.tolerance_photons < math.inf:
        raise InputError("tolerance_photons", f"{said.tolerance_photons} photons", "give 0 or a positive number")
    most = max(LARGEST_THREADS, 4 * processors())
    if said.threads is not None and said.threads > most:
        raise InputError("threads", f"{said.threads} are too many", f"give at most {most}; {processors()} can run here")
    if said.printout_pixel is not None and config.detector.panels is None:
        n_f, n_s = detector_pixels(config.detector)
        fast, slow = said.printout_pixel
        if not (0 <= fast < n_f and 0 <= slow < n_s):
            problem = f"{fast} {slow} lies outside the detector of {n_f} x {n_s} pixels"
            raise InputError("printout_pixel", problem, "give the fast and the slow index, counted from 0")


__all__ = ["available_memory", "check", "detector_pixels"]
