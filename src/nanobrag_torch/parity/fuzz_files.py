"""Input files for random command lines: small, valid, and different every time."""

from __future__ import annotations

import math
import random

Cell = tuple[float, float, float, float, float, float]


def number(rng: random.Random, value: float, digits: int | None = None) -> str:
    """A number as people write it: few digits mostly, sometimes many, sometimes with an exponent."""
    if digits is None:
        digits = rng.choice((2, 3, 3, 4, 4, 5, 8))
    if rng.random() < 0.03:
        return f"{value:.{digits}e}"
    return f"{float(f'{value:.{digits}g}'):.12g}"


def reflections(rng: random.Random, half: tuple[int, int, int]) -> str:
    """A list of h k l F: a box around 0 or off it, with gaps, duplicates and amplitudes of both signs."""
    # Where 0 is the last index that interpolation reaches, the beam pixel is in or out by rounding: no such box.
    offset = tuple(rng.choice((0, 0, 0, 1, -1)) if n != 3 else 0 for n in half)
    gap = rng.choice((0.0, 0.0, 0.2, 0.7))
    rows = []
    for h in range(-half[0], half[0] + 1):
        for k in range(-half[1], half[1] + 1):
            for l in range(-half[2], half[2] + 1):
                # Two opposite corners stay, so that gaps do not shrink the box.
                if rng.random() >= gap or (h, k, l) in (half, tuple(-n for n in half)):
                    rows.append((h + offset[0], k + offset[1], l + offset[2]))
    if rng.random() < 0.2:
        rows += rng.sample(rows, min(5, len(rows)))
    if rng.random() < 0.3:
        rng.shuffle(rows)
    signed = rng.random() < 0.25
    separator = rng.choice((" ", "  ", "\t"))
    lines = []
    for h, k, l in rows:
        amplitude = rng.uniform(-100.0 if signed else 0.0, 100.0)
        lines.append(separator.join((str(h), str(k), str(l), f"{amplitude:.{rng.choice((0, 1, 3))}f}")))
    return "\n".join(lines) + "\n"


def matrix(rng: random.Random, cell: Cell, wavelength: float) -> str:
    """Nine numbers: columns a*, b*, c* times the wavelength, turned at random; now and then left-handed."""
    rows = reciprocal(cell)
    turn = _rotation(rng)
    columns = [[sum(turn[i][k] * axis[k] for k in range(3)) for i in range(3)] for axis in rows]
    if rng.random() < 0.15:
        columns = [[-x for x in axis] for axis in columns]
    layout = rng.choice(("{:.9f}", "{:.12g}", "{:12.8f}"))
    lines = [" ".join(layout.format(columns[j][i] * wavelength) for j in range(3)) for i in range(3)]
    return "\n".join(lines) + "\n"


def reciprocal(cell: Cell) -> list[list[float]]:
    """Reciprocal vectors (1/Å) of a cell, a* along x and b* in the xy plane; exact for every cell."""
    a, b, c = cell[:3]
    ca, cb, cg = (math.cos(math.radians(x)) for x in cell[3:])
    sg = math.sqrt(1.0 - cg * cg)
    height = math.sqrt(1.0 - ca * ca - cb * cb - cg * cg + 2.0 * ca * cb * cg) / sg
    direct = [[a, 0.0, 0.0], [b * cg, b * sg, 0.0], [c * cb, c * (ca - cb * cg) / sg, c * height]]
    volume = a * b * sg * c * height
    return [[x / volume for x in cross(direct[(i + 1) % 3], direct[(i + 2) % 3])] for i in range(3)]


def cross(a: list[float], b: list[float]) -> list[float]:
    """The vector product."""
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def unit(rng: random.Random) -> list[float]:
    """A direction, uniform on the sphere."""
    while True:
        v = [rng.gauss(0.0, 1.0) for _ in range(3)]
        length = math.sqrt(sum(x * x for x in v))
        if length > 0.1:
            return [x / length for x in v]


def _rotation(rng: random.Random) -> list[list[float]]:
    x = unit(rng)
    y = cross(unit(rng), x)
    length = math.sqrt(sum(v * v for v in y)) or 1.0
    y = [v / length for v in y]
    return [x, y, cross(x, y)]


def sources(rng: random.Random, beam: list[float], wavelength: float) -> str:
    """A source list of one to five columns; the directions lie around the beam's."""
    lines = []
    columns = rng.choice((3, 3, 4, 5, 5))
    delimiter = rng.choice((" ", "  ", "\t", ", ", " ; "))
    for _ in range(rng.randint(1, 5)):
        size = rng.choice((1.0, 10.0, 3.7))
        fields = [f"{-size * b + size * rng.uniform(-0.02, 0.02):.5f}" for b in beam]
        if columns > 3:
            fields.append(f"{rng.uniform(0.1, 3.0):.3g}")
        if columns > 4:
            fields.append(f"{wavelength * 1e-10 * rng.uniform(0.97, 1.03):.6g}")
        lines.append(delimiter.join(fields))
        if rng.random() < 0.1:
            lines.append("")
    return "\n".join(lines) + "\n"


def smv(rng: random.Random, keys: dict[str, str], pixels: tuple[int, int], zeros: float) -> bytes:
    """An SMV file with these header keys; a fraction of its pixels is 0."""
    order = list(keys.items())
    if rng.random() < 0.5:
        rng.shuffle(order)
    text = "{\nHEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\n"
    text += f"SIZE1={pixels[0]};\nSIZE2={pixels[1]};\n"
    text += "".join(f"{key}={value};\n" for key, value in order)
    header = (text + "}\f").ljust(512).encode("ascii")
    counts = (0 if rng.random() < zeros else rng.randint(1, 500) for _ in range(pixels[0] * pixels[1]))
    return header + b"".join(count.to_bytes(2, "little") for count in counts)


def stol(rng: random.Random) -> str:
    """A table of two columns, which no program uses."""
    return "".join(f"{0.01 * i:.3f} {rng.uniform(1.0, 5.0):.3f}\n" for i in range(5))
