"""File formats: one file each, arrays in and out; `FORMATS` says which reads and writes what.

Modules are loaded when they are used, so that a format's library is needed only by whoever needs the format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Format:
    """A format: its usual `suffixes`, and the names of its reader and writer in `module`, if it has them."""

    module: str
    suffixes: tuple[str, ...]
    reader_name: str = ""
    writer_name: str = ""

    @property
    def reader(self) -> Callable[..., Any] | None:
        """The function that reads the format, or `None`."""
        return self._function(self.reader_name)

    @property
    def writer(self) -> Callable[..., None] | None:
        """The function that writes the format, or `None`."""
        return self._function(self.writer_name)

    def _function(self, name: str) -> Callable[..., Any] | None:
        return getattr(import_module(f"{__name__}.{self.module}"), name) if name else None


FORMATS = {
    "float image": Format("raw", (".bin",), "read_float_image", "write_float_image"),
    "smv": Format("smv", (".img", ".smv"), "read_smv", "write_smv"),
    "pgm": Format("pgm", (".pgm",), "read_pgm", "write_pgm"),
    "png": Format("png", (".png",), "", "write_png"),
    "cbf": Format("cbf", (".cbf",), "read_cbf", "write_cbf"),
    "nexus": Format("nexus", (".nxs", ".h5"), "read_nexus", "write_nexus"),
    "expt": Format("expt", (".expt",), "read_expt", "write_expt"),
    "expt list": Format("expt_list", (".expt",), "read_expt_list"),
    "refl": Format("refl", (".refl",), "read_refl", "write_refl"),
    "spectrum": Format("spectrum", (".txt",), "read_spectrum"),
    "hkl": Format("hkl", (".hkl",), "read_hkl"),
    "mtz": Format("mtz", (".mtz",), "read_mtz"),
    "reflection cif": Format("reflection_cif", (".cif", ".mmcif"), "read_reflection_cif"),
    "model": Format("model", (".pdb", ".ent", ".cif", ".mmcif"), "read_model"),
    "dump": Format("fdump", (".bin",), "read_dump", "write_dump"),
    "matrix": Format("mosflm_matrix", (".mat",), "read_matrix"),
    "sources": Format("sourcefile", (".txt",), "read_sources"),
    "stol": Format("stol", (".stol",), "check_stol"),
}
"""Every format by name."""
