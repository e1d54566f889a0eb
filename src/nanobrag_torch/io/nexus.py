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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import Opening, PathLike, read_bytes, whole_file
from nanobrag_torch.io.hdf5_links import check_links
from nanobrag_torch.io.nexus_joined import Joined, joined_data
from nanobrag_torch.io.scene import GAP, THINNEST, Floats, Scene, ScenePanel, cell_constants, rotation
from nanobrag_torch.memory import available_memory

if TYPE_CHECKING:
    import h5py

DETECTOR = "/entry/instrument/detector"
CHAIN = f"{DETECTOR}/transformations"
GONIOMETER = "/entry/sample/transformations"
LONGEST_CHAIN = 100
"""Transformations between a panel and the lab beyond which a chain goes in circles."""
LARGEST_READ = 2**31
"""Bytes of images that are read at once."""
NOT_MEASURED = -1
"""Value of pixels that the mask flags, in integer data."""
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6}


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
    packed = _bitshuffle()
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


def _bitshuffle() -> dict[str, Any]:
    """Keywords of a data set compressed with bitshuffle-LZ4.

    The filter is registered by force: with HDF5_PLUGIN_PATH set, hdf5plugin leaves it to a search of that path,
    which finds filters made for another HDF5.
    """
    import hdf5plugin

    hdf5plugin.register(("bshuf",), force=True)
    return dict(hdf5plugin.Bitshuffle(cname="lz4"))


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


@dataclass(frozen=True)
class NexusContent:
    """What `read_nexus` finds: data [n, slow, fast] and mask [slow, fast] of all panels below each other.

    Everything is in the frame of NeXus; `phi` are the spindle angles in degrees, `wavelength` is in Å. `cell`
    [3, 3] holds the cell vectors (rows, Å) at spindle angle 0, `None` = not known; `made` says how they
    came about.
    """

    data: NDArray[Any]
    mask: NDArray[np.int32]
    panels: tuple[ScenePanel, ...]
    phi: Floats
    wavelength: float
    spindle: Floats = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    osc: float = 0.0
    cell: Floats | None = None
    curved: bool = False
    made: str = ""


def read_nexus(path: PathLike, frames: slice = slice(None), outside: bool = False) -> NexusContent:
    """Images and geometry of a file as `write_nexus` makes it; places come from the chains of transformations.

    Args:
        path: the file.
        frames: which of the images, and of the spindle angles, to read.
        outside: whether the file may lead to files outside its folder.

    Raises:
        FileFormatError: missing, not HDF5, cut short, damaged, without one of the fields that NXmx asks for, larger
            than there is memory for, or leading out of its folder.
    """
    import h5py

    _bitshuffle()
    content = read_bytes(path)
    try:
        check_links(path, outside)
        with h5py.File(io.BytesIO(content), "r") as file:
            detector, data = file[DETECTOR], file["/entry/data/data"]
            _check_sizes(path, data, detector["pixel_mask"], frames)
            modules = [group for group in detector.values() if group.attrs.get("NX_class") == "NXdetector_module"]
            return NexusContent(
                data=joined_data(path, frames) if data.is_virtual else data[frames],
                mask=detector["pixel_mask"][()],
                panels=tuple(_read_panel(module) for module in modules),
                phi=np.atleast_1d(file[f"{GONIOMETER}/phi"][()])[frames],
                wavelength=float(file["/entry/instrument/beam/incident_wavelength"][()]),
                spindle=np.asarray(file[f"{GONIOMETER}/phi"].attrs["vector"], dtype=np.float64),
                osc=float(file[f"{GONIOMETER}/phi_increment_set"][()]),
                cell=_optional(file, "/entry/simulation/cell_vectors"),
                curved=bool(_optional(file, "/entry/simulation/curved")),
                made=_text(file, "/entry/simulation/scene"),
            )
    except KeyError as error:
        raise FileFormatError(path, "", f"not a complete NXmx file: {error.args[0]}") from error
    except FileFormatError:
        raise
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        text = str(error).splitlines()[0] if str(error) else "unreadable"
        raise FileFormatError(path, "", f"not HDF5, cut short or damaged: {text}") from error


def _check_sizes(path: PathLike, data: h5py.Dataset, mask: h5py.Dataset, frames: slice) -> None:
    """Refuse images that are none, or that the memory cannot hold, before they are read."""
    if data.ndim != 3 or data.dtype.kind not in "iuf" or mask.ndim != 2 or mask.dtype.kind not in "iu":
        raise FileFormatError(path, data.name, "expected numbers [image, slow, fast], and a mask [slow, fast]")
    count = len(range(*frames.indices(data.shape[0])))
    needed = count * data.shape[1] * data.shape[2] * data.dtype.itemsize + mask.size * mask.dtype.itemsize
    allowed = min(LARGEST_READ, available_memory() / 3)
    if needed > allowed:
        text = f"{needed / 1e9:.3g} GB of images, at most {allowed / 1e9:.3g} GB are read; ask for fewer frames"
        raise FileFormatError(path, data.name, text)


def _text(file: h5py.File, place: str) -> str:
    if place not in file:
        return ""
    value = file[place][()]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _optional(file: h5py.File, place: str) -> Floats | None:
    return np.asarray(file[place][()], dtype=np.float64) if place in file else None


def _read_panel(module: h5py.Group) -> ScenePanel:
    fast, slow = module["fast_pixel_direction"], module["slow_pixel_direction"]
    chain = _chain(module.file, fast.attrs["depends_on"])
    slow_pixels, fast_pixels = (int(n) for n in module["data_size"][()])
    return ScenePanel(
        pixels_f=fast_pixels,
        pixels_s=slow_pixels,
        pixel_size=float(fast[()]) * _METRES[fast.attrs["units"]],
        origin=chain[:3, 3],
        fast=chain[:3, :3] @ fast.attrs["vector"],
        slow=chain[:3, :3] @ slow.attrs["vector"],
        name=module["description"].asstr()[()] if "description" in module else "",
    )


def _chain(file: h5py.File, place: str) -> Floats:
    """The transformation [4, 4] (m) from the frame at a place of the chain to that of the file."""
    whole, steps = np.eye(4), 0
    while place != ".":
        steps += 1
        if steps > LONGEST_CHAIN:
            raise FileFormatError(file.filename, place, "its chain of transformations (depends_on) has no end")
        axis = file[place]
        own = np.eye(4)
        value = float(np.atleast_1d(axis[()])[0])
        if axis.attrs["transformation_type"] == "rotation":
            own[:3, :3] = rotation(axis.attrs["vector"], value)
        else:
            own[:3, 3] = value * _METRES[axis.attrs["units"]] * axis.attrs["vector"]
        own[:3, 3] += _METRES[axis.attrs["offset_units"]] * axis.attrs["offset"]
        whole = own @ whole
        place = axis.attrs["depends_on"]
    return whole
