"""Flags of crystals that are not perfect: mosaicity, block sizes, several lattices."""

from __future__ import annotations

from collections.abc import Sequence

from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.words import Values, Words, choice, integer, name, number, real, reals
from nanobrag_torch.config import OtherLattice

_LATTICES = "crystal.lattices"


def _turned() -> Words:
    """A share and three angles."""

    def values(words: Sequence[str]) -> Values:
        share, x, y, z = map(number, words)
        return {_LATTICES: (OtherLattice(share, (x, y, z)),)}

    return Words(("share", "x", "y", "z"), (_LATTICES,), lambda words: 4, values)


def _twinned() -> Words:
    """A share and a law."""

    def values(words: Sequence[str]) -> Values:
        law = words[1]
        return {_LATTICES: (OtherLattice(number(words[0]), law=law),)}

    return Words(("share", "law"), (_LATTICES,), lambda words: 2, values)


def _three(spelling: str, help: str, field: str, values: tuple[float, float, float], unit: str) -> Flag:
    """A row of three numbers, along or about a, c* x a and c*; `values` are those of the example."""
    example = " ".join((spelling, *(f"{value:g}" for value in values)))
    return Flag((spelling,), help, example, {field: values}, reals(field, "a", "b", "c"), unit, extension=True)


DISORDER = (
    Flag(
        ("-mosaic_law",),
        "distribution of mosaic rotations: cap (random, of the C program), gauss or lorentz (an even set of domains; "
        "the spread is the standard deviation or half width at half maximum about each axis)",
        "-mosaic_law gauss",
        {"crystal.mosaic_law": "gauss"},
        takes=choice("crystal.mosaic_law", "cap", "gauss", "lorentz"),
        default="cap",
        extension=True,
    ),
    _three(
        "-mosaic_abc",
        "three mosaic spreads: about a, about c* x a, and about c*; with the law gauss unless another is given",
        "crystal.mosaic_abc_deg",
        (0.5, 0.1, 0.2),
        "degrees",
    ),
    Flag(
        ("-orientations",),
        "list of domains in place of a mosaic spread: rotation vectors (degrees, lab, spindle at 0) or matrices, each "
        "with a weight or without",
        "-orientations domains.txt",
        {"crystal.orientation_file": "domains.txt"},
        takes=name("crystal.orientation_file"),
        extension=True,
    ),
    Flag(
        ("-N_off",),
        "off-diagonal elements N_ab, N_ac, N_bc of a symmetric matrix of cell counts, for the gaussian shape",
        "-N_off 1 0 -1",
        {"crystal.N_off": (1.0, 0.0, -1.0)},
        takes=reals("crystal.N_off", "ab", "ac", "bc"),
        default="0 0 0",
        extension=True,
    ),
    Flag(
        ("-block_spread",),
        "distribution of block sizes: standard deviation of ln N",
        "-block_spread 0.3",
        {"crystal.block_spread": 0.3},
        takes=real("crystal.block_spread"),
        default="0",
        extension=True,
    ),
    Flag(
        ("-block_sizes",),
        "number of block sizes that stand for their distribution",
        "-block_sizes 7",
        {"crystal.block_sizes": 7},
        takes=integer("crystal.block_sizes"),
        default="5",
        extension=True,
    ),
    _three(
        "-diffuse_sigma",
        "diffuse scattering of displaced cells: root mean square displacement along a, c* x a and c*",
        "crystal.diffuse_sigma_A",
        (0.5, 0.4, 0.3),
        "Å",
    ),
    _three(
        "-diffuse_gamma",
        "length over which displacements are alike, along a, c* x a and c*",
        "crystal.diffuse_gamma_A",
        (60.0, 50.0, 40.0),
        "Å",
    ),
    Flag(
        ("-diffuse_group",),
        "space or point group whose Laue symmetry the diffuse scattering has",
        "-diffuse_group P422",
        {"crystal.diffuse_group": "P422"},
        takes=name("crystal.diffuse_group", "group"),
        default="that of the file of structure factors, else P1",
        extension=True,
    ),
    Flag(
        ("-lattice",),
        "a further lattice: its share of the crystal, and its rotation about lab x, y, z (degrees); may be given "
        "several times",
        "-lattice 0.2 1 2 3",
        {_LATTICES: (OtherLattice(0.2, (1.0, 2.0, 3.0)),)},
        takes=_turned(),
        extension=True,
        repeats=True,
    ),
    Flag(
        ("-twin",),
        "a twin: its share of the crystal, and its law in indices, such as k,h,-l; may be given several times",
        "-twin 0.3 k,h,-l",
        {_LATTICES: (OtherLattice(0.3, law="k,h,-l"),)},
        takes=_twinned(),
        extension=True,
        repeats=True,
    ),
)
