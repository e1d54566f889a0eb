"""Random command lines over the whole flag table, each with the input files it needs.

Line `i` of seed `s` depends on these two numbers only. Images are small and the number of terms per pixel is bounded,
so that hundreds of lines take minutes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from nanobrag_torch.cli.flags import FLAGS
from nanobrag_torch.parity import fuzz_files
from nanobrag_torch.parity.fuzz_files import Cell, number, unit

MOST_TERMS = 250_000
INPUT_FOLDER = "../inputs"

_SPELLINGS = {flag.name: flag.spellings for flag in FLAGS}
_ENDINGS = {
    "-lambda": ("", "0"),
    "-wave": ("", "length"),
    "-pixel": ("", "_size"),
    "-Xbeam": ("", "_mm"),
    "-Ybeam": ("", "_mm"),
    "-osc": ("", "_range"),
    "-mosaic_dom": ("", "ains"),
    "-mosaic_spr": ("", "ead"),
    "-mosaici": ("ty", ""),
    "-sourcefile": ("", "s"),
}


@dataclass
class RandomLine:
    """A command line with its input files, by name."""

    args: list[str]
    files: dict[str, bytes] = field(default_factory=dict)


class _Builder:
    """Collects flags in groups, each group a few words that stay together."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.groups: list[list[str]] = []
        self.files: dict[str, bytes] = {}
        self.pixels = (16, 16)
        self.wavelength = 1.0
        self.pixel = 0.4
        self.distance = 100.0
        self.cell: Cell = (40.0, 45.0, 50.0, 90.0, 90.0, 90.0)
        self.counts = [4, 4, 4]
        self.terms = 1.0
        self.table = False
        self.beam = [1.0, 0.0, 0.0]

    def maybe(self, chance: float) -> bool:
        return self.rng.random() < chance

    def flag(self, name: str, *values: object) -> None:
        self.groups.append(self.words(name, *values))

    def words(self, name: str, *values: object) -> list[str]:
        shown = [v if isinstance(v, str) else str(v) if isinstance(v, int) else number(self.rng, v) for v in values]  # type: ignore[arg-type]
        return [self.spelt(name), *shown]

    def spelt(self, name: str) -> str:
        """One of the flag's spellings, continued where the table allows it, with one or two dashes."""
        spelling = self.rng.choice(_SPELLINGS[name])
        if spelling.endswith("*"):
            spelling = spelling[:-1]
            spelling += self.rng.choice(_ENDINGS.get(spelling, ("",)))
        return "-" + spelling if self.maybe(0.05) else spelling

    def integer(self, value: int) -> str:
        return f"{value}.0" if self.maybe(0.03) else str(value)

    def file(self, name: str, content: str | bytes) -> str:
        self.files[name] = content.encode() if isinstance(content, str) else content
        return f"{INPUT_FOLDER}/{name}"


def random_line(seed: int, index: int) -> RandomLine:
    """Line `index` of the sequence of `seed`."""
    rng = random.Random(f"nb-parity {seed} {index}")
    builder = _Builder(rng)
    parts: list[Callable[[_Builder], None]] = [
        _wavelength, _detector_size, _distance, _convention, _beam_centre, _detector_turns, _oddities, _sensor,
        _cell, _size, _amplitudes, _orientation, _shape, _mosaic, _divergence, _polarization, _fluence, _phi,
        _oversampling, _selection, _headers, _outputs, _no_effect,
    ]  # fmt: skip
    for part in parts:
        part(builder)
    rng.shuffle(builder.groups)
    args = [word for group in builder.groups for word in group]
    return RandomLine([*args, *_cap(builder)], builder.files)


def _cap(b: _Builder) -> list[str]:
    """Words at the end that keep the number of terms within its bound."""
    room = MOST_TERMS / max(b.terms, 1.0)
    if b.pixels[0] * b.pixels[1] <= room:
        return []
    edge = max(int(room**0.5), 3)
    x, y = b.rng.randrange(max(b.pixels[0] - edge, 1)), b.rng.randrange(max(b.pixels[1] - edge, 1))
    return ["-roi", str(x), str(x + edge - 1), str(y), str(y + edge - 1)]


def _wavelength(b: _Builder) -> None:
    b.wavelength = float(f"{b.rng.uniform(0.6, 2.2):.4g}")
    if b.maybe(0.2):
        b.flag("-energy", number(b.rng, 12398.42 / b.wavelength, 7))
    elif b.maybe(0.9):
        b.flag("-lambda", f"{b.wavelength:.4g}")
    else:
        b.wavelength = 1.0


def _detector_size(b: _Builder) -> None:
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


def _distance(b: _Builder) -> None:
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


def _convention(b: _Builder) -> None:
    names = ("-mosflm", "-adxv", "-denzo", "-xds", "-dials")
    for _ in range(b.rng.choice((0, 1, 1, 1, 2))):
        name = b.rng.choice(names)
        b.flag(name)
    if b.maybe(0.3):
        _vectors(b)
    if b.maybe(0.06):
        b.flag("-pix0_vector", *(b.rng.uniform(-50.0, 50.0) for _ in range(3)))


def _vectors(b: _Builder) -> None:
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


def _beam_centre(b: _Builder) -> None:
    size = [b.pixel * n for n in b.pixels]
    for first, second, scale in (("-Xbeam", "-Ybeam", 1.0), ("-Xclose", "-Yclose", 1.0), ("-ORGX", "-ORGY", 1 / b.pixel)):
        if b.maybe(0.3):
            for name, length in ((first, size[0]), (second, size[1])):
                if b.maybe(0.85):
                    b.flag(name, scale * length * b.rng.choice((0.5, b.rng.uniform(-0.2, 1.2))))
    if b.maybe(0.2):
        b.flag("-pivot", b.rng.choice(("beam", "sample")))


def _detector_turns(b: _Builder) -> None:
    for name in ("-detector_rotx", "-detector_roty", "-detector_rotz"):
        if b.maybe(0.2):
            b.flag(name, b.rng.choice((1.0, 5.0, 40.0)) * b.rng.uniform(-1.0, 1.0))
    if b.maybe(0.08):
        axis = " ".join(f"{x:.9f}" for x in unit(b.rng)) if b.maybe(0.5) else b.rng.choice(("0 1 0", "0 0 -1", "1 0 0"))
        b.groups.append([b.spelt("-twotheta_axis"), *axis.split()])
    if b.maybe(0.25):
        b.flag("-twotheta", b.rng.choice((2.0, 15.0, 60.0)) * b.rng.uniform(-1.0, 1.0))


def _oddities(b: _Builder) -> None:
    if b.maybe(0.06):
        b.groups.append([b.spelt("-curved_det"), *(["1"] if b.maybe(0.3) else [])])
    if b.maybe(0.06):
        b.flag("-point_pixel")
    if b.maybe(0.04):
        b.flag("-pix0_override_mm", *(b.distance * (v + b.rng.uniform(-0.4, 0.4)) for v in b.beam))


def _sensor(b: _Builder) -> None:
    if not b.maybe(0.25):
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


def _cell(b: _Builder) -> None:
    b.table = b.maybe(0.35)
    largest = 25.0 if b.table and b.maybe(0.6) else 120.0
    a, c, e = (float(f"{b.rng.uniform(max(8.0, 0.3 * largest), largest):.3g}") for _ in range(3))
    kind = b.rng.random()
    right = 90.0
    if kind < 0.35:
        b.cell = (a, c, e, right, right, right)
    elif kind < 0.45:
        b.cell = (a, a, e, right, right, 120.0)
    elif kind < 0.6:
        b.cell = (a, c, e, right, float(f"{b.rng.uniform(92, 125):.4g}"), right)
    else:
        angles = [float(f"{b.rng.uniform(70, 110):.4g}") for _ in range(3)]
        b.cell = (a, c, e, angles[0], angles[1], angles[2])
    count = 6
    with_matrix = b.maybe(0.3)
    if not with_matrix or b.maybe(0.15):
        if b.maybe(0.1):
            count = b.rng.randint(1, 6)
            b.cell = (*b.cell[:count], *(b.cell[0], b.cell[0], right, right, right)[max(count - 1, 0) :])[:6]  # type: ignore[assignment]
        b.flag("-cell", *(f"{x:.12g}" for x in b.cell[:count]))
    if with_matrix:
        b.flag("-mat", b.file("crystal.mat", fuzz_files.matrix(b.rng, b.cell, b.wavelength)))


def _size(b: _Builder) -> None:
    most = 3 if b.table and b.maybe(0.6) else 20
    kind = b.rng.random()
    if kind < 0.45:
        n = b.rng.choice((0, 1, 2, 3, 5, 8, b.rng.randint(1, most), most))
        b.counts = [max(n, 1)] * 3
        b.flag("-N", b.integer(n))
    elif kind < 0.8:
        for axis, name in enumerate(("-Na", "-Nb", "-Nc")):
            b.counts[axis] = 1
            if b.maybe(0.9):
                b.counts[axis] = b.rng.randint(1, most)
                b.flag(name, b.integer(b.counts[axis]))
    else:
        b.counts = [1, 1, 1]
    if kind > 0.75:
        lengths = [1e-7 * b.cell[i] * b.rng.randint(1, 12) * b.rng.uniform(0.8, 1.2) for i in range(3)]
        if b.maybe(0.4):
            b.flag("-samplesize", lengths[0])
            lengths = [lengths[0]] * 3
            chosen = [0, 1, 2]
        else:
            chosen = [i for i in range(3) if b.maybe(0.7)]
            for i in chosen:
                b.flag(("-sample_thick", "-sample_width", "-sample_heigh")[i], lengths[i])
        for i in chosen:
            b.counts[i] = max(int(lengths[i] * 1e7 / b.cell[i]) + 1, 1)


def _amplitudes(b: _Builder) -> None:
    if b.table:
        # Five wide is in range of the interpolation at a single point: 0 or not is then a matter of rounding.
        sizes = (1, 3, 4, 5, 6, 7)
        half = (b.rng.choice(sizes), b.rng.choice(sizes), b.rng.choice(sizes))
        b.flag("-hkl", b.file("table.hkl", fuzz_files.reflections(b.rng, half)))
        if b.maybe(0.1):
            b.flag("-dump", "other.bin")
    if not b.table or b.maybe(0.5):
        b.flag("-default_F", b.rng.choice((1.0, 10.0, 100.0)) * b.rng.uniform(0.5, 1.5))
    if b.maybe(0.15):
        b.flag("-interpolate" if b.maybe(0.6) else "-nointerpolate")


def _orientation(b: _Builder) -> None:
    if b.maybe(0.5):
        b.flag("-misset", *(b.rng.uniform(-180.0, 180.0) for _ in range(3)))
    elif b.maybe(0.35):
        b.flag("-misset", b.rng.choice(("random", "rand")))
        b.flag("-misset_seed", b.integer(b.rng.choice((0, -5, 12345678, b.rng.randint(1, 10**6)))))
    elif b.maybe(0.05):
        b.flag("-misset_seed", b.rng.randint(1, 99))


def _shape(b: _Builder) -> None:
    if b.maybe(0.4):
        b.flag(b.rng.choice(("-square_xtal", "-round_xtal", "-gauss_xtal", "-tophat_spots")))
    if b.maybe(0.15):
        b.flag("-fudge", b.rng.uniform(0.2, 3.0))


def _mosaic(b: _Builder) -> None:
    domains = 1
    if b.maybe(0.25):
        b.flag("-mosaic", b.rng.choice((0.0, b.rng.uniform(0.05, 3.0), b.rng.uniform(0.05, 3.0))))
        domains = 10
    if b.maybe(0.2):
        n = b.rng.choice((1, 2, 3, 5, 0, -1))
        b.flag("-mosaic_dom", b.integer(n))
        domains = n if n > 0 and domains > 1 else domains
    if b.maybe(0.15):
        b.flag("-mosaic_seed", b.rng.choice((0, 5, -7, b.rng.randint(1, 10**6))))
    b.terms *= domains


def _divergence(b: _Builder) -> None:
    if b.maybe(0.12):
        name = "sources.txt"
        b.flag("-sourcefile", b.file(name, fuzz_files.sources(b.rng, b.beam, b.wavelength)))
        b.terms *= 5
        return
    if b.maybe(0.25):
        _divergence_steps(b)
    if b.maybe(0.2):
        b.flag("-dispersion", b.rng.choice((0.0, 1.0, 4.0, -1.0)) * b.rng.uniform(0.5, 1.5))
        if b.maybe(0.6):
            b.flag("-dispsteps", b.integer(b.rng.choice((0, 1, 2, 3, 5))))
        b.terms *= 5
    if b.maybe(0.1):
        b.flag("-square_div" if b.maybe(0.6) else "-round_div")


def _divergence_steps(b: _Builder) -> None:
    def mrad() -> float:
        return b.rng.choice((1.0, 5.0, 20.0)) * b.rng.uniform(0.5, 1.5)

    if b.maybe(0.4):
        b.flag("-divergence", mrad())
    if b.maybe(0.3):
        b.flag("-divsteps", b.integer(b.rng.randint(0, 4)))
    for plane in ("h", "v"):
        wide = mrad()
        if b.maybe(0.3):
            b.flag(f"-{plane}divrange", wide)
        if b.maybe(0.2):
            b.flag(f"-{plane}divstep", 20.0 * b.rng.uniform(0.3, 1.0))
        if b.maybe(0.2):
            b.flag(f"-{plane}divsteps", b.integer(b.rng.randint(0, 4)))
    b.terms *= 16


def _polarization(b: _Builder) -> None:
    if b.maybe(0.4):
        b.flag("-polar", b.rng.choice((0.0, 1.0, -1.0, b.rng.uniform(-1.0, 1.0))))
    if b.maybe(0.15):
        b.flag("-nopolar")


def _fluence(b: _Builder) -> None:
    if b.maybe(0.3):
        b.flag("-fluence", 10.0 ** b.rng.uniform(20, 30))
    if b.maybe(0.2):
        b.flag("-flux", 10.0 ** b.rng.uniform(9, 13))
        if b.maybe(0.6):
            b.flag("-exposure", b.rng.uniform(0.01, 10.0))
    if b.maybe(0.2):
        b.flag("-beamsize", b.rng.choice((0.005, 0.1, 1.0, -1.0)) * b.rng.uniform(0.5, 1.5))
    if b.maybe(0.15):
        b.flag("-water", b.rng.uniform(0.1, 50.0))


def _phi(b: _Builder) -> None:
    steps = 1
    if b.maybe(0.3):
        b.flag("-phi", b.rng.choice((0.0, b.rng.uniform(-180.0, 180.0), -1.0)))
    if b.maybe(0.25):
        b.flag("-osc", b.rng.choice((0.0, 1.0, 2.0, b.rng.uniform(0.05, 10.0))))
        steps = 2
    if b.maybe(0.1):
        b.flag("-phistep", b.rng.choice((0.0, 0.5, -0.2, 1.0)))
        steps = 40
    if b.maybe(0.2):
        steps = b.rng.choice((0, 1, 2, 3, 4))
        b.flag("-phisteps", b.integer(steps))
    b.terms *= max(steps, 2)


def _oversampling(b: _Builder) -> None:
    extent = max(n * length for n, length in zip(b.counts, b.cell, strict=False))
    advised = 3.0 * extent / (b.wavelength * b.distance / b.pixel) + 1.0
    if advised <= 4.0 and b.maybe(0.3):
        n = int(advised)
        if b.maybe(0.3):
            b.flag("-oversample", b.rng.choice((0, -1)))
    else:
        n = b.rng.choice((1, 1, 1, 2, 3))
        b.flag("-oversample", b.integer(n))
    b.terms *= n * n
    for name in ("-oversample_thick", "-oversample_polar", "-oversample_omega"):
        if b.maybe(0.12):
            b.flag(name)
    if b.maybe(0.12):
        b.flag("-dmin", b.rng.choice((1.5, 3.0, 8.0, 25.0)) * b.rng.uniform(0.7, 1.4))


def _selection(b: _Builder) -> None:
    if not b.maybe(0.2):
        return
    f, s = b.pixels
    x, y = b.rng.randint(-2, f - 1), b.rng.randint(-2, s - 1)
    b.flag("-roi", x, b.rng.choice((-1, f + 5, b.rng.randint(max(x, 0), f))), y, b.rng.randint(max(y, 0), s))


def _header_keys(b: _Builder) -> dict[str, str]:
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


def _headers(b: _Builder) -> None:
    # The size of the final image is that of the flags; rounding makes -detsize unfit for a mask of the same size.
    counted = any(word.lstrip("-").startswith("detpixels") for group in b.groups for word in group[:1])
    if b.maybe(0.08) and counted:
        content = fuzz_files.smv(b.rng, _header_keys(b), b.pixels, b.rng.choice((0.0, 0.1, 0.6)))
        b.flag("-mask", b.file("mask.img", content))
    if b.maybe(0.08):
        b.flag("-img", b.file("camera.img", fuzz_files.smv(b.rng, _header_keys(b), b.pixels, 0.0)))


def _outputs(b: _Builder) -> None:
    if b.maybe(0.5):
        b.flag("-nonoise")
    if b.maybe(0.3):
        b.flag("-noisefile", "counts.img")
    b.flag("-seed", b.rng.choice((0, 1, -3, b.rng.randint(1, 10**6))))
    if b.maybe(0.2):
        b.flag("-adc", b.rng.choice((0.0, 10.0, 100.5)))
    if b.maybe(0.2):
        b.flag("-scale", b.rng.choice((0.0, 1.0, b.rng.uniform(0.001, 100.0))))
    if b.maybe(0.2):
        b.flag("-nopgm")
    if b.maybe(0.2):
        b.flag("-pgmscale", b.rng.choice((0.0, b.rng.uniform(0.01, 5.0))))
    if b.maybe(0.1):
        b.flag("-pgmfile", "grey.pgm")
    if b.maybe(0.1):
        b.flag("-intfile", "counts_int.img")
    if b.maybe(0.1):
        b.flag("-floatfile", "values.bin")
    if b.maybe(0.05):
        b.flag("-progress" if b.maybe(0.5) else "-noprogress")


def _no_effect(b: _Builder) -> None:
    """Flags that change nothing in either program."""
    if b.maybe(0.04):
        b.flag("-coherent")
    if b.maybe(0.04):
        b.flag("-density", 1.2)
    if b.maybe(0.04):
        b.flag("-MW", 14300.0)
    if b.maybe(0.04):
        b.flag("-stol", b.file("water.stol", fuzz_files.stol(b.rng)))
    if b.maybe(0.04):
        b.flag("-stolout", "never.stol")
    if b.maybe(0.04):
        b.flag("-source_weights")
