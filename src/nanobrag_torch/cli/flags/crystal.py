"""Flags of the crystal (specs: cli 3)."""

from __future__ import annotations

from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.words import cell, ignored, integer, misset, real

_CELL = tuple(f"crystal.cell_{part}" for part in ("a", "b", "c", "alpha", "beta", "gamma"))
_SAMPLE = ("crystal.sample_x_mm", "crystal.sample_y_mm", "crystal.sample_z_mm")
_UNUSED = "accepted, but it changes nothing"


def _count(axis: str) -> Flag:
    return Flag(
        (f"-N{axis}*",),
        f"number of unit cells along {axis}",
        f"-N{axis} 20",
        {f"crystal.N{axis}": 20},
        takes=integer(f"crystal.N{axis}"),
        default="1",
    )


def _sample(spellings: tuple[str, ...], example: str, axis: str, lattice: str) -> Flag:
    field = f"crystal.sample_{axis}_mm"
    return Flag(
        spellings,
        f"crystal size along {lattice}; replaces the number of cells",
        example,
        {field: 0.01},
        takes=real(field),
        unit="mm",
        default="0",
    )


def _shape(spellings: tuple[str, ...], shape: str, what: str) -> Flag:
    return Flag(
        spellings,
        f"crystal shape: {what}",
        spellings[0],
        {"crystal.shape": shape},
        sets={"crystal.shape": shape},
        default="on" if shape == "square" else "",
    )


CRYSTAL = (
    Flag(
        ("-cell*",),
        "unit cell: one to six numbers; b and c default to a, angles to 90",
        "-cell 100 50 60 90 110 90",
        dict(zip(_CELL, (100.0, 50.0, 60.0, 90.0, 110.0, 90.0), strict=True)),
        takes=cell(*_CELL),
        unit="Å, degrees",
    ),
    Flag(
        ("-misset",),
        "rotate the crystal about lab x, then y, then z; or at random",
        "-misset 10 20 30",
        {"crystal.misset_deg": (10.0, 20.0, 30.0)},
        takes=misset("crystal.misset_deg", "crystal.misset_random"),
        unit="degrees",
        default="none",
    ),
    Flag(
        ("-misset_seed",),
        "seed of -misset random",
        "-misset_seed 12",
        {"crystal.misset_seed": 12},
        takes=integer("crystal.misset_seed"),
        default="clock",
    ),
    Flag(
        ("-N",),
        "number of unit cells along a, b and c",
        "-N 10",
        {"crystal.Na": 10, "crystal.Nb": 10, "crystal.Nc": 10},
        takes=integer("crystal.Na", "crystal.Nb", "crystal.Nc"),
        default="1",
    ),
    _count("a"),
    _count("b"),
    _count("c"),
    Flag(
        ("-samplesize*", "-sample_size*", "-xtalsize*", "-xtal_size*"),
        "crystal size along a, b and c; replaces the numbers of cells (b and c are cut to -beamsize)",
        "-samplesize 0.01",
        dict.fromkeys(_SAMPLE, 0.01),
        takes=real(*_SAMPLE),
        unit="mm",
        default="0",
    ),
    _sample(("-sample_thick*", "-sample_x*", "-xtal_thick*", "-xtal_x*"), "-sample_x 0.01", "x", "a"),
    _sample(
        ("-sample_width*", "-sample_y*", "-xtal_width*", "-xtal_y*", "-width*"),
        "-sample_y 0.01",
        "y",
        "b (cut to -beamsize)",
    ),
    _sample(
        ("-sample_heigh*", "-sample_z*", "-xtal_heigh*", "-xtal_z*", "-heigh*"),
        "-sample_z 0.01",
        "z",
        "c (cut to -beamsize)",
    ),
    Flag(
        ("-density*", "-sample_den*"),
        "no effect",
        "-density 1.2",
        takes=ignored("x"),
        unit="g/cm³",
        says=_UNUSED,
    ),
    Flag(("-MW", "-molec*"), "no effect", "-MW 14300", takes=ignored("x"), unit="g/mol", says=_UNUSED),
    _shape(("-square_xtal",), "square", "a box (sinc function)"),
    _shape(("-round_xtal",), "round", "an ellipsoid"),
    _shape(("-gauss_xtal",), "gauss", "gaussian spots without fringes"),
    _shape(("-tophat_spots", "-binary_spots"), "tophat", "spots of full height with a sharp edge"),
    Flag(
        ("-fudge",),
        "factor on the squared radius of the round, gaussian and top-hat shapes",
        "-fudge 1.5",
        {"crystal.fudge": 1.5},
        takes=real("crystal.fudge"),
        default="1",
    ),
    Flag(
        ("-mosaic", "-mosaici*", "-mosaic_spr*"),
        "mosaic spread: largest rotation of a domain",
        "-mosaic_spread 0.5",
        {"crystal.mosaic_spread_deg": 0.5},
        takes=real("crystal.mosaic_spread_deg"),
        unit="degrees",
        default="none",
    ),
    Flag(
        ("-mosaic_dom*",),
        "number of mosaic domains",
        "-mosaic_domains 25",
        {"crystal.mosaic_domains": 25},
        takes=integer("crystal.mosaic_domains"),
        default="10 with a spread, else 1",
    ),
    Flag(
        ("-mosaic_seed",),
        "seed of the mosaic rotations",
        "-mosaic_seed 7",
        {"crystal.mosaic_seed": 7},
        takes=integer("crystal.mosaic_seed"),
        default="12345678",
    ),
    Flag(
        ("-interpolate",),
        "tricubic interpolation of the structure factors between reflections",
        "-interpolate",
        {"crystal.interpolate": True},
        sets={"crystal.interpolate": True},
        default="on if a count is 2 or less",
    ),
    Flag(
        ("-nointerpolate",),
        "structure factor of the nearest reflection",
        "-nointerpolate",
        {"crystal.interpolate": False},
        sets={"crystal.interpolate": False},
    ),
)
