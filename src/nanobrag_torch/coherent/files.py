"""Files of ptychography: scans as CXI that are NXcxi_ptycho as well, and results as ptychodus products.

A scan's translation is that of the sample, −(fast, slow, 0) times the pixel of the object. A product's positions are
those of the probe's middle, x along fast and y along slow, in the frame whose origin the object's centre is given in.
"""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nanobrag_torch.coherent.frames import FileFrames
from nanobrag_torch.coherent.pie import State
from nanobrag_torch.coherent.ptychography import check_positions
from nanobrag_torch.errors import FileFormatError, ImageError, InputError
from nanobrag_torch.io.files import whole_file
from nanobrag_torch.io.hdf5_files import open_hdf5, read_whole
from nanobrag_torch.units import ANGSTROM_PER_METRE, ENERGY_WAVELENGTH_EV_A, JOULES_PER_ELECTRONVOLT

DATA = "entry_1/instrument_1/detector_1/data"


@dataclass(frozen=True)
class ScanInfo:
    """What belongs to frames: positions [F, 2] in m, `mask` bool [N, N] (measured), lengths in m."""

    positions: Tensor
    mask: Tensor
    wavelength: float
    distance: float
    detector_pixel: float

    @property
    def object_pixel(self) -> float:
        """λz/(N·p), m."""
        return self.wavelength * self.distance / (len(self.mask) * self.detector_pixel)


def write_scan(path: str, frames: Tensor, info: ScanInfo) -> None:
    """Write frames [F, N, N] and what belongs to them.

    Raises:
        ImageError: all frames are zero. InputError: a measured pixel, a position or a length is not finite, shapes do
            not fit, or the file cannot be written.
    """
    content = scan_content(path, frames, info)
    with whole_file(path, "-o") as handle:
        handle.write(content)


def scan_content(path: str, frames: Tensor, info: ScanInfo) -> memoryview:
    """What `write_scan` writes; `path` is for messages."""
    import h5py

    _check_scan_data(frames, info)
    if not bool((frames[:, info.mask] != 0).any()):
        raise ImageError(f"{path}: all frames are zero: nothing is written")
    whole = bool((frames == frames.round()).all()) and 0 <= float(frames.min()) <= float(frames.max()) < 2**32
    counts = frames.numpy().astype(np.uint32 if whole else np.float32)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        _fill_scan(file, counts, info)
    return buffer.getbuffer()


def _check_scan_data(frames: Tensor, info: ScanInfo) -> None:
    """Refuse frames and what belongs to them when no reader could use them."""
    if frames.dim() != 3 or frames.shape[1] != frames.shape[2] or not len(frames):
        raise InputError("frames", f"their shape is {list(frames.shape)}", "give [frames, size, size], not empty")
    if info.mask.shape != frames.shape[1:]:
        raise InputError("mask", f"its shape is {list(info.mask.shape)}", f"give {list(frames.shape[1:])}")
    if not bool(info.mask.any()):
        raise InputError("mask", "every pixel is masked", "leave some pixels")
    if not bool(torch.isfinite(frames[:, info.mask]).all()):
        raise InputError("frames", "measured pixels have values that are not finite", "mask those pixels")
    if info.positions.shape != (len(frames), 2) or not bool(torch.isfinite(info.positions).all()):
        told = f"{list(info.positions.shape)} beside {len(frames)} frames, or numbers that are not finite"
        raise InputError("positions", told, "give two finite numbers for each frame")
    for name in ("wavelength", "distance", "detector_pixel"):
        if not 0.0 < getattr(info, name) < math.inf:
            raise InputError(name, f"{getattr(info, name)} m", "give a positive number")


def _fill_scan(file: Any, counts: NDArray[Any], info: ScanInfo) -> None:
    joules = ENERGY_WAVELENGTH_EV_A / (info.wavelength * ANGSTROM_PER_METRE) * JOULES_PER_ELECTRONVOLT
    file["cxi_version"] = 160
    entry = _group(file, "entry_1", "NXentry")
    entry["title"], entry["definition"] = "ptychography", "NXcxi_ptycho"
    instrument = _group(entry, "instrument_1", "NXinstrument")
    source, beam = _group(instrument, "source_1", "NXsource"), _group(instrument, "beam_1", "NXbeam")
    for where, name in ((source, "energy"), (beam, "energy"), (beam, "incident_beam_energy")):
        _value(where, name, joules, "J")
    detector = _group(instrument, "detector_1", "NXdetector")
    chunks = (1, *counts.shape[1:])
    data = detector.create_dataset("data", data=counts, chunks=chunks, compression="gzip", compression_opts=1)
    data.attrs["units"] = "photons"
    _value(detector, "distance", info.distance, "m")
    for axis in "xy":
        _value(detector, f"{axis}_pixel_size", info.detector_pixel, "m")
        _value(detector, f"beam_center_{axis}", counts.shape[1] // 2 + 0.5, "pixel")
    detector["mask"] = np.where(info.mask.numpy(), 0, 1).astype(np.uint32)
    sample = _group(entry, "sample_1", "NXsample")
    sample["name"] = "object"
    geometry = _group(sample, "geometry_1", "NXcollection")
    places = info.positions.detach().numpy()
    moved = np.stack([-places[:, 1], -places[:, 0], np.zeros(len(places))], 1)
    _value(geometry, "translation", moved, "m")
    detector["translation"] = geometry["translation"]
    shown = _group(entry, "data_1", "NXdata")
    shown["data"], shown["translation"] = data, geometry["translation"]
    shown.attrs["signal"] = "data"


def read_scan(path: str) -> tuple[FileFrames, ScanInfo]:
    """Open a scan; its frames stay in the file. Close them.

    Raises:
        FileFormatError: not HDF5, or something is missing or does not fit.
    """
    frames = FileFrames(path, DATA)
    try:
        return frames, _info(path, frames)
    except BaseException:
        frames.close()
        raise


def _info(path: str, frames: FileFrames) -> ScanInfo:
    def read(*names: str) -> NDArray[Any]:
        return _numbers(path, frames.file, names, "a CXI file of ptychography")

    def number(*names: str) -> float:
        return _number(path, names[0], read(*names))

    detector = "entry_1/instrument_1/detector_1"
    moved = read("entry_1/sample_1/geometry_1/translation", f"{detector}/translation", "entry_1/data_1/translation")
    if moved.shape != (frames.count, 3) or not np.isfinite(moved).all():
        raise FileFormatError(path, "translation", f"{list(moved.shape)} is not [{frames.count}, 3] of finite numbers")
    joules = number("entry_1/instrument_1/source_1/energy", "entry_1/instrument_1/beam_1/energy")
    numbers = [number(f"{detector}/{name}") for name in ("distance", "x_pixel_size", "y_pixel_size")]
    if not all(np.isfinite(x) and x > 0 for x in (joules, *numbers)):
        raise FileFormatError(path, detector, "energy, distance and pixel sizes are not all positive numbers")
    if abs(numbers[1] - numbers[2]) > 1e-6 * numbers[1]:
        raise FileFormatError(path, f"{detector}/y_pixel_size", "pixels are not square")
    mask = np.ones((frames.size, frames.size), bool)
    if f"{detector}/mask" in frames.file:
        mask = read(f"{detector}/mask") == 0
        if mask.shape != (frames.size, frames.size):
            raise FileFormatError(path, f"{detector}/mask", f"its shape is {list(mask.shape)}")
        if not mask.any():
            raise FileFormatError(path, f"{detector}/mask", "every pixel is masked")
    wavelength = ENERGY_WAVELENGTH_EV_A / (joules / JOULES_PER_ELECTRONVOLT) / ANGSTROM_PER_METRE
    positions = torch.from_numpy(np.ascontiguousarray(-moved[:, [1, 0]]).astype(np.float64))
    return ScanInfo(positions, torch.from_numpy(mask), wavelength, numbers[0], numbers[1])


@dataclass(frozen=True)
class Product:
    """A result: its `state` with positions in pixels of the object, and the scan's lengths in m."""

    state: State
    object_pixel: float
    wavelength: float
    distance: float
    name: str = "object"


def write_product(path: str, product: Product) -> None:
    """Write a product of ptychodus (HDF5).

    Raises:
        ImageError: object or probe are zero or not finite. InputError: the file cannot be written.
    """
    content = product_content(path, product)
    with whole_file(path, "-o") as handle:
        handle.write(content)


def product_content(path: str, product: Product) -> memoryview:
    """What `write_product` writes; `path` is for messages."""
    import h5py

    state = product.state
    for name, field in (("object", state.target), ("probe", state.probe)):
        if not bool(torch.isfinite(torch.view_as_real(field)).all()) or not bool((field != 0).any()):
            raise ImageError(f"{path}: the {name} is zero or not finite: nothing is written")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        _fill_product(file, product)
    return buffer.getbuffer()


def _fill_product(file: Any, product: Product) -> None:
    state, pixel = product.state, product.object_pixel
    rows, columns = state.target.shape
    middle = state.positions + state.probe.shape[-1] / 2 - torch.tensor([rows / 2, columns / 2])
    numbers = {"detector_object_distance_m": product.distance, "exposure_time_s": 0.0}
    numbers |= {
        "probe_energy_eV": ENERGY_WAVELENGTH_EV_A / (product.wavelength * ANGSTROM_PER_METRE),
        "mass_attenuation_m2_kg": 0.0,
    }
    numbers |= {"probe_photon_count": float((state.probe.abs() ** 2).sum()), "tomography_angle_deg": 0.0}
    file.attrs.update({"name": product.name, "comments": "nanobrag_torch", **numbers})
    file["probe_position_indexes"] = np.arange(len(middle))
    file["probe_position_y_m"], file["probe_position_x_m"] = (middle * pixel).numpy().T
    size = {"pixel_width_m": pixel, "pixel_height_m": pixel}
    file["probe"] = state.probe.numpy().astype(np.complex64)
    file["object"] = state.target.numpy().astype(np.complex64)[None]
    file["probe"].attrs.update(size)
    file["object"].attrs.update({**size, "center_x_m": 0.0, "center_y_m": 0.0})
    file["object_layer_spacing_m"] = np.zeros(0)
    file["loss_epochs"], file["loss_values"] = np.zeros(0, int), np.zeros(0)


def read_product(path: str) -> Product:
    """Read a product of ptychodus of one layer.

    Raises:
        FileFormatError: not HDF5, something is missing, does not fit or is not finite, or a position lies outside the
            object.
    """
    kind = "a product of ptychodus"
    with open_hdf5(path) as file:
        probe, target, *places = (
            _numbers(path, file, (name,), kind)
            for name in ("probe", "object", "probe_position_y_m", "probe_position_x_m")
        )
        about = {**file["object"].attrs, **file.attrs}
    missing = [n for n in ("pixel_width_m", "probe_energy_eV", "detector_object_distance_m") if n not in about]
    if missing:
        raise FileFormatError(path, missing[0], f"there is no such attribute, as {kind} has")
    pixel, energy, distance = (
        _number(path, n, about[n]) for n in ("pixel_width_m", "probe_energy_eV", "detector_object_distance_m")
    )
    shift = [_number(path, name, about.get(name, 0.0)) for name in ("center_y_m", "center_x_m")]
    target = target[0] if target.ndim == 3 and len(target) == 1 else target
    probe = probe.reshape(-1, *probe.shape[-2:]) if probe.ndim >= 2 else probe
    if target.ndim != 2 or probe.ndim != 3 or not pixel > 0.0 or not energy > 0.0:
        raise FileFormatError(path, "object", f"{list(target.shape)} is not an object of one layer with a pixel size")
    corner = _corners(path, places, shift, pixel, (target, probe))
    fields = [torch.from_numpy(x.astype(np.complex128)) for x in (target, probe)]
    state = State(fields[0], fields[1], torch.from_numpy(corner))
    return Product(state, pixel, ENERGY_WAVELENGTH_EV_A / energy / ANGSTROM_PER_METRE, distance, os.path.basename(path))


def _corners(
    path: str,
    places: list[NDArray[Any]],
    shift: list[float],
    pixel: float,
    fields: tuple[NDArray[Any], NDArray[Any]],
) -> NDArray[np.float64]:
    """Corners [F, 2] of the probe in the object, in pixels; refuses those that cannot be."""
    target, probe = fields
    for name, field in (("object", target), ("probe", probe)):
        if not np.isfinite(field).all() or not field.any():
            raise FileFormatError(path, name, "it is zero everywhere, or has values that are not finite")
    if probe.shape[1] != probe.shape[2]:
        raise FileFormatError(path, "probe", f"{probe.shape[1]} x {probe.shape[2]} is not square")
    if places[0].ndim != 1 or places[0].shape != places[1].shape or not len(places[0]):
        told = f"{list(places[0].shape)} along y and {list(places[1].shape)} along x are not two lists of one length"
        raise FileFormatError(path, "probe_position_y_m", told)
    middle = (np.stack(places, 1) - shift) / pixel
    corner: NDArray[np.float64] = middle + np.array(target.shape) / 2 - probe.shape[-1] / 2
    try:
        check_positions(torch.from_numpy(corner), probe.shape[-1], (target.shape[0], target.shape[1]))
    except InputError as error:
        raise FileFormatError(path, "positions", error.problem) from error
    return corner


def _numbers(path: str, file: Any, names: tuple[str, ...], kind: str) -> NDArray[Any]:
    """The first of several data sets that is there, as an array of numbers."""
    import h5py

    for name in names:
        if name in file:
            found = file[name]
            if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "biufc":
                raise FileFormatError(path, name, "it is not a data set of numbers")
            return read_whole(path, found)
    raise FileFormatError(path, names[0], f"there is no such data set, as {kind} has")


def _number(path: str, name: str, found: Any) -> float:
    """One finite number, or an array that holds one."""
    values = np.asarray(found).reshape(-1)
    if len(values) != 1 or values.dtype.kind not in "biuf" or not np.isfinite(values[0]):
        raise FileFormatError(path, name, "it is not one finite number")
    return float(values[0])


def _group(parent: Any, name: str, kind: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def _value(parent: Any, name: str, value: Any, unit: str) -> None:
    parent[name] = value
    parent[name].attrs["units"] = unit
