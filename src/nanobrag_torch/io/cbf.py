"""miniCBF images as PILATUS detectors write them: byte-offset compressed 32-bit counts behind a header of comments.

The header describes one flat detector, square to the beam at two-theta 0; `scene.unsaid_by_flat_headers` says what
it leaves out. The convention is PILATUS_1.2 where the image has the size of a PILATUS, and otherwise GENERIC_MINI,
with the same comments: dxtbx looks for the modules of a PILATUS in every file that calls itself one. Compression is
that of fabio.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.files import Opening, PathLike, whole_file
from nanobrag_torch.io.reading import LARGEST_DATA, read_bytes, unpacked
from nanobrag_torch.io.scene import THINNEST, Scene, ScenePanel, swung_back, unsaid_by_flat_headers
from nanobrag_torch.units import um_from_metres, wavelength_from_energy

Counts = NDArray[np.int32]

NOT_RENDERED, LEFT_OUT = -1, -2
"""Values of pixels outside the region, and of pixels that the user's mask leaves out (in PILATUS terms: gap, bad)."""
LARGEST = 2**31 - 2
_START = b"\x0c\x1a\x04\xd5"
_BOUNDARY = b"--CIF-BINARY-FORMAT-SECTION--"
_PADDING = 4095
LINE_MARK = "scene| "
"""Begins the comments that say how the image came about."""
_MAGIC = b"###CBF"
PILATUS_MODULE, PILATUS_GAP = (487, 195), (7, 17)
"""Pixels of a module, and between modules, along fast and slow."""
"""Pixels of a PILATUS module and between modules, fast and slow."""


def write_cbf(
    path: PathLike,
    counts: NDArray[np.integer],
    scene: Scene,
    *,
    saturation: int,
    phi: float | None = None,
    when: datetime | None = None,
    opening: Opening = whole_file,
    field: str = "",
) -> None:
    """Write counts [slow, fast] of a scene.

    Args:
        path: the file; its stem names the data block.
        counts: photons, `NOT_RENDERED` or `LEFT_OUT`.
        scene: what was rendered; one panel.
        saturation: largest count that is not an overload.
        phi: spindle angle at the start of this image, degrees; the scene's by default.
        when: time stamp; now by default.
        opening: what opens the file.
        field: the flag, for errors.

    Raises:
        InputError: several panels, which a miniCBF cannot describe.
    """
    refuse_panels(scene, field or str(path), "miniCBF")
    lines = header_lines(scene, saturation, scene.phi if phi is None else phi, when or datetime.now())
    lines += [f"{LINE_MARK}{line}" for line in scene.made.splitlines()]
    convention = "PILATUS_1.2" if is_pilatus(scene.panels[0]) else "GENERIC_MINI"
    with opening(path, field) as file:
        file.write(frame(Path(path).stem, convention, lines, np.ascontiguousarray(counts, dtype=np.int32)))


def refuse_panels(scene: Scene, field: str, name: str) -> None:
    """Refuse a scene that a format with one flat detector cannot hold.

    Raises:
        InputError: naming the flag, the format and NeXus.
    """
    reasons, _ = unsaid_by_flat_headers(scene)
    if reasons:
        raise InputError(field, f"{reasons[0]}, which {name} cannot describe", "use -nexus, which can")


def header_lines(scene: Scene, saturation: int, phi: float, when: datetime) -> list[str]:
    """The comments of the header, without the leading `# `.

    Beam_xy and Detector_distance (along the beam) are those at two-theta 0, in pixels from the outer corner of the
    first pixel and metres; angles in degrees; Polarization is (1 + K)/2 with Kahn's K.
    """
    panel = swung_back(scene)
    beam = scene.beam
    f, s, distance = panel.meets(beam.direction)
    size = f"{um_from_metres(panel.pixel_size):.9g}e-6 m"
    stamp = when.isoformat(timespec="milliseconds")[:23]
    return [
        f"Detector: {'PILATUS' if is_pilatus(panel) else 'GENERIC'}, simulated by nanobrag_torch, S/N 00-0000",
        stamp,
        f"Pixel_size {size} x {size}",
        f"Silicon sensor, thickness {max(panel.thickness, THINNEST):.6f} m",
        f"Exposure_time {beam.exposure:.7f} s",
        f"Exposure_period {beam.exposure:.7f} s",
        "Tau = 0 s",
        f"Count_cutoff {saturation} counts",
        "Threshold_setting: 0 eV",
        "Gain_setting: not implemented (vrf = 9.900)",
        "N_excluded_pixels = 0",
        "Excluded_pixels: (nil)",
        "Flat_field: (nil)",
        "Trim_file: (nil)",
        "Image_path: ./",
        f"Wavelength {beam.wavelength:.7f} A",
        f"Energy_range ({_energies(scene)}) eV",
        f"Detector_distance {distance:.7f} m",
        "Detector_Voffset 0.00000 m",
        f"Beam_xy ({f / panel.pixel_size:.4f}, {s / panel.pixel_size:.4f}) pixels",
        f"Flux {beam.total_flux:.6g} ph/s",
        "Filter_transmission 1.0000",
        f"Start_angle {phi:.6f} deg.",
        f"Angle_increment {scene.osc:.6f} deg.",
        f"Detector_2theta {scene.twotheta:.6f} deg.",
        f"Polarization {(1.0 + beam.polarization_factor) / 2.0:.4f}",
        "Alpha 0.0000 deg.",
        "Kappa 0.0000 deg.",
        f"Phi {phi:.6f} deg.",
        f"Phi_increment {scene.osc:.6f} deg.",
        "Omega 0.0000 deg.",
        "Omega_increment 0.0000 deg.",
        "Chi 0.0000 deg.",
        "Chi_increment 0.0000 deg.",
        "Oscillation_axis X.CW",
        "N_oscillations 1",
    ]


def is_pilatus(panel: ScenePanel) -> bool:
    """Whether a panel has the pixels of a whole number of PILATUS modules and of the gaps between them."""
    pairs = zip((panel.pixels_f, panel.pixels_s), PILATUS_MODULE, PILATUS_GAP, strict=True)
    return all(n >= module and (n + gap) % (module + gap) == 0 for n, module, gap in pairs)


def _energies(scene: Scene) -> str:
    energies = [wavelength_from_energy(float(x)) for x in scene.beam.wavelengths]
    return f"{min(energies):.1f}, {max(energies):.1f}"


def frame(name: str, convention: str, lines: list[str], counts: Counts) -> bytes:
    """A whole file: comments without the leading `# `, and counts [slow, fast]."""
    from fabio.compression import compByteOffset

    packed = bytes(compByteOffset(counts.ravel()))
    slow, fast = counts.shape
    digest = base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode("ascii")
    block = re.sub(r"[^A-Za-z0-9_.-]", "_", name) or "image"
    text = [
        "###CBF: VERSION 1.5, nanobrag_torch, as PILATUS detectors write it",
        "",
        f"data_{block}",
        "",
        f'_array_data.header_convention "{convention}"',
        "_array_data.header_contents",
        ";",
        *(f"# {line}" for line in lines),
        ";",
        "",
        "_array_data.data",
        ";",
        _BOUNDARY.decode("ascii"),
        "Content-Type: application/octet-stream;",
        '     conversions="x-CBF_BYTE_OFFSET"',
        "Content-Transfer-Encoding: BINARY",
        f"X-Binary-Size: {len(packed)}",
        "X-Binary-ID: 1",
        'X-Binary-Element-Type: "signed 32-bit integer"',
        "X-Binary-Element-Byte-Order: LITTLE_ENDIAN",
        f"Content-MD5: {digest}",
        f"X-Binary-Number-of-Elements: {counts.size}",
        f"X-Binary-Size-Fastest-Dimension: {fast}",
        f"X-Binary-Size-Second-Dimension: {slow}",
        f"X-Binary-Size-Padding: {_PADDING}",
        "",
        "",
    ]
    start = "\r\n".join(text).encode("ascii", "backslashreplace")
    return start + _START + packed + bytes(_PADDING) + b"\r\n" + _BOUNDARY + b"--\r\n;\r\n\r\n"


@dataclass(frozen=True)
class CbfHeader:
    """The comments of a miniCBF by their first word, without `:` and `=` (`Detector_distance` -> `0.1000000 m`)."""

    words: dict[str, str] = field(default_factory=dict)

    def number(self, key: str, place: int = 0) -> float:
        """A number behind a key; `place` counts from 0. Raises `KeyError` or `ValueError`."""
        return float(re.sub(r"[(),]", " ", self.words[key]).split()[place])


def read_cbf(path: PathLike) -> tuple[Counts, CbfHeader]:
    """Counts [slow, fast] and header of a byte-offset compressed miniCBF, which may be gzipped.

    Raises:
        FileFormatError: missing, not CBF, another compression, cut short, or data that do not match their checksum.
    """
    from fabio.compression import decByteOffset

    content = unpacked(path, read_bytes(path), LARGEST_DATA)
    if not content.startswith(_MAGIC):
        raise FileFormatError(path, "line 1", "not a CBF file: expected `###CBF`")
    start = content.find(_START)
    if start < 0:
        raise FileFormatError(path, "", "no binary section: the file is cut short, or its data are not binary")
    header = content[:start].decode("latin-1")
    if "x-CBF_BYTE_OFFSET" not in header:
        raise FileFormatError(path, "header", "the data are not byte-offset compressed, the only kind that is read")
    size, fast, slow = (
        _integer(path, header, key) for key in ("Size", "Size-Fastest-Dimension", "Size-Second-Dimension")
    )
    packed = content[start + len(_START) :][:size]
    if len(packed) < size:
        raise FileFormatError(path, "", f"{len(packed)} bytes of data, expected {size}: the file is cut short")
    found = re.search(r"Content-MD5:\s*(\S+)", header)
    digest = base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode("ascii")
    if found is not None and found[1] != digest:
        raise FileFormatError(path, "", "the data do not match their checksum (Content-MD5): the file is damaged")
    if fast * slow > size:
        raise FileFormatError(path, "header", f"{size} bytes of data cannot hold {fast} x {slow} pixels")
    values = np.asarray(decByteOffset(packed, size=fast * slow, dtype="int32"), dtype=np.int32)
    if values.size != fast * slow:
        raise FileFormatError(path, "", f"{values.size} pixels, expected {fast} x {slow}")
    return values.reshape(slow, fast), CbfHeader(_words(header))


def _integer(path: PathLike, header: str, key: str) -> int:
    match = re.search(rf"X-Binary-{key}:\s*(\d{{1,12}})\s", header)
    if match is None:
        raise FileFormatError(path, "header", f"X-Binary-{key} is missing")
    return int(match[1])


def _words(header: str) -> dict[str, str]:
    words = {}
    for line in header.splitlines():
        if line.startswith("# "):
            key, _, rest = line[2:].replace(":", " ", 1).replace("=", " ").partition(" ")
            words[key] = rest.strip()
    return words
