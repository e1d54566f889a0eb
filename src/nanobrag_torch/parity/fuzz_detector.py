"""Random words about the beam's colour, the detector, its placement, its sensor, and which pixels are drawn."""

from __future__ import annotations

from nanobrag_torch.parity import fuzz_files
from nanobrag_torch.parity.fuzz_builder import Builder
from nanobrag_torch.parity.fuzz_files import number, unit


def wavelength(b: Builder) -> None:
    """Wavelength or energy."""
    b.wavelength = float(f"{b.rng.uniform(0.6, 2.2):.4g}")
    if b.maybe(0.2):
        b.flag("-energy", number(b.rng, 12398.42 / b.wavelength, 7))
    elif b.maybe(0.9):
        b.flag("-lambda", f"{b.wavelength:.4g}")
    else:
        b.wavelength = 1.0


def detector_size(b: Builder) -> None:
    """Pixels and lengths."""
    b.pixels = (b.rng.randint(5, 30), b.rng.randint(5, 30))
    b.pixel = float(number(b.rng, b.rng.choice((0.1, 0.2, 0.4, 1.0, 2.5)) * b.rng.uniform(0.7, 1.3), 3))
    b.flag("-pixel", f"{b.pixel:.12g}")
    kind = b.rng.random()
    if kind < 0.3:
        b.pixels = (b.pixels[0], b.pixels[0])
        b.flag("-detpixels", b.integer(b.pixels[0]))
    elif kind < 0.75:
        b.flag("-detpixels_f", b.integer(b.pixels[0]))
        b.flag("-detpixels_s", b.integer(b.pixels[1]))
    elif kind < 0.9:
        b.flag("-detsize_f", b.pixel * (b.pixels[0] + b.rng.uniform(-0.4, 0.4)))
        b.flag("-detsize_s", b.pixel * (b.pixels[1] + b.rng.uniform(-0.4, 0.4)))
    else:
        b.pixels = (b.pixels[0], b.pixels[0])
        b.flag("-detsize", b.pixel * (b.pixels[0] + b.rng.uniform(-0.4, 0.4)))


def distance(b: Builder) -> None:
    """Distances, one or both."""
    half = 0.5 * b.pixel * max(b.pixels)
    b.distance = half / b.rng.choice((0.05, 0.2, 0.4, 0.8, 1.5)) * b.rng.uniform(0.8, 1.2)
    b.distance = float(number(b.rng, max(b.distance, 1.0), 4))
    kind = b.rng.random()
    if kind < 0.75:
        b.flag("-distance", f"{b.distance:.12g}")
    elif kind < 0.95:
        b.flag("-close_distance", f"{b.distance:.12g}")
    if kind > 0.9:
        b.flag("-distance", b.distance * b.rng.uniform(0.7, 1.4))


def convention(b: Builder) -> None:
    """Conventions, the last of which wins, and vectors of a custom one."""
    names = ("-mosflm", "-adxv", "-denzo", "-xds", "-dials")
    for _ in range(b.rng.choice((0, 1, 1, 1, 2))):
        name = b.rng.choice(names)
        b.flag(name)
    if b.maybe(0.3):
        _vectors(b)
    if b.maybe(0.06):
        b.flag("-pix0_vector", *(b.rng.uniform(-50.0, 50.0) for _ in range(3)))


def _vectors(b: Builder) -> None:
    """Some of the vectors of a custom detector: near a right-handed frame, not exactly of length 1."""

    def tilted(vector: tuple[float, float, float]) -> list[float]:
        scale = b.rng.choice((1.0, 1.0, 1.3))
        return [scale * (v + b.rng.choice((0.0, b.rng.uniform(-0.2, 0.2)))) for v in vector]

    frames = (
        ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
    )
    fast, slow, beam = b.rng.choice(frames)
    whole = beam != (1.0, 0.0, 0.0) or b.maybe(0.3)
    for name, vector in (("-fdet_vector", fast), ("-sdet_vector", slow), ("-beam_vector", beam)):
        if whole or b.maybe(0.4):
            b.flag(name, *tilted(vector))
    if whole or b.maybe(0.2):
        b.flag("-odet_vector", *(beam if b.maybe(0.5) else tilted(beam)))
    b.beam = list(beam)
    for name, vector in (("-polar_vector", slow), ("-spindle_axis", fast)):
        if b.maybe(0.4):
            b.flag(name, *tilted(vector))


def beam_centre(b: Builder) -> None:
    """Beam centres by all their names, and the pivot."""
    size = [b.pixel * n for n in b.pixels]
    for first, second, scale in (
        ("-Xbeam", "-Ybeam", 1.0),
        ("-Xclose", "-Yclose", 1.0),
        ("-ORGX", "-ORGY", 1 / b.pixel),
    ):
        if b.maybe(0.3):
            for name, length in ((first, size[0]), (second, size[1])):
                if b.maybe(0.85):
                    b.flag(name, scale * length * b.rng.choice((0.5, b.rng.uniform(-0.2, 1.2))))
    if b.maybe(0.2):
        b.flag("-pivot", b.rng.choice(("beam", "sample")))


def detector_turns(b: Builder) -> None:
    """Rotations and two-theta."""
    for name in ("-detector_rotx", "-detector_roty", "-detector_rotz"):
        if b.maybe(0.2):
            b.flag(name, b.rng.choice((1.0, 5.0, 40.0)) * b.rng.uniform(-1.0, 1.0))
    if b.maybe(0.08):
        axis = " ".join(f"{x:.9f}" for x in unit(b.rng)) if b.maybe(0.5) else b.rng.choice(("0 1 0", "0 0 -1", "1 0 0"))
        b.groups.append([b.spelt("-twotheta_axis"), *axis.split()])
    if b.maybe(0.25):
        b.flag("-twotheta", b.rng.choice((2.0, 15.0, 60.0)) * b.rng.uniform(-1.0, 1.0))


def oddities(b: Builder) -> None:
    """Curved detectors, point pixels, an explicit origin."""
    if b.maybe(0.06):
        b.curved = True
        b.groups.append([b.spelt("-curved_det"), *(["1"] if b.maybe(0.3) else [])])
    if b.maybe(0.06):
        b.flag("-point_pixel")
    if b.maybe(0.04):
        b.flag("-pix0_override_mm", *(b.distance * (v + b.rng.uniform(-0.4, 0.4)) for v in b.beam))


def sensor(b: Builder) -> None:
    """Sensor thickness, depth and layers."""
    # A curved sensor is met from behind at wide angles: its captured fraction overflows in both programs.
    if b.curved or not b.maybe(0.25):
        return
    layers = 2
    if b.maybe(0.85):
        b.flag("-detector_thick", b.rng.choice((50.0, 320.0, 1000.0)) * b.rng.uniform(0.5, 1.5))
    if b.maybe(0.8):
        depth = b.rng.choice(("inf", "0", "-5", "", "", "", "", "", "", ""))
        b.flag("-detector_abs", depth or number(b.rng, b.rng.uniform(50.0, 2000.0)))
    if b.maybe(0.5):
        layers = b.rng.choice((0, 1, 2, 3, 4))
        b.flag("-detector_thicksteps", b.integer(layers))
    b.terms *= max(layers, 2)


def selection(b: Builder) -> None:
    """A region."""
    if not b.maybe(0.2):
        return
    f, s = b.pixels
    x, y = b.rng.randint(-2, f - 1), b.rng.randint(-2, s - 1)
    b.flag("-roi", x, b.rng.choice((-1, f + 5, b.rng.randint(max(x, 0), f))), y, b.rng.randint(max(y, 0), s))


def _header_keys(b: Builder) -> dict[str, str]:
    """A random choice of the keys that a run takes from a header."""
    size = [b.pixel * n for n in b.pixels]
    keys = {
        "PIXEL_SIZE": f"{b.pixel:g}",
        "DISTANCE": f"{b.distance:g}",
        "CLOSE_DISTANCE": f"{b.distance * 0.98:g}",
        "WAVELENGTH": f"{b.wavelength:g}",
        "BEAM_CENTER_X": f"{size[0] * b.rng.uniform(0.2, 0.8):g}",
        "BEAM_CENTER_Y": f"{size[1] * b.rng.uniform(0.2, 0.8):g}",
        "XDS_ORGX": f"{b.pixels[0] * b.rng.uniform(0.2, 0.8):g}",
        "XDS_ORGY": f"{b.pixels[1] * b.rng.uniform(0.2, 0.8):g}",
        "PHI": f"{b.rng.uniform(-20.0, 20.0):g}",
        "OSC_RANGE": b.rng.choice(("0", "1", "0.25")),
        "TWOTHETA": b.rng.choice(("0", "12")),
        "DETECTOR_SN": "000",
        "BEAMLINE": "fake",
    }
    return {key: value for key, value in keys.items() if b.maybe(0.6)}


def headers(b: Builder) -> None:
    """A mask and an image header."""
    # The size of the final image is that of the flags; rounding makes -detsize unfit for a mask of the same size.
    counted = any(word.lstrip("-").startswith("detpixels") for group in b.groups for word in group[:1])
    if b.maybe(0.08) and counted:
        content = fuzz_files.smv(b.rng, _header_keys(b), b.pixels, b.rng.choice((0.0, 0.1, 0.6)))
        b.flag("-mask", b.file("mask.img", content))
    if b.maybe(0.08):
        b.flag("-img", b.file("camera.img", fuzz_files.smv(b.rng, _header_keys(b), b.pixels, 0.0)))
