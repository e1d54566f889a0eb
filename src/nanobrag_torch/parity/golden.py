"""The golden set: cases with their reference arrays, and one run of this program on a case.

A folder holds `cases.json` (a list, one entry per case), `images/<id>.npz` and `inputs/`. The fields `args`, `verdict`,
`stats`, `header_values`, `fpixels`, `spixels` and `crop` of an entry are used.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import LegacyDefectWarning, ParityError
from nanobrag_torch.parity.agreement import DOUBLE, DOUBLE_TOPHAT, Bounds
from nanobrag_torch.parity.printed import IMAGE_STATISTICS

if TYPE_CHECKING:
    from nanobrag_torch.models import Experiment

Arrays = dict[str, NDArray[Any]]
INPUTS = "inputs/"


@dataclass(frozen=True)
class Case:
    """A command line and what it should give.

    `verdict` is `image`, `image_corrected`, `corrected_sum` or `none`; `facts` is the entry of `cases.json`.
    """

    id: str
    folder: Path
    args: tuple[str, ...]
    verdict: str
    facts: dict[str, Any]

    def arrays(self) -> Arrays:
        """Every stored array, by name."""
        with np.load(self.folder / "images" / f"{self.id}.npz") as stored:
            return {name: stored[name] for name in stored.files}

    def expected(self) -> NDArray[np.float32]:
        """The float image [slow, fast] to reproduce: the crop where the case has one."""
        return self.arrays()[self.verdict]

    def command(self) -> list[str]:
        """The command line, its input files with their whole paths."""
        return [str(self.folder / word) if word.startswith(INPUTS) else word for word in self.args]

    def crop(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of a full frame that is stored."""
        s0, s1, f0, f1 = self.facts.get("crop", (0, image.shape[0], 0, image.shape[1]))
        return image[s0:s1, f0:f1]

    def stored(self) -> tuple[str, ...]:
        """The names of the stored arrays."""
        try:
            with np.load(self.folder / "images" / f"{self.id}.npz") as stored:
                return tuple(stored.files)
        except FileNotFoundError:
            return ()

    def traces(self) -> list[dict[str, Any]]:
        """The stored traces of single pixels."""
        return [json.loads((self.folder / name).read_text()) for name in self.facts.get("traces", [])]

    @property
    def bounds(self) -> Bounds:
        """The double-precision bounds for the shape of this case."""
        return DOUBLE_TOPHAT if self.facts["stats"].get("shape") == "tophat-spot" else DOUBLE


def load_cases(folder: str | os.PathLike[str]) -> list[Case]:
    """The cases of a folder, in its order.

    Raises:
        ParityError: the folder has no readable `cases.json`.
    """
    path = Path(folder) / "cases.json"
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ParityError(f"{path}: no list of golden cases ({error})") from error
    return [Case(e["id"], Path(folder), tuple(e["args"]), e["verdict"], e) for e in entries]


@dataclass(frozen=True)
class Run:
    """What one run of the command line gave: exit status, both streams, and the folder with its files."""

    status: int
    output: str
    errors: str
    folder: Path
    shape: tuple[int, int]

    def image(self) -> NDArray[np.float32]:
        """The float image, full frame [slow, fast]."""
        return np.fromfile(self.folder / "float.bin", np.float32).reshape(self.shape)

    def header(self, name: str = "int.img") -> str:
        """The SMV header of an image, up to its form feed."""
        return (self.folder / name).read_bytes()[:1024].partition(b"\f")[0].decode("ascii") + "\f"

    def counts(self, name: str = "int.img") -> NDArray[np.uint16]:
        """The 16-bit pixels of an SMV image [slow, fast]."""
        pixels = self.shape[0] * self.shape[1]
        return np.frombuffer((self.folder / name).read_bytes()[-2 * pixels :], np.uint16).reshape(self.shape)

    def grey(self) -> tuple[str, NDArray[np.uint8]]:
        """Header and pixels of the PGM file."""
        content = (self.folder / "grey.pgm").read_bytes()
        pixels = self.shape[0] * self.shape[1]
        return content[:-pixels].decode("ascii"), np.frombuffer(content[-pixels:], np.uint8).reshape(self.shape)


def run_case(case: Case, folder: Path, dtype: str = "float64", *extra: str) -> Run:
    """Render a case in an existing empty folder: float, integer and grey image, noise only if the case wants it.

    The command line's own entry point is called, with the folder as the working directory.
    """
    from nanobrag_torch.cli.main import main

    files = ["-floatfile", "float.bin", "-intfile", "int.img", "-pgmfile", "grey.pgm", "-noprogress"]
    words = [*case.command(), *files, "-dtype", dtype, *extra]
    if "-nonoise" not in case.args:
        words += ["-noisefile", "noise.img"]
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors), contextlib.chdir(folder):
        status = main(words)
    shape = (case.facts["spixels"], case.facts["fpixels"])
    return Run(status, output.getvalue(), errors.getvalue(), folder, shape)


def experiment_of(case: Case) -> Experiment:
    """The settled experiment of a case's command line; its notes tell which defects take part."""
    from nanobrag_torch.cli.parse import parse
    from nanobrag_torch.settling.scene import settle

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LegacyDefectWarning)
        return settle(parse(case.command()), physics="nanobragg")


def header_problems(case: Case, header: str) -> list[str]:
    """Where an SMV header departs from the C program's lines; ours may add ADC_OFFSET and need 1024 bytes.

    A header that was too long for the C program is compared as far as it was stored (specs: deviations D12).
    """
    ours = [line for line in header.splitlines() if "=" in line and not line.startswith("ADC_OFFSET")]
    theirs = [f"{k}={v}" + ("" if k == "DIALS_ORIGIN" else ";") for k, v in case.facts["header_values"].items()]
    if ours[0] == "HEADER_BYTES=1024;":
        cut = "\n".join(theirs[1:]).rstrip(";")
        return [] if "\n".join(ours[1:]).startswith(cut) else [f"header {ours[1:]}, expected {cut!r}"]
    found = [f"header line {a!r}, expected {b!r}" for a, b in zip(ours, theirs, strict=False) if a != b]
    return found + ([f"{len(ours)} header lines, expected {len(theirs)}"] if len(ours) != len(theirs) else [])


def expected_numbers(case: Case) -> dict[str, Any]:
    """What a run of the case prints; statistics of the image only where the stored image is the one to reproduce."""
    own = {"requested_cell", "cell_angle_deviation_deg", "close_distance", "noise_photons", "noise_overloads"}
    skipped = own if case.verdict == "image" else own | set(IMAGE_STATISTICS)
    return {name: value for name, value in case.facts["stats"].items() if name not in skipped and value is not None}
