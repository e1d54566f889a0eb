"""`nb-noisify`: a float image becomes counts, as by noisify, nanoBragg's companion (specs: noisify)."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nanobrag_torch import __version__
from nanobrag_torch.detector import exact, faithful
from nanobrag_torch.detector.chain import DEFAULT_CALIBRATION_STATE, Chain, Floats, NoiseImage, Spread
from nanobrag_torch.detector.words import FLAGS, Request, read
from nanobrag_torch.errors import InputError, NanobragError
from nanobrag_torch.guard import complain, guarded, interruptible
from nanobrag_torch.io.files import WholeFiles
from nanobrag_torch.io.pgm import write_pgm
from nanobrag_torch.io.reading import read_bytes
from nanobrag_torch.io.registry import FileRegistry
from nanobrag_torch.io.smv import read_smv_header
from nanobrag_torch.text import format_g as g
from nanobrag_torch.units import CLASSICAL_ELECTRON_RADIUS_SQUARED

OK, REFUSED = 0, 9
HEADER_BYTES = 512
HELP = f"""usage: nb-noisify -floatfile FILE [flags of noisify] [-physics exact]

Computes the noise of a detector on a float image (4-byte floats, photons per fluence and electron radius squared or,
with -scale, in any unit) and writes intimage.img, noiseimage.img and image.pgm. Without -physics the images equal
noisify's bit for bit; -physics exact puts its defects right: a fixed calibration pattern, one flicker per frame, a
point spread that conserves photons, values clipped at 0.

flags: {" ".join(FLAGS)}"""


@dataclass(frozen=True)
class Frame:
    """The detector's numbers: pixels, metres; `header` is an SMV header to copy, or `None`."""

    pixels_f: int
    pixels_s: int
    pixel: float
    distance: float
    xbeam: float
    ybeam: float
    guessed: bool
    header: bytes | None

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, metres."""
        return self.pixel * self.pixels_f, self.pixel * self.pixels_s


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 9 when the input is refused, or what `guard` returns."""
    return guarded("nb-noisify", _run, argv)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "-help"):
        print(HELP)
        return OK if words else REFUSED
    if words[0] == "--version":
        print(f"nanobrag_torch {__version__}")
        return OK
    try:
        _noisify(read(words))
    except NanobragError as error:
        complain("nb-noisify", " ".join(str(error).split()))
        return REFUSED
    return OK


def _noisify(request: Request) -> None:
    known = FileRegistry()
    assert request.float_file is not None
    known.reads(request.float_file, "-floatfile")
    if request.header is not None:
        known.reads(request.header, "-header")
    values = _values(request.float_file)
    frame = settle(request, values.size)
    known.writes(request.int_file, "-intfile")
    if request.pgm:
        known.writes(request.pgm_file, "-pgmfile")
    if request.noise:
        known.writes(request.noise_file, "-noisefile")
    _announce(request, frame)
    chain = replace(request.chain, width=float(np.float32(request.fwhm_um / 1e6)) / frame.pixel)
    if not request.noise:
        chain = replace(chain, readout=0.0, flicker=0.0, calibration=0.0)
    image = values.reshape(frame.pixels_s, frame.pixels_f)
    scale = (request.fluence * CLASSICAL_ELECTRON_RADIUS_SQUARED) * request.scale
    photons = (image.astype(np.float64) * scale).astype(np.float32)
    if not np.isfinite(photons).all() or photons.min(initial=0.0) < 0.0:
        raise InputError("-floatfile", "a pixel is negative or not finite", "give an image of intensities")
    _tell(request, chain, frame)
    top, brightest = float(image.max(initial=0.0)), float(photons.max(initial=0.0))
    print(f"\nmaximum value in input file: {g(top)} ( {g(brightest)} on photon scale)")
    _write(request, chain, frame, photons)


def _values(path: str) -> Floats:
    content = read_bytes(path)
    if not content or len(content) % 4:
        problem = f"{path} holds {len(content)} bytes, which are not 4-byte floats"
        raise InputError("-floatfile", problem, "give the file that -floatfile of nanobrag writes")
    return np.frombuffer(content, dtype=np.float32)


def settle(request: Request, count: int) -> Frame:
    """The size of the frame and where it stands (specs: noisify 2).

    Raises:
        InputError: pixels that do not fit the file, or a size that contradicts them (exact mode).
    """
    fast, slow, content, guessed = request.pixels_f, request.pixels_s, None, False
    pixel_mm, distance_mm = request.pixel_mm or 0.1, 100.0 if request.distance_mm is None else request.distance_mm
    beam: tuple[float | None, float | None] = (request.xbeam_mm, request.ybeam_mm)
    if request.header is not None:
        facts = read_smv_header(request.header)
        content = read_bytes(request.header)[: facts.header_bytes]
        fast, slow = facts.pixels_f or fast, facts.pixels_s or slow
        pixel_mm, distance_mm = facts.pixel_size or pixel_mm, facts.distance or distance_mm
        height = pixel_mm * (slow or 0)
        beam_s = None if facts.beam_centre_y is None else height - facts.beam_centre_y
        beam = (facts.beam_centre_x if beam[0] is None else beam[0], beam_s if beam[1] is None else beam[1])
    if fast is None and slow is None:
        guessed, fast = True, math.isqrt(count)
        while count % fast:
            fast -= 1
    fast = fast or count // (slow or 1)
    slow = slow or count // max(fast, 1)
    if fast * slow != count:
        problem = f"{count} pixels in the file, {fast} x {slow} asked for"
        raise InputError("-detpixels", problem, "give the size of the image with -detpixels_x and -detpixels_y")
    pixel = pixel_mm / 1000.0
    contradicts = request.detsize_mm is not None and not math.isclose(request.detsize_mm, pixel_mm * fast, rel_tol=1e-6)
    if contradicts and request.physics == "exact":
        raise InputError("-detsize", "it contradicts pixels times their number (N03)", "leave it out")
    x, y = (size / 2.0 if b is None else b / 1000.0 for b, size in zip(beam, (pixel * fast, pixel * slow), strict=True))
    return Frame(fast, slow, pixel, distance_mm / 1000.0, x, y, guessed, content)


def _announce(request: Request, frame: Frame) -> None:
    if request.header is not None:
        print(f"taking header from {request.header}\nreading {request.header}")
    if request.unknown_spread is not None:
        print(f"WARNING: unknown psf type: {request.unknown_spread}")
    if frame.guessed:
        print("WARNING: guessing xy pixel dimensions.")
    notes = list(request.notes)
    if request.detsize_mm is not None and request.physics != "exact":
        notes.append("-detsize has no effect (N03)")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _tell(request: Request, chain: Chain, frame: Frame) -> None:
    width, height = frame.size
    print(f"importing {frame.pixels_f * frame.pixels_s} pixel intensites: {request.float_file}")
    size = f"detsize={g(width)}x{g(height)}  pixel={g(frame.pixel)} meters ({frame.pixels_f}x{frame.pixels_s} pixels)"
    print(f"  distance={g(frame.distance)} {size}\n  Xbeam={g(frame.xbeam)} Ybeam={g(frame.ybeam)}")
    if chain.spread is not None:
        name = {"gauss": "Gaussian", "fiber": "fiber"}[chain.spread]
        automatic = "  with automatic rendering radius\n" if not chain.radius else ""
        print(f"  {name} PSF fwhm = {g(request.fwhm_um)} um {automatic}  with rendering radius: {chain.radius}")
    if request.noise:
        print(f"  seed: {-chain.seed}")
    state = DEFAULT_CALIBRATION_STATE if chain.calibration_seed is None else -chain.calibration_seed
    print(f"  calibration noise seed: {state}\n  calibration_noise = {g(100.0 * chain.calibration)} %")
    print(f"  input file scale = {g(request.scale)}\n  readout_noise = {g(chain.readout)} ADU")
    print(f"  flicker_noise = {g(100.0 * chain.flicker)} %\n  quantum_gain = {g(chain.gain)} ADU/photon")
    print(f"  adc_offset = {g(chain.adc)} ADU")


def _write(request: Request, chain: Chain, frame: Frame, photons: Floats) -> None:
    law = exact if request.physics == "exact" else faithful
    header, kind = _header(request, chain, frame), f"{chain.bits // 8}-byte integers"
    if not request.noise and chain.spread is not None:
        spread = interruptible(lambda: law.spread_image(photons, chain))
        print(f"  applying PSF to noiseless image width = {g(chain.width)} pixels")
        _tell_spread(spread, chain)
        photons = spread.image
    with WholeFiles() as files:
        values = interruptible(lambda: law.noiseless(photons, chain))
        print(f"writing {request.int_file} as {values.size} {kind}")
        with files.file(request.int_file, "-intfile") as file:
            file.write(header + values.tobytes())
        if request.pgm:
            print(f"writing {request.pgm_file} as 1-byte integers")
            grey = np.minimum(values, 255).astype(np.uint8)
            write_pgm(request.pgm_file, grey, 1.0, opening=files.file, field="-pgmfile")
        if request.noise:
            image = interruptible(lambda: law.noise_image(photons, chain))
            _tell_noise(request, image, chain, kind)
            with files.file(request.noise_file, "-noisefile") as file:
                file.write(header + image.values.tobytes())


def _tell_noise(request: Request, image: NoiseImage, chain: Chain, kind: str) -> None:
    if image.spread is not None and image.before is not None:
        print(f"{image.before:.0f} photons on noise image before PSF\n  applying PSF width = {g(request.fwhm_um)} um")
        _tell_spread(image.spread, chain)
    print(f"{image.photons:.0f} photons on noise image ({image.overloads} overloads)")
    print(f"writing {request.noise_file} as {kind}")


def _tell_spread(spread: Spread, chain: Chain) -> None:
    if not chain.radius:
        print(f"  maximum input photon/pixel: {g(spread.brightest)}")
    if not spread.brightest > 0.0:
        print("WARNING: no photons, PSF skipped")
        return
    if not chain.radius:
        print(f"  auto-selected psf_radius = {spread.radius} pixels")
    if spread.added_back >= 0.0:
        print(f"adding back {g(spread.added_back)} lost photons")
    else:
        print(f"{g(-spread.added_back)} photons left the frame")


def _header(request: Request, chain: Chain, frame: Frame) -> bytes:
    """The SMV header of both images; that of `-header` byte for byte."""
    if frame.header is not None:
        return frame.header
    lines = {
        "DIM": "2", "BYTE_ORDER": f"{sys.byteorder}_endian",
        "TYPE": "unsigned_short" if chain.bits == 16 else "long_integer",
        "SIZE1": str(frame.pixels_f), "SIZE2": str(frame.pixels_s), "PIXEL_SIZE": g(frame.pixel * 1000.0),
        "DISTANCE": g(frame.distance * 1000.0), "WAVELENGTH": g(request.wavelength_A),
        "BEAM_CENTER_X": g(frame.xbeam * 1000.0), "BEAM_CENTER_Y": g((frame.size[1] - frame.ybeam) * 1000.0),
        "PHI": g(request.phi_deg), "OSC_START": g(request.phi_deg), "OSC_RANGE": g(request.osc_deg),
        "DETECTOR_SN": "000", "BEAMLINE": "fake",
    }  # fmt: skip
    text = "".join(f"{key}={value};\n" for key, value in lines.items())
    return f"{{\nHEADER_BYTES={HEADER_BYTES};\n{text}}}\f".ljust(HEADER_BYTES).encode("ascii")
