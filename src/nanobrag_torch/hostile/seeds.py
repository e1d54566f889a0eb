"""Good files of every kind that the programs read, small, as the beginnings of bad ones; and the findings of trials."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from nanobrag_torch.io.scene import Scene

PDB = b"""\
CRYST1   40.000   45.000   50.000  90.00  90.00  90.00 P 1
ATOM      1  N   ALA A   1       1.000   2.000   3.000  1.00 10.00           N
ATOM      2  CA  ALA A   1       2.400   2.500   3.100  1.00 12.00           C
HETATM    3 SE   MSE A   2      12.000  15.000  20.000  1.00  8.00          SE
END
"""
CELL = b"""\
data_x
_cell.length_a 40
_cell.length_b 45
_cell.length_c 50
_cell.angle_alpha 90
_cell.angle_beta 90
_cell.angle_gamma 90
_symmetry.space_group_name_H-M 'P 21 21 21'
loop_
"""
CIF = (
    CELL
    + b"""\
_refln.index_h
_refln.index_k
_refln.index_l
_refln.F_meas_au
_refln.status
0 0 2 10.5 o
1 1 1 20 o
2 0 1 ? o
-3 2 4 7.25(3) f
"""
)
MODEL_CIF = (
    CELL
    + b"""\
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.B_iso_or_equiv
ATOM 1 N N ALA A 1 1.0 2.0 3.0 1.0 10.0
ATOM 2 C CA ALA A 1 2.4 2.5 3.1 1.0 12.0
"""
)
_PANEL = {
    "name": "a",
    "type": "SENSOR_PAD",
    "fast_axis": [1.0, 0.0, 0.0],
    "slow_axis": [0.0, -1.0, 0.0],
    "origin": [-5.0, 5.0, -100.0],
    "raw_image_offset": [0, 0],
    "image_size": [10, 8],
    "pixel_size": [1.0, 1.0],
    "trusted_range": [-1.0, 65535.0],
    "thickness": 0.3,
    "material": "Si",
    "mu": 3.6,
    "identifier": "",
    "mask": [],
    "gain": 1.0,
    "pedestal": 0.0,
    "px_mm_strategy": {"type": "ParallaxCorrectedPxMmStrategy"},
}
EXPT = json.dumps(
    {
        "__id__": "ExperimentList",
        "experiment": [
            {"__id__": "Experiment", **dict.fromkeys(("beam", "detector", "goniometer", "scan", "crystal"), 0)}
        ],
        "imageset": [],
        "beam": [
            {
                "__id__": "monochromatic",
                "direction": [0.0, 0.0, 1.0],
                "wavelength": 1.2,
                "polarization_normal": [0.0, 1.0, 0.0],
                "polarization_fraction": 0.9,
            }
        ],
        "detector": [
            {
                "panels": [_PANEL, {**_PANEL, "name": "b", "origin": [6.0, 5.0, -100.0]}],
                "hierarchy": {
                    "name": "all",
                    "fast_axis": [1.0, 0.0, 0.0],
                    "slow_axis": [0.0, 1.0, 0.0],
                    "origin": [0.0, 0.0, 0.0],
                    "children": [{"panel": 0}, {"panel": 1}],
                },
            }
        ],
        "goniometer": [{"rotation_axis": [1.0, 0.0, 0.0], "fixed_rotation": [1, 0, 0, 0, 1, 0, 0, 0, 1],
                        "setting_rotation": [1, 0, 0, 0, 1, 0, 0, 0, 1]}],
        "scan": [{"image_range": [1, 2], "batch_offset": 0, "oscillation": [0.0, 0.5], "exposure_time": [1.0, 1.0],
                  "epochs": [0.0, 0.0]}],
        "crystal": [{"__id__": "crystal", "real_space_a": [40.0, 0.0, 0.0], "real_space_b": [0.0, 45.0, 0.0],
                     "real_space_c": [0.0, 0.0, 50.0], "space_group_hall_symbol": " P 1"}],
        "profile": [],
        "scaling_model": [],
    },
    indent=1,
).encode()  # fmt: skip
HKL = b"# h k l F\n0 0 1 5\n1 0 0 7.5\n-1 2 3 4e1\n2 2 2 0\n"
MATRIX = b"0.02 0 0\n0 0.025 0.001\n0 0 0.022\n"
SOURCES = b"# x y z weight wavelength\n-10 0 0 1 1.2e-10\n-10 0.1 0 3 1.3e-10\n"
SPECTRUM = b"# eV weight\n10300 1\n10400 2\n"
STOL = b"0.1 2\n0.2 1\n0.3 nan\n"
BATCH = b"# lines\n-floatfile a.bin -intfile a.img\n-N 5 -floatfile 'b c.bin' # more\n"


def smv(width: int = 12, height: int = 12, bits: int = 16, **fields: object) -> bytes:
    """An SMV image of ones."""
    lines = {"HEADER_BYTES": 512, "DIM": 2, "TYPE": "unsigned_short", "SIZE1": width, "SIZE2": height, **fields}
    text = "{\n" + "".join(f"{key}={value};\n" for key, value in lines.items()) + "}\f"
    return text.ljust(512).encode() + np.ones(width * height, dtype=f"u{bits // 8}").tobytes()


def dump() -> bytes:
    """A dump of structure factors of 2 x 3 x 2 entries."""
    return b"0 1 -1 1 0 1\n\f" + np.linspace(1.0, 9.0, 3 * 4 * 3).tobytes()


def _written(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        write(path)
        return path.read_bytes()


def mtz() -> bytes:
    """An MTZ file with amplitudes."""
    import gemmi

    made = gemmi.Mtz(with_base=True)
    made.spacegroup = gemmi.SpaceGroup("P 21 21 21")
    made.set_cell_for_all(gemmi.UnitCell(40, 45, 50, 90, 90, 90))
    made.add_dataset("native")
    made.add_column("F", "F")
    made.add_column("SIGF", "Q")
    made.set_data(np.array([[0, 0, 2, 10.0, 1.0], [1, 1, 1, 20.0, 2.0], [2, 0, 1, np.nan, 1.0]], dtype=np.float32))
    return _written(lambda path: made.write_to_file(str(path)))


def _scene() -> Scene:
    with tempfile.TemporaryDirectory() as folder:
        from nanobrag_torch.io.expt import read_expt

        Path(folder, "a.expt").write_bytes(EXPT)
        return read_expt(Path(folder, "a.expt"))


def nexus() -> bytes:
    """A NeXus file of two frames of two panels."""
    from nanobrag_torch.io.nexus import NexusImages, write_nexus

    frames = [tuple(np.full((8, 10), k, dtype=np.int32) for k in (1, 2))] * 2
    return _written(lambda path: write_nexus(path, NexusImages(frames, [0.0, 0.5]), _scene()))


def cbf() -> bytes:
    """A miniCBF of the first panel."""
    from dataclasses import replace

    from nanobrag_torch.io.cbf import write_cbf

    scene = _scene()
    one = replace(scene, panels=scene.panels[:1])
    counts = np.arange(80, dtype=np.int32).reshape(8, 10)
    return _written(lambda path: write_cbf(path, counts, one, saturation=65535))


@cache
def seeds() -> dict[str, tuple[bytes, ...]]:
    """Good files by kind, and findings among them: bad ones from which others are made too."""
    header = smv(PIXEL_SIZE=4, BEAM_CENTER_X=20, BEAM_CENTER_Y=22, PHI=3, DISTANCE=100, WAVELENGTH=1.2)
    return {
        "hkl": (HKL, gzip.compress(HKL, mtime=0), b"\xef\xbb\xbf" + HKL, HKL.decode().encode("utf-16"),
                b"0 0 0 1\n780 780 780 1\n", b"4294967297 0 0 1\n"),
        "dump": (dump(), b"0 2147483647 0 1 0 1\n\f", b" " * 5000),
        "matrix": (MATRIX, b"1 0 0 1 0 0 1 0 0\n", b"1e300 0 0 0 1e-300 0 0 0 1\n"),
        "sources": (SOURCES, b"-10 0 0 0 1e-10\n-10 0 1 0 1e-10\n", b"1e308 1e308 1 1 1e-10\n"),
        "spectrum": (SPECTRUM, b"1.0 1\n1.1 2\n"),
        "stol": (STOL,),
        "smv": (header, smv(bits=32, TYPE="unsigned_long"), smv(DISTANCE="1e300"), smv()[:600],
                b"{\nHEADER_BYTES=400000;\n" + b"\n" * 4000),
        "pgm": (b"P5\n4 3\n# pixels scaled by 1\n255\n" + bytes(12), b"P5 99999 99999 255\n"),
        "cbf": (cbf(),),
        "expt": (EXPT, b'{"__id__": "ExperimentList", "experiment": []}', b"[" * 5000),
        "model": (PDB, MODEL_CIF, gzip.compress(PDB, mtime=0), PDB.replace(b"  1.000", b"9999999")),
        "mtz": (mtz(),),
        "cif": (CIF, CIF.replace(b"10.5", b"abc"), CIF.replace(b"0 0 2", b"4294967297 0 2")),
        "nexus": (nexus(),),
        "batch": (BATCH,),
    }  # fmt: skip
