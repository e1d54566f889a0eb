"""The command line of noisify, read strictly (specs: noisify 1, 2)."""

from __future__ import annotations

import difflib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nanobrag_torch.detector.chain import Chain
from nanobrag_torch.errors import InputError
from nanobrag_torch.text import real

DEFAULT_FLUENCE = 125932015286227086360700780544.0


@dataclass(frozen=True)
class Request:
    """What was asked for; lengths in mm, angles in degrees, wavelengths in Å, the width of the spread in µm.

    `said` holds the flags that were given; `notes` what has no effect.
    """

    chain: Chain = Chain()
    float_file: str | None = None
    header: str | None = None
    pixels_f: int | None = None
    pixels_s: int | None = None
    pixel_mm: float | None = None
    distance_mm: float | None = None
    detsize_mm: float | None = None
    wavelength_A: float = 1.0
    xbeam_mm: float | None = None
    ybeam_mm: float | None = None
    phi_deg: float = 0.0
    osc_deg: float = 1.0
    fluence: float = DEFAULT_FLUENCE
    scale: float = 1.0
    fwhm_um: float = 46.0
    noise: bool = True
    pgm: bool = True
    int_file: str = "intimage.img"
    noise_file: str = "noiseimage.img"
    pgm_file: str = "image.pgm"
    physics: str = "nanobragg"
    unknown_spread: str | None = None
    notes: tuple[str, ...] = field(default=())


def _number(flag: str, word: str, low: float = -math.inf, high: float = math.inf) -> float:
    try:
        value = real(word)
    except ValueError as error:
        raise InputError(flag, f"{word!r} is not a number", f"write {flag} x") from error
    if not math.isfinite(value) or not low <= value <= high:
        raise InputError(flag, f"{word} cannot be", f"give a number from {low:g} to {high:g}")
    return value


def _whole(flag: str, word: str, low: int, high: int = 2**31 - 1) -> int:
    value = _number(flag, word, low, high)
    if value != math.floor(value):
        raise InputError(flag, f"{word} is not a whole number", f"write {flag} N")
    return int(value)


Rule = tuple[bool, Callable[[Request, str, str], Request]]


def _with(request: Request, name: str, value: Any) -> Request:
    return replace(request, **{name: value})


def _with_chain(chain: Chain, name: str, value: Any) -> Chain:
    return replace(chain, **{name: value})


def _field(name: str, low: float = -math.inf, high: float = math.inf) -> Rule:
    return True, lambda r, flag, word: _with(r, name, _number(flag, word, low, high))


def _file(name: str) -> Rule:
    return True, lambda r, flag, word: _with(r, name, word)


def _chain(name: str, low: float = 0.0, high: float = math.inf) -> Rule:
    return True, lambda r, flag, word: replace(r, chain=_with_chain(r.chain, name, _number(flag, word, low, high)))


def _seed(name: str) -> Rule:
    def put(r: Request, flag: str, word: str) -> Request:
        return replace(r, chain=_with_chain(r.chain, name, _whole(flag, word, -(2**31) + 1)))

    return True, put


def _pixels(*names: str) -> Rule:
    def put(r: Request, flag: str, word: str) -> Request:
        count = _whole(flag, word, 1, 1_000_000)
        for name in names:
            r = _with(r, name, count)
        return r

    return True, put


def _spread(r: Request, flag: str, word: str) -> Request:
    law = next((law for law in ("gauss", "fiber") if law in word), None)
    return replace(r, chain=replace(r.chain, spread=law), unknown_spread=None if law else word)


def _bits(r: Request, flag: str, word: str) -> Request:
    bits = _whole(flag, word, 16, 32)
    if bits not in (16, 32):
        raise InputError(flag, f"{bits} bits", "give 16 or 32")
    return replace(r, chain=replace(r.chain, bits=bits))


def _radius(r: Request, flag: str, word: str) -> Request:
    return replace(r, chain=replace(r.chain, radius=int(_number(flag, word, 0.0, 1e6))))


def _ignored(r: Request, flag: str, word: str) -> Request:
    _number(flag, word)
    return replace(r, notes=(*r.notes, f"{flag} has no effect (N11)"))


def _physics(r: Request, flag: str, word: str) -> Request:
    if word not in ("nanobragg", "exact"):
        raise InputError(flag, f"{word!r} is not a mode", "choose nanobragg or exact")
    return replace(r, physics=word)


FLAGS: dict[str, Rule] = {
    "-floatfile": _file("float_file"),
    "-floatimage": _file("float_file"),
    "-bin": _file("float_file"),
    "-header": _file("header"),
    "-detpixels_x": _pixels("pixels_f"),
    "-detpixels_y": _pixels("pixels_s"),
    "-detpixels": _pixels("pixels_f", "pixels_s"),
    "-pixel": _field("pixel_mm", 1e-9, 1e6),
    "-detsize": _field("detsize_mm", 0.0),
    "-distance": _field("distance_mm"),
    "-lambda": _field("wavelength_A", 1e-9, 1e9),
    "-Xbeam": _field("xbeam_mm"),
    "-Ybeam": _field("ybeam_mm"),
    "-phi": _field("phi_deg"),
    "-osc": _field("osc_deg"),
    "-fluence": _field("fluence", 0.0),
    "-scale": _field("scale"),
    "-gain": _chain("gain"),
    "-adc": _chain("adc", -math.inf),
    "-bits": (True, _bits),
    "-readout": _chain("readout"),
    "-readnoi": _chain("readout"),
    "-flicker": _chain("flicker"),
    "-calibration": _chain("calibration"),
    "-seed": _seed("seed"),
    "-calib_seed": _seed("calibration_seed"),
    "-badpix_seed": (True, _ignored),
    "-hotpix_seed": (True, _ignored),
    "-psf_fw": _field("fwhm_um", 1e-6, 1e9),
    "-psf_si": _field("fwhm_um", 1e-6, 1e9),
    "-psf_wi": _field("fwhm_um", 1e-6, 1e9),
    "-psf_rad": (True, _radius),
    "-psf": (True, _spread),
    "-intfile": _file("int_file"),
    "-intimage": _file("int_file"),
    "-noisefile": _file("noise_file"),
    "-noiseimage": _file("noise_file"),
    "-pgmfile": _file("pgm_file"),
    "-pgmimage": _file("pgm_file"),
    "-nopgm": (False, lambda r, flag, word: replace(r, pgm=False)),
    "-nonoise": (False, lambda r, flag, word: replace(r, noise=False)),
    "-physics": (True, _physics),
}
"""Whether a flag takes a word, and what it does; spellings that begin others come later."""
PREFIXES = ("-detsize", "-readout", "-readnoi", "-psf_fw", "-psf_si", "-psf_wi", "-psf_rad")
"""Spellings that longer words may begin with, as noisify reads them."""


def read(words: Sequence[str]) -> Request:
    """The request of a command line.

    Raises:
        InputError: a word that is not a flag, a missing or impossible value, no input.
    """
    request, left = Request(chain=Chain(seed=int(time.time()))), list(words)
    while left:
        word = left.pop(0)
        flag = word if word in FLAGS else next((p for p in PREFIXES if word.startswith(p)), None)
        if flag is None and not word.startswith("-") and "floatimage.bin" in word:
            request = replace(request, float_file=word)
            continue
        if flag is None:
            near = difflib.get_close_matches(word, FLAGS, 1)
            raise InputError(word, "it is not a flag of noisify", f"did you mean {near[0]}?" if near else "see --help")
        takes, put = FLAGS[flag]
        if takes and not left:
            raise InputError(word, "its value is missing", f"write {flag} and a value")
        request = put(request, word, left.pop(0) if takes else "")
    if request.float_file is None:
        raise InputError("-floatfile", "there is no input", "name a float image, 4-byte floats without a header")
    return request
