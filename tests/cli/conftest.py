"""Running command lines in fresh folders."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
import pytest

from nanobrag_torch.cli.main import main

BASE = (
    "-cell 40 45 50 -misset 5 10 15 -default_F 50 -N 4 -detpixels 12 -pixel 4 -distance 100 -lambda 1.2 "
    "-oversample 1 -nonoise -nopgm -seed 1 -noprogress"
)
"""A small scene; 12 x 12 pixels."""


@dataclass(frozen=True)
class Outcome:
    """What a command line left behind."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def files(self) -> dict[str, str]:
        """Hash of every file but the inputs, by name."""
        found = sorted(self.folder.iterdir())
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in found if p.name not in INPUTS}

    def image(self, pixels_f: int, pixels_s: int, name: str = "floatimage.bin") -> np.ndarray:
        """The float image."""
        return np.fromfile(self.folder / name, dtype=np.float32).reshape(pixels_s, pixels_f)


def reflections() -> str:
    """The table of specs/intensity.md 8."""
    return "".join(
        f"{h} {k} {l} {10 + (7 * h + 3 * k + 5 * l) % 11}\n"
        for h in range(-6, 7)
        for k in range(-7, 8)
        for l in range(-8, 9)
    )


def smv(pixels: np.ndarray, **fields: object) -> bytes:
    """A small SMV image with more header fields."""
    lines = {"HEADER_BYTES": 512, "DIM": 2, "SIZE1": pixels.shape[1], "SIZE2": pixels.shape[0], **fields}
    text = "{\n" + "".join(f"{key}={value};\n" for key, value in lines.items()) + "}\f"
    return text.ljust(512).encode() + pixels.astype(np.uint16).tobytes()


MODEL = """CRYST1   40.000   45.000   50.000  90.00  90.00  90.00 P 1
ATOM      1  N   ALA A   1       1.000   2.000   3.000  1.00 10.00           N
ATOM      2  CA  ALA A   1       2.400   2.500   3.100  1.00 12.00           C
ATOM      3  C   ALA A   1       9.900  13.900  23.500  0.60 14.00           C
HETATM    4 SE   MSE A   2      12.000  15.000  20.000  1.00  8.00          SE
END
"""
"""A small model in the cell of the small scene."""


def mtz(cell: tuple[float, ...] = (40, 45, 50, 90, 90, 90), group: str = "P 1") -> bytes:
    """An MTZ file with amplitudes F and FP of the cell of the small scene."""
    made = gemmi.Mtz(with_base=True)
    made.spacegroup = gemmi.SpaceGroup(group)
    made.set_cell_for_all(gemmi.UnitCell(*cell))
    made.add_dataset("native")
    for label, kind in (("F", "F"), ("SIGF", "Q"), ("FP", "F")):
        made.add_column(label, kind)
    hkl = np.stack(np.meshgrid(np.arange(-9, 10), np.arange(-9, 10), np.arange(0, 10)), axis=-1).reshape(-1, 3)
    F = 10.0 + (7 * hkl[:, :1] + 3 * hkl[:, 1:2] + 5 * hkl[:, 2:]) % 11
    made.set_data(np.concatenate([hkl, F, F / 10, 2 * F], axis=1).astype(np.float32))
    with tempfile.TemporaryDirectory() as folder:
        made.write_to_file(f"{folder}/data.mtz")
        return Path(folder, "data.mtz").read_bytes()


def _inputs() -> dict[str, bytes]:
    mask = np.ones((12, 12))
    mask[3:5] = 0
    return {
        "P1.hkl": reflections().encode(),
        "data.mtz": mtz(),
        "model.pdb": MODEL.encode(),
        "A.mat": b"0.02 0 0\n0 0.025 0.001\n0 0 0.022\n",
        "camera.img": smv(np.ones((12, 12)), PIXEL_SIZE=4, BEAM_CENTER_X=20, BEAM_CENTER_Y=22, PHI=3),
        "mask.img": smv(mask),
        "sources.txt": b"-10 0 0 1 1.2e-10\n-10 0.1 0 3 1.3e-10\n",
        "spectrum.txt": b"# eV weight\n10300 1\n10400 2\n",
        "ice.stol": b"0.1 2\n0.2 1\n",
        "domains.txt": b"0 0 0 2\n1 0 0 1\n0 1 0 1\n",
        "curve.txt": b"# q photons\n0 5\n2 1\n",
        "edge.txt": b"# eV weight\n10300 1\n10301 2\n",
    }


INPUTS = _inputs()


class Runner:
    """Runs command lines, each in a fresh folder that holds the input files."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.root, self.monkeypatch, self.capfd = root, monkeypatch, capfd
        self.runs = 0
        self.more: dict[str, str] = {}
        """Further files that a run finds in its folder."""

    def __call__(self, line: str) -> Outcome:
        """The outcome of these words alone."""
        return self.words(line.split())

    def small(self, line: str = "") -> Outcome:
        """The outcome of these words behind those of the small scene."""
        return self(f"{BASE} {line}")

    def words(self, words: list[str]) -> Outcome:
        """The outcome of a list of words."""
        self.runs += 1
        folder = self.root / str(self.runs)
        folder.mkdir()
        for name, content in INPUTS.items():
            (folder / name).write_bytes(content)
        for name, text in self.more.items():
            (folder / name).write_text(text)
        self.monkeypatch.chdir(folder)
        self.capfd.readouterr()
        status = main(words)
        captured = self.capfd.readouterr()
        return Outcome(status, captured.out, captured.err, folder)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Runner:
    """A runner of command lines."""
    return Runner(tmp_path, monkeypatch, capfd)
