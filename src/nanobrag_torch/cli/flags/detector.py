"""Flags of the detector and of the lab vectors (specs: cli 5, geometry 3 and 5)."""

from __future__ import annotations

from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.words import containing, ignored, ignored_number, integer, real, vector

_SIZE = ("detector.detsize_f_mm", "detector.detsize_s_mm")
_PIXELS = ("detector.pixels_f", "detector.pixels_s")


def _real(
    spelling: str,
    field: str,
    example: float,
    text: str,
    unit: str = "mm",
    default: str = "",
    pivot: str | None = None,
) -> Flag:
    field = f"detector.{field}"
    return Flag(
        (spelling,),
        text,
        f"{spelling.rstrip('*')} {example:g}",
        {field: example} | ({"detector.pivot": pivot} if pivot else {}),
        takes=real(field),
        unit=unit,
        default=default,
        pivot=pivot,
    )


def _length(spellings: tuple[str, ...], text: str, *fields: str) -> Flag:
    return Flag(
        spellings,
        text,
        f"{spellings[0].rstrip('*')} 200",
        dict.fromkeys(fields, 200.0),
        takes=real(*fields),
        unit="mm",
        default="102.4",
    )


def _pixels(spellings: tuple[str, ...], text: str, *fields: str) -> Flag:
    return Flag(
        spellings,
        text,
        f"{spellings[0].rstrip('*')} 512",
        dict.fromkeys(fields, 512),
        takes=integer(*fields),
        unit="pixels",
    )


def _convention(spelling: str, pivot: str, text: str) -> Flag:
    name = spelling[1:].upper()
    return Flag(
        (spelling,),
        f"convention of {text}",
        spelling,
        {"detector.convention": name, "detector.pivot": pivot},
        convention=name,
        pivot=pivot,
        default="on" if name == "MOSFLM" else "",
    )


def _vector(spelling: str, field: str, value: tuple[float, float, float], default: str, text: str) -> Flag:
    return Flag(
        (spelling,),
        f"{text}; selects the custom convention",
        f"{spelling} {value[0]:g} {value[1]:g} {value[2]:g}",
        {field: value, "detector.convention": "CUSTOM"},
        takes=vector(field),
        default=default,
        convention="CUSTOM",
    )


DETECTOR = (
    _real(
        "-distance",
        "distance_mm",
        80.0,
        "distance along the beam; a close distance overrides it",
        "mm",
        "100",
        "BEAM",
    ),
    _real("-close_distance", "close_distance_mm", 80.0, "distance along the detector normal", "mm", "", "SAMPLE"),
    _length(("-detsize",), "length of both edges of the detector", *_SIZE),
    _length(("-detsize_f*",), "length along the fast axis", _SIZE[0]),
    _length(("-detsize_s*",), "length along the slow axis", _SIZE[1]),
    _pixels(("-detpixels",), "pixels along both axes; overrides the length", *_PIXELS),
    _pixels(("-detpixels_f*", "-detpixels_x*"), "pixels along the fast axis", _PIXELS[0]),
    _pixels(("-detpixels_s*", "-detpixels_y*"), "pixels along the slow axis", _PIXELS[1]),
    _real("-pixel*", "pixel_mm", 0.2, "edge of a pixel", "mm", "0.1"),
    _real(
        "-Xbeam*",
        "Xbeam_mm",
        51.2,
        "beam centre; along the slow axis in MOSFLM and DENZO",
        "mm",
        "by convention",
        "BEAM",
    ),
    _real(
        "-Ybeam*",
        "Ybeam_mm",
        51.2,
        "beam centre; along the fast axis in MOSFLM and DENZO",
        "mm",
        "by convention",
        "BEAM",
    ),
    _real(
        "-Xclose*",
        "Xclose_mm",
        51.2,
        "point closest to the sample, fast axis (custom only)",
        "mm",
        "",
        "SAMPLE",
    ),
    _real(
        "-Yclose*",
        "Yclose_mm",
        51.2,
        "point closest to the sample, slow axis (custom only)",
        "mm",
        "",
        "SAMPLE",
    ),
    _real(
        "-ORGX*",
        "ORGX",
        512.5,
        "XDS origin, fast axis; pixel centres are whole numbers from 1",
        "pixels",
        "",
        "SAMPLE",
    ),
    _real("-ORGY*", "ORGY", 512.5, "XDS origin, slow axis", "pixels", "", "SAMPLE"),
    Flag(
        ("-pivot",),
        "what the detector is swung about: a word with `beam` or `sample` in it (custom only)",
        "-pivot sample",
        {"detector.pivot": "SAMPLE"},
        takes=containing("detector.pivot", {"sample": "SAMPLE", "beam": "BEAM"}),
        default="by convention",
    ),
    _convention("-mosflm", "BEAM", "MOSFLM"),
    _convention("-adxv", "BEAM", "ADXV"),
    _convention("-denzo", "BEAM", "DENZO"),
    _convention("-dials", "BEAM", "DIALS (it always pivots about the sample)"),
    _convention("-xds", "SAMPLE", "XDS"),
    _vector("-fdet_vector", "detector.fdet_vector", (1.0, 0.0, 0.0), "0 0 1", "fast axis"),
    _vector("-sdet_vector", "detector.sdet_vector", (0.0, 1.0, 0.0), "0 -1 0", "slow axis"),
    _vector("-odet_vector", "detector.odet_vector", (0.0, 0.0, 1.0), "1 0 0", "normal, of length 1 exactly"),
    _vector("-beam_vector", "beam.beam_vector", (0.0, 0.0, 1.0), "1 0 0", "direction of the beam"),
    _vector("-polar_vector", "beam.polar_vector", (1.0, 0.0, 0.0), "0 0 1", "direction of the electric field"),
    _vector("-spindle_axis", "sampling.spindle_axis", (1.0, 0.0, 0.0), "0 0 1", "axis of the spindle"),
    _vector(
        "-twotheta_axis",
        "detector.twotheta_axis",
        (0.0, 0.0, 1.0),
        "0 1 0",
        "axis of -twotheta, a unit vector",
    ),
    Flag(
        ("-pix0_vector*",),
        "selects the custom convention; the values have no effect (see -pix0_override_mm)",
        "-pix0_vector 100 51.2 -51.2",
        {"detector.convention": "CUSTOM"},
        takes=ignored("x", 3),
        convention="CUSTOM",
        says="selects the custom convention, its values are not used; -pix0_override_mm sets the origin",
    ),
    Flag(
        ("-pix0_override_mm",),
        "lab position of the outer corner of the first pixel, whatever the pivot and distance",
        "-pix0_override_mm 100 51.2 -51.2",
        {"detector.pix0_override_mm": (100.0, 51.2, -51.2)},
        takes=vector("detector.pix0_override_mm"),
        unit="mm",
        extension=True,
    ),
    _real(
        "-twotheta",
        "twotheta_deg",
        10.0,
        "swing of the detector about the two-theta axis",
        "degrees",
        "0",
        "SAMPLE",
    ),
    _real("-detector_rotx*", "rotx_deg", 5.0, "rotation of the detector about lab x", "degrees", "0"),
    _real("-detector_roty*", "roty_deg", 5.0, "rotation of the detector about lab y, after x", "degrees", "0"),
    _real("-detector_rotz*", "rotz_deg", 5.0, "rotation of the detector about lab z, after y", "degrees", "0"),
    Flag(
        ("-curved_det*",),
        "all pixels at the same distance from the sample; one number behind it is skipped",
        "-curved_det",
        {"detector.curved": True},
        takes=ignored_number(),
        sets={"detector.curved": True},
        default="off",
    ),
    Flag(
        ("-point_pixel",),
        "solid angle 1/R², without pixel area and obliquity",
        "-point_pixel",
        {"detector.point_pixel": True},
        sets={"detector.point_pixel": True},
        default="off",
    ),
    Flag(
        ("-detector_abs*",),
        "attenuation depth of the sensor; inf or 0: no absorption at all",
        "-detector_abs 300",
        {"detector.attenuation_depth_um": 300.0},
        takes=real("detector.attenuation_depth_um", infinite=True),
        unit="µm",
        default="the thickness",
    ),
    _real("-detector_thick", "thickness_um", 450.0, "thickness of the sensor", "µm", "0"),
    Flag(
        ("-detector_thicksteps", "-thicksteps"),
        "number of sensor layers",
        "-detector_thicksteps 4",
        {"detector.thick_steps": 4},
        takes=integer("detector.thick_steps"),
        default="2 with a thickness, else 1",
    ),
)
