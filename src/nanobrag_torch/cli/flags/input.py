"""Flags that name input files (specs: cli 2)."""

from __future__ import annotations

from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.words import ignored, name, real

_TABLE = "the amorphous-scattering table is checked to be readable and changes no output"

INPUT = (
    Flag(
        ("-scene",),
        "scene to simulate: a TOML file, or a NeXus or miniCBF image of this program, to make it again; flags override "
        "it wherever they stand, and the flag may be left out before a name that ends in .toml",
        "-scene scene.toml",
        {"output.scene_file": "scene.toml"},
        takes=name("output.scene_file"),
        extension=True,
    ),
    Flag(
        ("-hkl*",),
        "structure factors: a text table of h k l F, one reflection of the P1 cell per line; or an MTZ or reflection "
        "mmCIF file, which is expanded to P1 and gives the unit cell too",
        "-hkl P1.hkl",
        {"crystal.hkl_file": "P1.hkl"},
        takes=name("crystal.hkl_file"),
    ),
    Flag(
        ("-mtz_column",),
        "column of the MTZ or mmCIF file: amplitudes or intensities; of a Friedel pair either label",
        "-mtz_column FP",
        {"crystal.mtz_column": "FP"},
        takes=name("crystal.mtz_column"),
        default="the first pair of amplitudes, or else the first amplitudes",
        extension=True,
    ),
    Flag(
        ("-model",),
        "PDB or mmCIF file of atoms, from which structure factors are computed, anomalous scattering included; it "
        "gives the unit cell too",
        "-model model.pdb",
        {"crystal.model_file": "model.pdb"},
        takes=name("crystal.model_file"),
        extension=True,
    ),
    Flag(
        ("-model_dmin",),
        "resolution to which structure factors of -model are computed",
        "-model_dmin 2.0",
        {"crystal.model_dmin_A": 2.0},
        takes=real("crystal.model_dmin_A"),
        unit="Å",
        default="a little beyond the detector's corners, but not beyond 1 Å",
        extension=True,
    ),
    Flag(
        ("-model_energies",),
        "structure factors of -model at the wavelength of every source, so that absorption edges are resolved",
        "-model_energies",
        {"crystal.model_energies": True},
        sets={"crystal.model_energies": True},
        default="off: at the central wavelength",
        extension=True,
    ),
    Flag(
        ("-dump*",),
        "binary cache of the structure factors: written when -hkl names a text table, read when there is no -hkl",
        "-dump cache.bin",
        {"crystal.dump_file": "cache.bin"},
        takes=name("crystal.dump_file"),
        default="Fdump.bin",
    ),
    Flag(
        ("-default_F",),
        "amplitude of every reflection that the table lacks",
        "-default_F 100",
        {"crystal.default_F": 100.0},
        takes=real("crystal.default_F"),
        unit="electrons",
        default="0",
    ),
    Flag(
        ("-mat*",),
        "orientation matrix as MOSFLM writes it: nine numbers, columns a*, b*, c* times the wavelength",
        "-mat A.mat",
        {"crystal.matrix_file": "A.mat"},
        takes=name("crystal.matrix_file"),
    ),
    Flag(
        ("-img*",),
        "SMV image whose header gives the geometry; flags override it wherever they stand",
        "-img camera.img",
        {"output.header_file": "camera.img"},
        takes=name("output.header_file"),
    ),
    Flag(
        ("-expt",),
        "experiment list of DIALS: beam, detector with any number of panels, goniometer, scan and crystal",
        "-expt camera.expt",
        {"output.experiment_file": "camera.expt"},
        takes=name("output.experiment_file"),
        extension=True,
    ),
    Flag(
        ("-mask*",),
        "SMV image whose zeros are pixels to skip; its header gives the geometry too, before that of -img",
        "-mask mask.img",
        {"sampling.mask_file": "mask.img"},
        takes=name("sampling.mask_file"),
    ),
    Flag(
        ("-sourcefile*",),
        "table of sources: x y z (m), weight, wavelength (m); replaces divergence and dispersion",
        "-sourcefile sources.txt",
        {"beam.source_file": "sources.txt"},
        takes=name("beam.source_file"),
    ),
    Flag(
        ("-stol", "-4stol", "-Q"),
        "amorphous-scattering table; no effect",
        "-stol ice.stol",
        {"crystal.amorphous_file": "ice.stol"},
        takes=name("crystal.amorphous_file"),
        says=_TABLE,
    ),
    Flag(
        ("-stolout*",),
        "no effect",
        "-stolout output.stol",
        takes=ignored("file"),
        default="output.stol",
        says="this file is never written",
    ),
)
