"""NeXus files of the application definition NXmx: images with their full geometry, in HDF5.

The frame is that of NeXus (McStas): origin at the sample, beam along +z, y up. Our lab frame is turned into it by
`scene.mcstas_rotation`, which depends on the beam direction only; `/entry/simulation/lab_to_nexus` keeps it.

A panel is an NXdetector_module. Its `module_offset` leads from the end of the detector's chain to the outer corner of
pixel (0, 0); the chain is `det_z` (translation along the beam), which depends on `two_theta` (rotation), which
depends on nothing. Panels are stored below each other in one array; their place in it is `data_origin`, `data_size`.
The data are compressed with bitshuffle-LZ4, whose filter a reader needs; HDF5 1.10 can read the rest by itself.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.io.files import Opening, PathLike, whole_file
from nanobrag_torch.io.nexus_joined import Joined
from nanobrag_torch.io.nexus_reading import DETECTOR, GONIOMETER, NexusContent, bitshuffle, read_nexus
from nanobrag_torch.io.scene import GAP, THINNEST, Floats, Scene, ScenePanel, cell_constants, rotation

if TYPE_CHECKING:
    import h5py

__all__ = ["NOT_MEASURED", "NexusContent", "NexusImages", "layout", "read_nexus", "write_nexus"]

CHAIN = f"{DETECTOR}/transformations"
NOT_MEASURED = -1
"""Value of pixels that the mask flags, in integer data."""


@dataclass(frozen=True)
class NexusImages:
    """What goes into a file besides the scene.

    Args:
        frames: images, each a tuple of arrays [slow, fast], one per panel, int32 counts or float32 photons; or files
            that hold them.
        phi: spindle angle at the start of each frame, degrees; as many as there are frames.
        masks: per panel the mask bits [slow, fast]; `None` = all pixels are good.
        saturation: largest value that is not an overload; `None` = no limit.
        title: a line about the images.
        when: time stamp; now by default.
    """

    frames: Iterable[tuple[NDArray[Any], ...]] | Joined
    phi: Sequence[float]
    masks: tuple[NDArray[np.int32], ...] | None = None
    saturation: float | None = None
    title: str = "simulated diffraction"
    when: datetime | None = None


def write_nexus(
    path: PathLike, images: NexusImages, scene: Scene, *, opening: Opening = whole_file, field: str = ""
) -> None:
    """Write images of a scene; `field` names the flag in errors.

    Frames are taken and compressed one after the other, so that only compressed ones are kept in memory.

    Raises:
        InputError: the file cannot be written.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("earliest", "v110")) as file:
        file.attrs["default"] = "entry"
        entry = _group(file, "entry", "NXentry")
        entry.attrs["default"] = "data"
        stamp = (images.when or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry["definition"], entry["title"] = "NXmx", images.title
        entry["start_time"] = entry["end_time_estimated"] = stamp
        source = _group(entry, "source", "NXsource")
        source["name"] = "simulated"
        source["type"], source["probe"] = "Synchrotron X-ray Source", "x-ray"
        instrument = _group(entry, "instrument", "NXinstrument")
        instrument["name"] = "nanobrag_torch"
        _beam(instrument, scene, len(images.phi))
        _sample(entry, images.phi, scene)
        detector = _detector(instrument, images, scene)
        _data(entry, detector, images, scene.panels)
        _simulation(entry, scene)
    with opening(path, field) as target:
        target.write(buffer.getbuffer())


def layout(panels: Sequence[ScenePanel]) -> tuple[tuple[int, int], list[int]]:
    """Shape (slow, fast) of the array that holds all panels below each other, and the first row of each."""
    starts = np.cumsum([0, *(panel.pixels_s for panel in panels)])
    return (int(starts[-1]), max(panel.pixels_f for panel in panels)), [int(x) for x in starts[:-1]]


def _group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def _number(parent: h5py.Group, name: str, value: object, unit: str = "") -> h5py.Dataset:
    dataset = parent.create_dataset(name, data=value)
    if unit:
        dataset.attrs["units"] = unit
    return dataset


def _transformation(
    parent: h5py.Group, name: str, value: object, vector: Floats, depends_on: str, *, turns: bool = False
) -> None:
    """A translation (m) or rotation (degrees) along or about a vector, relative to what it depends on."""
    dataset = _number(parent, name, value, "deg" if turns else "m")
    dataset.attrs["transformation_type"] = "rotation" if turns else "translation"
    dataset.attrs["vector"] = np.asarray(vector, dtype=np.float64) + 0.0
    dataset.attrs["offset"] = np.zeros(3)
    dataset.attrs["offset_units"] = "m"
    dataset.attrs["depends_on"] = depends_on


def _beam(instrument: h5py.Group, scene: Scene, frames: int) -> None:
    """Wavelength or spectrum, fluence, size and polarization."""
    said, beam = scene.beam, _group(instrument, "beam", "NXbeam")
    central = _number(beam, "incident_wavelength", said.wavelength, "angstrom")
    if len(said.wavelengths) > 1:
        central.attrs["variant"] = "incident_wavelength_1Dspectrum"
        _number(beam, "incident_wavelength_1Dspectrum", said.wavelengths, "angstrom")
        for ending in ("weights", "weight"):
            _number(beam, f"incident_wavelength_1Dspectrum_{ending}", said.weights)
        spectrum = _group(beam, "incident_wavelength_spectrum", "NXdata")
        spectrum.attrs["signal"], spectrum.attrs["axes"] = "weights", "wavelength"
        _number(spectrum, "weights", said.weights)
        _number(spectrum, "wavelength", said.wavelengths, "angstrom")
    _number(beam, "flux", said.fluence / said.exposure, "1/s/m^2")
    _number(beam, "total_flux", said.total_flux, "Hz")
    _number(beam, "flux_integrated", said.fluence, "1/m^2")
    _number(beam, "incident_beam_size", [said.size, said.size], "m")
    beam["profile"] = "rectangular"
    x, y, _ = scene.to_mcstas @ said.polarization_axis
    across = x * x + y * y
    K = said.polarization_factor
    stokes = [1.0, K * (x * x - y * y) / across, K * 2.0 * x * y / across, 0.0] if across > 0 else [1.0, 0.0, 0.0, 0.0]
    _number(beam, "incident_polarization_stokes", [stokes] * frames)


def _sample(entry: h5py.Group, phi: Sequence[float], scene: Scene) -> None:
    sample = _group(entry, "sample", "NXsample")
    sample["name"], sample["depends_on"] = "simulated crystal", f"{GONIOMETER}/phi"
    axes = _group(sample, "transformations", "NXtransformations")
    start = np.asarray(phi, dtype=np.float64)
    _transformation(axes, "phi", start, scene.to_mcstas @ scene.spindle, ".", turns=True)
    _number(axes, "phi_end", start + scene.osc, "deg")
    _number(axes, "phi_increment_set", scene.osc, "deg")
    if scene.cell is not None:
        _number(sample, "unit_cell", [cell_constants(scene.cell)])


def _detector(instrument: h5py.Group, images: NexusImages, scene: Scene) -> h5py.Group:
    detector = _group(instrument, "detector", "NXdetector")
    detector["description"], detector["type"] = "simulated pixel array detector", "pixel"
    detector["depends_on"], detector["sensor_material"] = f"{CHAIN}/det_z", "Si"
    main = scene.main_panel
    _number(detector, "sensor_thickness", max(main.thickness, THINNEST), "m")
    _number(detector, "count_time", scene.beam.exposure, "s")
    _number(detector, "frame_time", scene.beam.exposure, "s")
    if not main.runs_along(scene.beam.direction):
        _beam_centre(detector, main, scene)
    if images.saturation is not None:
        _number(detector, "saturation_value", images.saturation)
    _number(detector, "underload_value", 0)
    chain = _group(detector, "transformations", "NXtransformations")
    axis = scene.to_mcstas @ scene.twotheta_axis
    length = np.linalg.norm(axis)
    beam = np.array([0.0, 0.0, 1.0])
    distance = _unswung_distance(main, scene)
    _transformation(chain, "two_theta", scene.twotheta, axis / length if length > 0 else beam, ".", turns=True)
    _transformation(chain, "det_z", distance, beam, f"{CHAIN}/two_theta")
    _, starts = layout(scene.panels)
    digits = len(str(len(starts) - 1))  # HDF5 lists names by the alphabet
    for index, (panel, start) in enumerate(zip(scene.panels, starts, strict=True)):
        _module(detector, f"module_{index:0{digits}d}", panel, start, scene, distance)
    return detector


def _beam_centre(detector: h5py.Group, main: ScenePanel, scene: Scene) -> None:
    """Where the direct beam hits, and how far away; for a detector of several panels the distance only."""
    f, s, distance = main.meets(scene.beam.direction)
    _number(detector, "distance", distance, "m")
    _number(detector, "distance_derived", True)
    if len(scene.panels) == 1:
        _number(detector, "beam_center_x", f / main.pixel_size, "pixel")
        _number(detector, "beam_center_y", s / main.pixel_size, "pixel")
        _number(detector, "beam_center_derived", True)
        _number(detector, "x_pixel_size", main.pixel_size, "m")
        _number(detector, "y_pixel_size", main.pixel_size, "m")


def _unswung_distance(main: ScenePanel, scene: Scene) -> float:
    """Length of `det_z` (m): from the sample along the beam to the panel as it stands at two-theta 0."""
    swung_beam = rotation(scene.twotheta_axis, scene.twotheta) @ scene.beam.direction
    if main.runs_along(swung_beam):
        return float(np.linalg.norm(main.corners().mean(axis=0)))
    return main.meets(swung_beam)[2]


def _module(detector: h5py.Group, name: str, panel: ScenePanel, start: int, scene: Scene, distance: float) -> None:
    """A panel at the end of the detector's chain: offset and pixel directions with the swing undone."""
    module = _group(detector, name, "NXdetector_module")
    if panel.name:
        module["description"] = panel.name
    _number(module, "data_origin", np.array([start, 0]))
    _number(module, "data_size", np.array([panel.pixels_s, panel.pixels_f]))
    inner = rotation(scene.to_mcstas @ scene.twotheta_axis, -scene.twotheta) @ scene.to_mcstas
    offset = inner @ panel.origin - np.array([0.0, 0.0, distance])
    length = float(np.linalg.norm(offset))
    vector = offset / length if length > 0 else np.array([1.0, 0.0, 0.0])
    _transformation(module, "module_offset", length, vector, f"{CHAIN}/det_z")
    place = f"{DETECTOR}/{name}/module_offset"
    for direction, axis in (("fast", panel.fast), ("slow", panel.slow)):
        _transformation(module, f"{direction}_pixel_direction", panel.pixel_size, inner @ axis, place)


def _data(entry: h5py.Group, detector: h5py.Group, images: NexusImages, panels: Sequence[ScenePanel]) -> None:
    """The images and the mask."""
    shape, starts = layout(panels)
    mask = np.full(shape, GAP, dtype=np.int32)
    for index, (panel, start) in enumerate(zip(panels, starts, strict=True)):
        bits = 0 if images.masks is None else images.masks[index]
        mask[start : start + panel.pixels_s, : panel.pixels_f] = bits
    group = _group(entry, "data", "NXdata")
    group.attrs["signal"] = "data"
    if isinstance(images.frames, Joined):
        dataset = images.frames.dataset(group, shape)
    else:
        dataset = _stored(group, images.frames, len(images.phi), mask, panels)
    if dataset.dtype == np.int32:
        _number(detector, "bit_depth_readout", 32)
    detector["data"] = dataset
    detector.create_dataset("pixel_mask", data=mask, chunks=shape, compression="gzip")
    _number(detector, "pixel_mask_applied", True)


def _stored(
    group: h5py.Group,
    frames: Iterable[tuple[NDArray[Any], ...]],
    count: int,
    mask: NDArray[np.int32],
    panels: Sequence[ScenePanel],
) -> h5py.Dataset:
    """The images, compressed frame by frame."""
    packed = bitshuffle()
    dataset, number = None, 0
    for number, frame in enumerate(frames, start=1):
        kind = np.int32 if np.issubdtype(frame[0].dtype, np.integer) else np.float32
        if dataset is None:
            size, chunk = (count, *mask.shape), (1, *mask.shape)
            dataset = group.create_dataset("data", shape=size, dtype=kind, chunks=chunk, **packed)
        whole = np.zeros(mask.shape, dtype=kind)
        for panel, start, values in zip(panels, layout(panels)[1], frame, strict=True):
            whole[start : start + panel.pixels_s, : panel.pixels_f] = values
        if kind is np.int32:
            whole[mask != 0] = NOT_MEASURED
        dataset[number - 1] = whole
    if dataset is None or number != count:
        raise ValueError(f"{number} frames for {count} spindle angles")
    return dataset


def _simulation(entry: h5py.Group, scene: Scene) -> None:
    """What NXmx has no place for."""
    extra = _group(entry, "simulation", "NXcollection")
    extra["program"] = "nanobrag_torch"
    _number(extra, "lab_to_nexus", scene.to_mcstas)
    _number(extra, "attenuation_coefficient", [panel.attenuation for panel in scene.panels], "1/m")
    _number(extra, "thickness", [panel.thickness for panel in scene.panels], "m")
    _number(extra, "curved", scene.curved)
    if scene.made:
        extra["scene"] = scene.made
    if scene.cell is not None:
        _number(extra, "cell_vectors", scene.cell @ scene.to_mcstas.T, "angstrom")
