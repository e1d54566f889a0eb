"""SMV images: 16-bit counts behind an ASCII header; masks and the geometry in headers (specs: io_formats 3, 6)."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import Opening, PathLike, read_bytes, whole_file
from nanobrag_torch.text import format_g

_MAGIC = b"{\nHEADER_BYT"
_HEADER_BYTES = re.compile(rb"\{\nHEADER_BYTES=\s*(\d{1,9})")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
_TYPE = re.compile(rb"\bTYPE\s?=\s?(\w{1,40})")
_OTHER_TYPES = frozenset(
    b"unsigned_long signed_long long long_integer unsigned_int int float unsigned_byte signed_byte byte unsigned_char "
    b"char double".split()
)
_DEFAULT_PIXEL_MM = 0.1


@dataclass(frozen=True)
class SmvHeader:
    """The numbers of a header (specs: io_formats 3): millimetres, degrees, Å; pixels where the name says so.

    `beam_centre` is X_b, Y_b as given or by the convention's default; the other centres, `distance` and
    `close_distance` are final values of specs: geometry 9. `adc` of `None` leaves out the ADC_OFFSET line.
    """

    pixels_f: int
    pixels_s: int
    pixel_size: float
    distance: float
    wavelength: float
    beam_centre: tuple[float, float]
    adxv_centre: tuple[float, float]
    mosflm_centre: tuple[float, float]
    denzo_beam: tuple[float, float]
    dials_origin: tuple[float, float, float]
    xds_origin_pixels: tuple[float, float]
    close_distance: float
    phi: float
    osc_range: float
    twotheta: float
    adc: float | None = None

    def items(self) -> list[tuple[str, str]]:
        """Keys and values in the order of the file, without HEADER_BYTES."""
        items = [
            ("DIM", "2"),
            ("BYTE_ORDER", f"{sys.byteorder}_endian"),
            ("TYPE", "unsigned_short"),
            ("SIZE1", str(self.pixels_f)),
            ("SIZE2", str(self.pixels_s)),
            ("PIXEL_SIZE", format_g(self.pixel_size)),
            ("DISTANCE", format_g(self.distance)),
            ("WAVELENGTH", format_g(self.wavelength)),
            ("BEAM_CENTER_X", format_g(self.beam_centre[0])),
            ("BEAM_CENTER_Y", format_g(self.beam_centre[1])),
            ("ADXV_CENTER_X", format_g(self.adxv_centre[0])),
            ("ADXV_CENTER_Y", format_g(self.adxv_centre[1])),
            ("MOSFLM_CENTER_X", format_g(self.mosflm_centre[0])),
            ("MOSFLM_CENTER_Y", format_g(self.mosflm_centre[1])),
            ("DENZO_X_BEAM", format_g(self.denzo_beam[0])),
            ("DENZO_Y_BEAM", format_g(self.denzo_beam[1])),
            ("DIALS_ORIGIN", ",".join(map(format_g, self.dials_origin))),
            ("XDS_ORGX", format_g(self.xds_origin_pixels[0])),
            ("XDS_ORGY", format_g(self.xds_origin_pixels[1])),
            ("CLOSE_DISTANCE", format_g(self.close_distance)),
            ("PHI", format_g(self.phi)),
            ("OSC_START", format_g(self.phi)),
            ("OSC_RANGE", format_g(self.osc_range)),
            ("TWOTHETA", format_g(self.twotheta)),
            ("DETECTOR_SN", "000"),
            ("BEAMLINE", "fake"),
        ]
        return items if self.adc is None else [*items, ("ADC_OFFSET", format_g(self.adc))]

    def text(self) -> str:
        """The whole header, padded: 512 characters, or 1024 where it does not fit (specs: deviations D12).

        Every line ends with a semicolon except that of DIALS_ORIGIN.
        """
        lines = "".join(f"{key}={value}{'' if key == 'DIALS_ORIGIN' else ';'}\n" for key, value in self.items())
        text = f"{{\nHEADER_BYTES=512;\n{lines}}}\f"
        if len(text) <= 512:
            return text.ljust(512)
        return f"{{\nHEADER_BYTES=1024;\n{lines}}}\f".ljust(1024)


def write_smv(
    path: PathLike,
    counts: NDArray[np.uint16],
    header: SmvHeader,
    *,
    opening: Opening = whole_file,
    field: str = "",
) -> None:
    """Write counts [slow, fast] behind a header; `field` names the flag in errors."""
    with opening(path, field) as file:
        file.write(header.text().encode("ascii"))
        file.write(np.ascontiguousarray(counts, dtype=np.uint16).data)


@dataclass(frozen=True)
class HeaderFacts:
    """What a run takes from a header: millimetres, degrees, Å; `None` = the key does not occur (io_formats 6)."""

    path: str
    header_bytes: int
    pixels_f: int | None
    pixels_s: int | None
    pixel_size: float | None
    distance: float | None
    close_distance: float | None
    wavelength: float | None
    beam_centre_x: float | None
    beam_centre_y: float | None
    orgx: float | None
    orgy: float | None
    phi: float | None
    osc_range: float | None
    twotheta: float | None

    def values(self, kind: str) -> dict[str, float | int]:
        """Configuration fields and their values; the names are unique over all components.

        `kind` is `img`, or `mask`, where Ybeam counts from the far edge: Y_b = L_s - value. Two-theta has no effect.
        """
        found: dict[str, float | int | None] = {
            "pixels_f": self.pixels_f,
            "pixels_s": self.pixels_s,
            "pixel_mm": self.pixel_size,
            "distance_mm": self.distance,
            "close_distance_mm": self.close_distance,
            "wavelength_A": self.wavelength,
            "Xbeam_mm": self.beam_centre_x,
            "Ybeam_mm": self.beam_centre_y if kind == "img" else self._ybeam_from_far_edge(),
            "ORGX": self.orgx,
            "ORGY": self.orgy,
            "phi_deg": self.phi,
            "osc_deg": self.osc_range,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _ybeam_from_far_edge(self) -> float | None:
        if self.beam_centre_y is None:
            return None
        if self.pixels_s is None:
            raise FileFormatError(self.path, "header", "BEAM_CENTER_Y of a mask needs SIZE2")
        pixel = _DEFAULT_PIXEL_MM if self.pixel_size is None else self.pixel_size
        return pixel * self.pixels_s - self.beam_centre_y


@dataclass(frozen=True)
class Mask:
    """`keep` bool [slow, fast], False = pixel to skip, and the header it came with."""

    keep: NDArray[np.bool_]
    header: HeaderFacts


def header_values(path: PathLike, kind: str = "img") -> dict[str, float | int]:
    """Configuration fields from the header of the file behind `-img` (`img`) or `-mask` (`mask`).

    Raises:
        FileFormatError: missing, not SMV, or a value that is not a finite number.

    specs: io_formats 6.
    """
    return read_smv_header(path).values(kind)


def read_smv_header(path: PathLike) -> HeaderFacts:
    """The facts of an SMV header; raises as `header_values` does."""
    return _header_facts(path, read_bytes(path))


def read_smv(path: PathLike) -> tuple[NDArray[np.uint16], HeaderFacts]:
    """Counts [slow, fast] and the header; 16-bit values are taken without byte swapping (specs: io_formats 6)."""
    content = read_bytes(path)
    facts = _header_facts(path, content)
    if facts.pixels_f is None or facts.pixels_s is None:
        raise FileFormatError(path, "header", "SIZE1 and SIZE2 are missing")
    pixels = facts.pixels_f * facts.pixels_s
    _check_width(path, content, facts, pixels)
    found = (len(content) - facts.header_bytes) // 2
    if found < pixels:
        raise FileFormatError(
            path, "", f"{max(found, 0)} pixels behind the header, expected {facts.pixels_f} x {facts.pixels_s}"
        )
    counts = np.frombuffer(content, np.uint16, pixels, facts.header_bytes)
    return counts.reshape(facts.pixels_s, facts.pixels_f), facts


def _check_width(path: PathLike, content: bytes, facts: HeaderFacts, pixels: int) -> None:
    """Refuse pixels of another width, which would be taken for twice or half as many."""
    header = content[: facts.header_bytes]
    kind = _TYPE.search(header)
    wider = kind is not None and kind[1].lower() in _OTHER_TYPES
    if wider or (kind is None and pixels and len(content) - facts.header_bytes == 4 * pixels):
        said = f"of TYPE={kind[1].decode('ascii')}" if kind else "of 4 bytes"
        raise FileFormatError(path, "header", f"the pixels are {said}, expected 2-byte whole numbers (unsigned_short)")


def read_mask(path: PathLike) -> Mask:
    """The mask of an SMV file: a pixel of value 0 is skipped (specs: io_formats 6)."""
    counts, facts = read_smv(path)
    return Mask(counts != 0, facts)


def _header_facts(path: PathLike, content: bytes) -> HeaderFacts:
    if not content.startswith(_MAGIC):
        raise FileFormatError(path, "line 1", "not an SMV image: expected `{`, then HEADER_BYTES=")
    match = _HEADER_BYTES.match(content)
    size = int(match[1]) if match else 0
    if not len(_MAGIC) < size <= len(content):
        raise FileFormatError(path, "line 2", "expected HEADER_BYTES= and a size within the file")
    text = content[:size].decode("latin-1")
    pixels_f, pixels_s = _pixels(path, text, "SIZE1"), _pixels(path, text, "SIZE2")
    if not pixels_f:
        square = _pixels(path, text, "DETECTOR_DIMENSIONS")
        if square:
            pixels_f = pixels_s = square
    numbers = {
        "pixel_size": "PIXEL_SIZE",
        "distance": "DISTANCE",
        "close_distance": "CLOSE_DISTANCE",
        "wavelength": "WAVELENGTH",
        "beam_centre_x": "BEAM_CENTER_X",
        "beam_centre_y": "BEAM_CENTER_Y",
        "orgx": "ORGX",
        "orgy": "ORGY",
        "phi": "PHI",
        "osc_range": "OSC_RANGE",
        "twotheta": "TWOTHETA",
    }
    values = {name: _value(path, text, key) for name, key in numbers.items()}
    return HeaderFacts(str(path), size, pixels_f or None, pixels_s or None, **values)


def _value(path: PathLike, text: str, key: str) -> float | None:
    """The number behind the next `=` after the last occurrence of a key, also inside a longer key (io_formats 6)."""
    place = text.rfind(key)
    if place < 0:
        return None
    equals = text.find("=", place)
    match = _NUMBER.match(text, equals + 1) if equals >= 0 else None
    value = float(match[1]) if match else math.nan
    if not math.isfinite(value):
        raise FileFormatError(path, f"header, {key}", "expected `=` and a finite number")
    return value


def _pixels(path: PathLike, text: str, key: str) -> int | None:
    value = _value(path, text, key)
    if value is None:
        return None
    if value != int(value) or value < 0:
        raise FileFormatError(path, f"header, {key}", f"{format_g(value)} is not a number of pixels")
    return int(value)
