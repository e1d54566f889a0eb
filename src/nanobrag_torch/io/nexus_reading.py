"""Reading NeXus files of the application definition NXmx, as `nanobrag_torch.io.nexus` writes them."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import PathLike, read_bytes
from nanobrag_torch.io.hdf5_links import check_links
from nanobrag_torch.io.nexus_joined import joined_data
from nanobrag_torch.io.scene import Floats, ScenePanel, rotation
from nanobrag_torch.memory import available_memory

if TYPE_CHECKING:
    import h5py

DETECTOR = "/entry/instrument/detector"
GONIOMETER = "/entry/sample/transformations"
LONGEST_CHAIN = 100
"""Transformations between a panel and the lab beyond which a chain goes in circles."""
LARGEST_READ = 2**31
"""Bytes of images that are read at once."""
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6}


def bitshuffle() -> dict[str, Any]:
    """Keywords of a data set compressed with bitshuffle-LZ4.

    The filter is registered by force: with HDF5_PLUGIN_PATH set, hdf5plugin leaves it to a search of that path,
    which finds filters made for another HDF5.
    """
    import hdf5plugin

    hdf5plugin.register(("bshuf",), force=True)
    return dict(hdf5plugin.Bitshuffle(cname="lz4"))


@dataclass(frozen=True)
class NexusContent:
    """What `read_nexus` finds: data [n, slow, fast] and mask [slow, fast] of all panels below each other.

    Everything is in the frame of NeXus; `phi` are the spindle angles in degrees, `wavelength` is in Å. `cell`
    [3, 3] holds the cell vectors (rows, Å) at spindle angle 0, `None` = not known; `made` is the scene
    as text.
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

    bitshuffle()
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
