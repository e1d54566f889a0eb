"""Flags of the output files, of reporting, and of where and how to compute (specs: cli 7)."""

from __future__ import annotations

from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.words import choice, integer, integers, name, real

_PGM = {"output.pgm": True}
_NOISE = {"output.noise": True}


def _switch(spelling: str, text: str, field: str, value: bool, default: str = "", extension: bool = False) -> Flag:
    sets = {field: value}
    return Flag((spelling,), text, spelling, sets, sets=sets, default=default, extension=extension)


OUTPUT = (
    Flag(
        ("-floatfile*", "-floatimage*"),
        "float image: 4-byte numbers without a header",
        "-floatfile out.bin",
        {"output.float_file": "out.bin"},
        takes=name("output.float_file"),
        default="floatimage.bin",
    ),
    Flag(
        ("-intfile*", "-intimage*"),
        "integer image: SMV, 2 bytes per pixel, scaled",
        "-intfile out.img",
        {"output.int_file": "out.img"},
        takes=name("output.int_file"),
        default="intimage.img",
    ),
    Flag(
        ("-scale",),
        "factor of the integer image; 0 or less: the brightest pixel becomes 55000",
        "-scale 2",
        {"output.scale": 2.0},
        takes=real("output.scale"),
        default="automatic",
    ),
    Flag(
        ("-adc*",),
        "number added to every pixel of the integer and noise images",
        "-adc 10",
        {"output.adc": 10.0},
        takes=real("output.adc"),
        unit="counts",
        default="40",
    ),
    Flag(
        ("-pgmfile*", "-pgmimage*"),
        "grey picture, 1 byte per pixel; switches it on",
        "-pgmfile out.pgm",
        {"output.pgm_file": "out.pgm", **_PGM},
        takes=name("output.pgm_file"),
        sets=_PGM,
        default="image.pgm",
    ),
    Flag(
        ("-pgmscale",),
        "factor of the grey picture; 0 or less: from the spread of the pixels; switches it on",
        "-pgmscale 0.5",
        {"output.pgm_scale": 0.5, **_PGM},
        takes=real("output.pgm_scale"),
        sets=_PGM,
        default="automatic",
    ),
    _switch("-nopgm", "no grey picture", "output.pgm", False),
    Flag(
        ("-noisefile*", "-noiseimage*"),
        "image with photon noise: SMV, 2 bytes per pixel; switches it on",
        "-noisefile out.img",
        {"output.noise_file": "out.img", **_NOISE},
        takes=name("output.noise_file"),
        sets=_NOISE,
        default="noiseimage.img",
    ),
    _switch("-nonoise", "no noise image", "output.noise", False),
    Flag(
        ("-seed",),
        "seed of the noise",
        "-seed 42",
        {"output.noise_seed": 42},
        takes=integer("output.noise_seed"),
        default="clock",
    ),
    Flag(
        ("-png",),
        "picture to look at, PNG",
        "-png out.png",
        {"output.png_file": "out.png"},
        takes=name("output.png_file"),
        extension=True,
    ),
    _switch("-png_rings", "draw resolution rings and the beam into the PNG", "output.png_rings", True, "off", True),
    Flag(
        ("-cbf",),
        "miniCBF image as PILATUS detectors write it: 4-byte counts, with noise unless -nonoise",
        "-cbf out_0001.cbf",
        {"output.cbf_file": "out_0001.cbf"},
        takes=name("output.cbf_file"),
        extension=True,
    ),
    Flag(
        ("-nexus",),
        "NeXus file (NXmx, HDF5) with the full geometry, also of several panels",
        "-nexus out.nxs",
        {"output.nexus_file": "out.nxs"},
        takes=name("output.nexus_file"),
        extension=True,
    ),
    Flag(
        ("-save_scene",),
        "write what this command line says as a scene file (TOML), seeds and the content of headers included",
        "-save_scene scene.toml",
        {"output.save_scene_file": "scene.toml"},
        takes=name("output.save_scene_file"),
        extension=True,
    ),
    Flag(
        ("-frames",),
        "rotation series of this many images, each further by -osc; files are numbered (out_00001.cbf, or in place of "
        "#####), -nexus joins them; killed and started again, it draws what is missing",
        "-frames 90",
        {"output.frames": 90},
        takes=integer("output.frames"),
        default="one image",
        extension=True,
    ),
    _switch("-printout", "print every pixel's quantities instead of the progress", "output.printout", True, "off"),
    Flag(
        ("-printout_pixel",),
        "print the quantities of this pixel only",
        "-printout_pixel 100 200",
        {"output.printout_pixel": (100, 200), "output.printout": True},
        takes=integers("output.printout_pixel", "fast", "slow"),
        sets={"output.printout": True},
        unit="pixels",
    ),
    _switch("-progress", "tell how much is done", "output.progress", True, "on"),
    _switch("-noprogress", "do not tell how much is done", "output.progress", False),
    Flag(("-coherent",), "no effect", "-coherent", says="accepted, but it changes nothing"),
)

RUNNING = (
    Flag(
        ("-physics",),
        "follow nanoBragg.c in everything, or what the quantities mean (see the page on differences)",
        "-physics exact",
        {"output.physics": "exact"},
        takes=choice("output.physics", "nanobragg", "exact"),
        default="nanobragg",
        extension=True,
    ),
    Flag(
        ("-device",),
        "where to compute: a torch device",
        "-device cuda:0",
        {"output.device": "cuda:0"},
        takes=name("output.device", "device"),
        default="cpu",
        extension=True,
    ),
    Flag(
        ("-dtype",),
        "precision of the computation",
        "-dtype float32",
        {"output.dtype": "float32"},
        takes=choice("output.dtype", "float64", "float32"),
        default="float64",
        extension=True,
    ),
    Flag(
        ("-threads",),
        "number of processor threads",
        "-threads 2",
        {"output.threads": 2},
        takes=integer("output.threads"),
        default="all",
        extension=True,
    ),
    Flag(
        ("-memory",),
        "memory to work in; the result does not depend on it",
        "-memory 500",
        {"output.memory_MB": 500.0},
        takes=real("output.memory_MB"),
        unit="MB",
        default="automatic",
        extension=True,
    ),
    Flag(
        ("-tolerance",),
        "leave out terms that provably add up to no more than this in any pixel",
        "-tolerance 0.01",
        {"output.tolerance_photons": 0.01},
        takes=real("output.tolerance_photons"),
        unit="photons",
        default="0, everything is summed",
        extension=True,
    ),
    Flag(
        ("-batch",),
        "run the command lines of this file, one per line, behind the other words given here",
        "-batch jobs.txt",
        takes=name("", "file"),
        action="batch",
        extension=True,
    ),
    _switch("-quiet", "print nothing but warnings and errors", "output.quiet", True, "off", extension=True),
    _switch(
        "-however_long",
        "start a render even if it is estimated to take more than a hundred hours",
        "output.however_long",
        True,
        "off",
        True,
    ),
    _switch("-traceback", "after an unforeseen error, show where it came from", "output.traceback", True, "off", True),
    Flag(("-version",), "print the version", "--version", action="version", extension=True),
    Flag(("-help", "-h"), "print this help", "--help", action="help", extension=True),
)
