"""Flags of what scatters and absorbs beside the crystal."""

from __future__ import annotations

from collections.abc import Sequence

from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.words import Values, Words, choice, name, number, real, reals
from nanobrag_torch.config import Amorphous, Incoherent


def _slab() -> Words:
    """A table and three numbers: a slab of amorphous material."""

    def values(words: Sequence[str]) -> Values:
        file = name("file").values(words[:1])["file"]
        return {"background.materials": (Amorphous(file, *map(number, words[1:])),)}

    return Words(("file", "mm", "g/cm³", "g/mol"), ("background.materials",), lambda words: 4, values)


def _recoil() -> Words:
    """A formula and two numbers: a slab that scatters inelastically."""

    def values(words: Sequence[str]) -> Values:
        formula = name("formula").values(words[:1])["formula"]
        return {"background.compton": (Incoherent(formula, *map(number, words[1:])),)}

    return Words(("formula", "mm", "g/cm³"), ("background.compton",), lambda words: 3, values)


def _absorber() -> Words:
    """A formula and a density: what the sample is made of."""

    def values(words: Sequence[str]) -> Values:
        formula = name("formula").values(words[:1])["formula"]
        return {"path.sample_formula": formula, "path.sample_density": number(words[1])}

    fields = ("path.sample_formula", "path.sample_density")
    return Words(("formula", "g/cm³"), fields, lambda words: 2, values)


MATTER = (
    Flag(
        ("-background",),
        "amorphous material in the beam: a table of sin(theta)/lambda and amplitude per molecule, thickness, density, "
        "molar mass; may be given several times",
        "-background ice.stol 0.1 0.92 18",
        {"background.materials": (Amorphous("ice.stol", 0.1, 0.92, 18.0),)},
        takes=_slab(),
        extension=True,
        repeats=True,
    ),
    Flag(
        ("-compton",),
        "Compton scattering of a material in the beam: chemical formula, thickness, density; may be given several "
        "times",
        "-compton H2O 0.1 1.0",
        {"background.compton": (Incoherent("H2O", 0.1, 1.0),)},
        takes=_recoil(),
        extension=True,
        repeats=True,
    ),
    Flag(
        ("-ice",),
        "thickness of polycrystalline hexagonal ice in the beam, which adds rings",
        "-ice 5",
        {"background.ice_um": 5.0},
        takes=real("background.ice_um"),
        unit="µm",
        default="0",
        extension=True,
    ),
    Flag(
        ("-ice_width",),
        "full width at half maximum of the ice rings, in 1/d",
        "-ice_width 0.01",
        {"background.ice_width_invA": 0.01},
        takes=real("background.ice_width_invA"),
        unit="1/Å",
        default="0.005",
        extension=True,
    ),
    Flag(
        ("-air",),
        "length of air along the beam that scatters as if it were at the crystal",
        "-air 20",
        {"background.air_mm": 20.0},
        takes=real("background.air_mm"),
        unit="mm",
        default="0",
        extension=True,
    ),
    Flag(
        ("-background_image",),
        "measured background to add: SMV, miniCBF, NumPy or float image of the detector's size",
        "-background_image camera.img",
        {"background.measured_file": "camera.img"},
        takes=name("background.measured_file"),
        extension=True,
    ),
    Flag(
        ("-background_scale",),
        "factor on the measured background",
        "-background_scale 0.5",
        {"background.measured_scale": 0.5},
        takes=real("background.measured_scale"),
        default="1",
        extension=True,
    ),
    Flag(
        ("-background_curve",),
        "measured background to add, as a radial curve of photons per pixel against sin(theta)/lambda, or against q or "
        "2theta when a comment of the file names it",
        "-background_curve curve.txt",
        {"background.curve_file": "curve.txt"},
        takes=name("background.curve_file"),
        extension=True,
    ),
    Flag(
        ("-absorb_sample",),
        "attenuation coefficient of the sample, whose form -absorb_form gives",
        "-absorb_sample 2.5",
        {"path.sample_mu_invmm": 2.5},
        takes=real("path.sample_mu_invmm"),
        unit="1/mm",
        default="0",
        extension=True,
    ),
    Flag(
        ("-absorb_material",),
        "what the sample is made of, in place of -absorb_sample: chemical formula and density give its photoabsorption "
        "at the central wavelength",
        "-absorb_material C22H10N2O5 1.4",
        {"path.sample_formula": "C22H10N2O5", "path.sample_density": 1.4},
        takes=_absorber(),
        extension=True,
    ),
    Flag(
        ("-absorb_form",),
        "form of the sample, which rotates with the spindle: box, ellipsoid, or an OBJ file of a closed surface in mm",
        "-absorb_form box",
        {"path.sample_form": "box"},
        takes=name("path.sample_form", "box|ellipsoid|file"),
        extension=True,
    ),
    Flag(
        ("-absorb_size",),
        "full lengths of the box or ellipsoid along lab x, y, z at spindle angle 0",
        "-absorb_size 0.1 0.2 0.3",
        {"path.sample_form_mm": (0.1, 0.2, 0.3)},
        takes=reals("path.sample_form_mm", "x", "y", "z"),
        unit="mm",
        extension=True,
    ),
    Flag(
        ("-absorb_air",),
        "absorption of dry air between sample and detector, at the central wavelength",
        "-absorb_air",
        {"path.air_absorption": True},
        sets={"path.air_absorption": True},
        default="off",
        extension=True,
    ),
    Flag(
        ("-beam_form",),
        "profile of the beam on the sample: only the illuminated part of the form scatters, at every spindle step",
        "-beam_form gauss",
        {"path.beam_form": "gauss"},
        takes=choice("path.beam_form", "gauss", "flat"),
        extension=True,
    ),
    Flag(
        ("-beam_width",),
        "full widths (gauss: at half maximum) of the beam along the polarization axis and across it",
        "-beam_width 0.05 0.02",
        {"path.beam_form_mm": (0.05, 0.02)},
        takes=reals("path.beam_form_mm", "x", "y"),
        unit="mm",
        default="0.1 0.1",
        extension=True,
    ),
)
