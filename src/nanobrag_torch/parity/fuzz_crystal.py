"""Random words about the crystal, the beam, the sweep, the sampling and the outputs."""

from __future__ import annotations

from nanobrag_torch.parity import fuzz_files
from nanobrag_torch.parity.fuzz_builder import Builder
from nanobrag_torch.parity.fuzz_files import number


def cell(b: Builder) -> None:
    """A cell of any system, as -cell, -mat or both."""
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


def size(b: Builder) -> None:
    """Numbers of cells or sample sizes."""
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
        # Not near whole numbers of cells, which a last bit turns into one more.
        lengths = [1e-7 * b.cell[i] * (b.rng.randint(0, 11) + b.rng.uniform(0.2, 0.8)) for i in range(3)]
        if b.maybe(0.4):
            b.flag("-samplesize", number(b.rng, lengths[0], 6))
            lengths = [lengths[0]] * 3
            chosen = [0, 1, 2]
        else:
            chosen = [i for i in range(3) if b.maybe(0.7)]
            for i in chosen:
                b.flag(("-sample_thick", "-sample_width", "-sample_heigh")[i], number(b.rng, lengths[i], 6))
        for i in chosen:
            b.counts[i] = max(int(lengths[i] * 1e7 / b.cell[i]) + 1, 1)


def amplitudes(b: Builder) -> None:
    """A table of reflections, an amplitude outside it, and interpolation."""
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


def orientation(b: Builder) -> None:
    """A misset, explicit or random."""
    if b.maybe(0.5):
        b.flag("-misset", *(b.rng.uniform(-180.0, 180.0) for _ in range(3)))
    elif b.maybe(0.35):
        b.flag("-misset", b.rng.choice(("random", "rand")))
        b.flag("-misset_seed", b.integer(b.rng.choice((0, -5, 12345678, b.rng.randint(1, 10**6)))))
    elif b.maybe(0.05):
        b.flag("-misset_seed", b.rng.randint(1, 99))


def shape(b: Builder) -> None:
    """A crystal shape and its width."""
    if b.maybe(0.4):
        b.flag(b.rng.choice(("-square_xtal", "-round_xtal", "-gauss_xtal", "-tophat_spots")))
    if b.maybe(0.15):
        b.flag("-fudge", b.rng.uniform(0.2, 3.0))


def mosaic(b: Builder) -> None:
    """Mosaic spread and domains."""
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


def divergence(b: Builder) -> None:
    """A source file, or divergence and dispersion."""
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


def _divergence_steps(b: Builder) -> None:
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


def polarization(b: Builder) -> None:
    """Polarization, on or off."""
    if b.maybe(0.4):
        b.flag("-polar", b.rng.choice((0.0, 1.0, -1.0, b.rng.uniform(-1.0, 1.0))))
    if b.maybe(0.15):
        b.flag("-nopolar")


def fluence(b: Builder) -> None:
    """Fluence, flux, beam size and water."""
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


def phi(b: Builder) -> None:
    """A spindle sweep."""
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


def oversampling(b: Builder) -> None:
    """Sub-pixels, factors per term and a resolution limit."""
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


def outputs(b: Builder) -> None:
    """Names and scales of the outputs."""
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


def no_effect(b: Builder) -> None:
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
