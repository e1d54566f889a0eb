"""The geometry that the headers of SMV and miniCBF files describe, as a scene in the frame of the detector.

In it the fast axis is x and the slow axis y, so that nothing needs to be known about the lab: the beam's direction
follows from where it meets the detector.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.cbf import CbfHeader
from nanobrag_torch.io.files import PathLike, read_bytes
from nanobrag_torch.io.scene import Scene, SceneBeam, ScenePanel
from nanobrag_torch.io.smv import read_smv_header
from nanobrag_torch.units import DEFAULT_FLUENCE, metres_from_mm, mm_from_metres

FAST, SLOW = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
_LINE = re.compile(r"^[ \t]{0,80}(\w{1,80})[ \t]{0,80}=[ \t]{0,80}([^;\n]*)", re.MULTILINE)


class Said(NamedTuple):
    """A scene, or `None`, and a line for the reader about it (may be empty)."""

    scene: Scene | None
    note: str


class Place(NamedTuple):
    """Where a flat detector stands: the point closest to the sample and the one that the beam meets (mm from the
    corner of pixel (0, 0), fast and slow), the distance along the normal and along the beam (mm)."""

    near: tuple[float, float]
    beam: tuple[float, float]
    close_distance: float
    distance: float


def scene_of(pixels_f: int, pixels_s: int, pixel_mm: float, wavelength: float, place: Place) -> Scene:
    """A scene in the frame of the detector.

    b·f = (F_b - F_c)/d and b·s = (S_b - S_c)/d with the near point F_c, S_c, the beam's F_b, S_b and the distance d
    of a header; this holds in both modes of physics (specs: geometry 9).
    """
    f = (place.beam[0] - place.near[0]) / place.distance
    s = (place.beam[1] - place.near[1]) / place.distance
    direction = np.array([f, s, np.sqrt(max(0.0, 1.0 - f * f - s * s))])
    origin = metres_from_mm(np.array([-place.near[0], -place.near[1], place.close_distance]))
    panel = ScenePanel(pixels_f, pixels_s, metres_from_mm(pixel_mm), origin, FAST, SLOW)
    beam = SceneBeam(
        direction=direction / np.linalg.norm(direction),
        wavelength=wavelength,
        wavelengths=np.array([wavelength]),
        weights=np.ones(1),
        polarization_axis=FAST,
        polarization_factor=0.0,
        fluence=DEFAULT_FLUENCE,
    )
    return Scene((panel,), beam)


def smv_words(path: PathLike) -> dict[str, str]:
    """Keys and values of an SMV header; of a repeated key the last counts."""
    size = read_smv_header(path).header_bytes
    return {key: value.strip() for key, value in _LINE.findall(read_bytes(path)[:size].decode("latin-1"))}


def smv_size(path: PathLike) -> tuple[int, int]:
    """Pixels (fast, slow) of an SMV file.

    Raises:
        FileFormatError: not SMV, or without a size.
    """
    facts = read_smv_header(path)
    if facts.pixels_f is None or facts.pixels_s is None:
        raise FileFormatError(path, "header", "SIZE1 and SIZE2 are missing")
    return facts.pixels_f, facts.pixels_s


def scene_of_smv(path: PathLike) -> Said:
    """The scene of an SMV header: from near point and beam where both are given, else from BEAM_CENTER.

    The latter is read as most beamlines write it: X along the slow axis, detector square to the beam.
    """
    words = smv_words(path)
    number = _numbers(words)
    fast, slow = smv_size(path)
    needed = ("PIXEL_SIZE", "WAVELENGTH", "DISTANCE")
    missing = [key for key in needed if not number.get(key, 0.0) > 0]
    if missing:
        return Said(None, f"geometry unknown: the header has no {' and no '.join(missing)}")
    pixel, wavelength, distance = (number[key] for key in needed)
    own = ("XDS_ORGX", "XDS_ORGY", "DENZO_X_BEAM", "DENZO_Y_BEAM", "CLOSE_DISTANCE")
    if all(key in number for key in own):
        near = (number["XDS_ORGX"] - 0.5) * pixel, (number["XDS_ORGY"] - 0.5) * pixel
        place = Place(near, (number["DENZO_Y_BEAM"], number["DENZO_X_BEAM"]), number["CLOSE_DISTANCE"], distance)
        return Said(scene_of(fast, slow, pixel, wavelength, place), "")
    if "BEAM_CENTER_X" not in number or "BEAM_CENTER_Y" not in number:
        return Said(None, "geometry unknown: the header has no beam centre")
    centre = number["BEAM_CENTER_Y"], number["BEAM_CENTER_X"]
    if number.get("TWOTHETA"):
        return Said(None, "geometry unknown: the header has a two-theta swing without its axis")
    note = "beam centre read as BEAM_CENTER_X along the slow axis"
    return Said(scene_of(fast, slow, pixel, wavelength, Place(centre, centre, distance, distance)), note)


def _numbers(words: dict[str, str]) -> dict[str, float]:
    found = {}
    for key, value in words.items():
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number):
            found[key] = number
    return found


def scene_of_cbf(header: CbfHeader, shape: tuple[int, ...]) -> Said:
    """The scene of a miniCBF header: one flat detector, square to the beam."""
    try:
        pixel = mm_from_metres(header.number("Pixel_size"))
        distance = mm_from_metres(header.number("Detector_distance"))
        centre = header.number("Beam_xy") * pixel, header.number("Beam_xy", 1) * pixel
        wavelength = header.number("Wavelength")
    except (KeyError, ValueError, IndexError):
        return Said(None, "geometry unknown: the header has no distance, wavelength, beam centre or pixel size")
    try:
        swing = header.number("Detector_2theta")
    except (KeyError, ValueError, IndexError):
        swing = 0.0
    if swing != 0.0:
        return Said(None, "geometry unknown: the header has a two-theta swing without its axis")
    if not (pixel > 0 and distance > 0 and wavelength > 0):
        return Said(None, "geometry unknown: a distance, wavelength or pixel size that is not positive")
    place = Place(centre, centre, distance, distance)
    return Said(scene_of(shape[1], shape[0], pixel, wavelength, place), "")
